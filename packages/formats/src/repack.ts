/**
 * Conversions between block formats that keep every scale and every integer, so every decoded number, its sign of zero
 * included. Encoding afresh would choose other scales; these move bits.
 */
import type { WeightFormat } from '@rwkv-ts/backend';
import { codecOf, type FormatName } from './formats.js';

const smallBlock = 32;
const levels = new Float32Array(256);

/** Formats with x = d q and one f16 d per block, by the offset of d. */
const symmetricScaleAt: Partial<Record<FormatName, number>> = {
  q4_0: 0,
  q5_0: 0,
  q8_1: 0,
  iq4_nl: 0,
  q1_0: 0,
  q2_0: 0,
  tq1_0: 52,
  tq2_0: 64,
};

type Pack = (bytes: Uint8Array, at: number, from: number) => void;

/** Writes the integers `levels[from…from + 31]` after the block's two bytes of d. */
const packers: Partial<Record<WeightFormat, Pack>> = {
  q8_0(bytes, at, from) {
    for (let j = 0; j < smallBlock; j++) bytes[at + j] = levels[from + j]!;
  },
  q5_0(bytes, at, from) {
    bytes.fill(0, at, at + 4);
    for (let j = 0; j < 16; j++) {
      const low = levels[from + j]! + 16;
      const high = levels[from + 16 + j]! + 16;
      bytes[at + 4 + j] = (low & 15) | ((high & 15) << 4);
      bytes[at + (j >>> 3)]! |= (low >>> 4) << (j & 7);
      bytes[at + 2 + (j >>> 3)]! |= (high >>> 4) << (j & 7);
    }
  },
  q4_0(bytes, at, from) {
    for (let j = 0; j < 16; j++) {
      bytes[at + j] = (levels[from + j]! + 8) | ((levels[from + 16 + j]! + 8) << 4);
    }
  },
};

/** Reads the integers by decoding the block with d = 1, and spreads each block over as many target blocks as it needs. */
function repackSymmetric(from: FormatName, to: WeightFormat, bytes: Uint8Array): Uint8Array {
  const source = codecOf(from);
  const target = codecOf(to);
  const scaleAt = symmetricScaleAt[from]!;
  const pack = packers[to]!;
  const block = new Uint8Array(source.bytesPerBlock);
  const span = { blocks: 1, bytes: block, byteStart: 0, values: levels, valueStart: 0 };
  const blocks = bytes.length / source.bytesPerBlock;
  const perBlock = source.blockSize / smallBlock;
  const out = new Uint8Array(blocks * perBlock * target.bytesPerBlock);
  let at = 0;
  for (let start = 0; start < bytes.length; start += source.bytesPerBlock) {
    for (let i = 0; i < block.length; i++) block[i] = bytes[start + i]!;
    block[scaleAt] = 0x00;
    block[scaleAt + 1] = 0x3c;
    source.decode(span);
    for (let part = 0; part < perBlock; part++, at += target.bytesPerBlock) {
      out[at] = bytes[start + scaleAt]!;
      out[at + 1] = bytes[start + scaleAt + 1]!;
      pack(out, at + 2, smallBlock * part);
    }
  }
  return out;
}

/** Formats whose wider sibling has the same block with `zeros` more bytes, the fifth bits, after `at`. */
const widened: Partial<Record<FormatName, { to: WeightFormat; at: number; zeros: number }>> = {
  q4_1: { to: 'q5_1', at: 4, zeros: 4 },
  q4_k: { to: 'q5_k', at: 16, zeros: 32 },
};

function insertZeros(format: FormatName, bytes: Uint8Array): Uint8Array {
  const { bytesPerBlock } = codecOf(format);
  const { at, zeros } = widened[format]!;
  const out = new Uint8Array((bytes.length / bytesPerBlock) * (bytesPerBlock + zeros));
  let target = 0;
  for (let start = 0; start < bytes.length; start += bytesPerBlock) {
    for (let i = 0; i < at; i++) out[target++] = bytes[start + i]!;
    target += zeros;
    for (let i = at; i < bytesPerBlock; i++) out[target++] = bytes[start + i]!;
  }
  return out;
}

/** The repacked bytes, or undefined where only decoding leads from one format to the other. `bytes` are whole blocks. */
export function repack(
  from: FormatName,
  to: WeightFormat,
  bytes: Uint8Array,
): Uint8Array | undefined {
  if (widened[from]?.to === to) return insertZeros(from, bytes);
  if (symmetricScaleAt[from] === undefined || packers[to] === undefined) return undefined;
  return repackSymmetric(from, to, bytes);
}
