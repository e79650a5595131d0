/** From a format's bytes, block by block, to the regions of layout.ts. */
import type { WeightFormat } from '@rwkv-ts/backend';
import { formatLayouts, panelRows, type RowWords, rowWords } from './layout.js';

/** Words of consecutive rows, region by region. */
export interface RepackedRows {
  readonly quants: Uint32Array<ArrayBuffer>;
  readonly highs: Uint32Array<ArrayBuffer>;
  readonly scales: Uint32Array<ArrayBuffer>;
}

/** One row: `bytes` from `at` on, into words of the regions from row `row` on. */
type RepackRow = (source: {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly at: number;
  readonly columns: number;
  readonly out: RepackedRows;
  readonly row: number;
  readonly words: RowWords;
}) => void;

const low = 0x0f0f0f0f;

/** Nibbles of `pairs` pairs of words: all low ones come first, then all high ones; eight numbers a word. */
function packNibbles(
  view: DataView,
  { at, pairs, out, to }: { at: number; pairs: number; out: Uint32Array; to: number },
): void {
  for (let pair = 0; pair < pairs; pair++) {
    const first = view.getUint32(at + 8 * pair, true);
    const second = view.getUint32(at + 8 * pair + 4, true);
    out[to + pair] = (first & low) | ((second & low) << 4);
    out[to + pairs + pair] = ((first >>> 4) & low) | (second & ~low);
  }
}

/** 16 or 32 bits a number: the bytes as they are. */
const plainRow =
  (size: 2 | 4): RepackRow =>
  ({ bytes, at, columns, out, row, words }) => {
    const to = new Uint8Array(out.quants.buffer, out.quants.byteOffset + row * words.quants * 4);
    to.set(bytes.subarray(at, at + columns * size));
  };

const q80Row: RepackRow = ({ view, at, columns, out, row, words }) => {
  const halves = new Uint16Array(out.scales.buffer, out.scales.byteOffset, out.scales.length * 2);
  for (let block = 0; block < columns / 32; block++) {
    const from = at + 34 * block;
    halves[row * words.scales * 2 + block] = view.getUint16(from, true);
    const to = row * words.quants + 8 * block;
    for (let word = 0; word < 8; word++) {
      out.quants[to + word] = view.getUint32(from + 2 + 4 * word, true);
    }
  }
};

/** q4_0, q4_1, q5_0, q5_1: scale, then minimum and fifth bits where there are any, then nibbles. */
const nibbleRow =
  ({ minimum, fifth }: { minimum: boolean; fifth: boolean }): RepackRow =>
  ({ view, at, columns, out, row, words }) => {
    const scaleBytes = minimum ? 4 : 2;
    const blockBytes = scaleBytes + (fifth ? 4 : 0) + 16;
    const halves = new Uint16Array(out.scales.buffer, out.scales.byteOffset, out.scales.length * 2);
    for (let block = 0; block < columns / 32; block++) {
      let from = at + blockBytes * block;
      if (minimum) out.scales[row * words.scales + block] = view.getUint32(from, true);
      else halves[row * words.scales * 2 + block] = view.getUint16(from, true);
      from += scaleBytes;
      if (fifth) {
        out.highs[row * words.highs + block] = view.getUint32(from, true);
        from += 4;
      }
      const to = row * words.quants + 4 * block;
      packNibbles(view, { at: from, pairs: 2, out: out.quants, to });
    }
  };

/** q4_k, q5_k: 16 bytes of scales, 32 of fifth bits where there are any, then nibbles. */
const superRow =
  ({ fifth }: { fifth: boolean }): RepackRow =>
  ({ bytes, view, at, columns, out, row, words }) => {
    const blockBytes = fifth ? 176 : 144;
    for (let block = 0; block < columns / 256; block++) {
      let from = at + blockBytes * block;
      const scales = row * words.scales + 4 * block;
      for (let word = 0; word < 4; word++) {
        out.scales[scales + word] = view.getUint32(from + 4 * word, true);
      }
      from += 16;
      if (fifth) {
        const highs = row * words.highs + 8 * block;
        for (let sub = 0; sub < 8; sub++) {
          let word = 0;
          for (let j = 0; j < 32; j++) word |= ((bytes[from + j]! >>> sub) & 1) << j;
          out.highs[highs + sub] = word;
        }
        from += 32;
      }
      const to = row * words.quants + 32 * block;
      for (let pair = 0; pair < 4; pair++) {
        const part = { at: from + 32 * pair, pairs: 4, out: out.quants, to: to + 8 * pair };
        packNibbles(view, part);
      }
    }
  };

/** Bits 2p and 2p + 1 of every byte of four words, as one word of sixteen numbers. */
function gatherPairs(view: DataView, at: number, part: number): number {
  let word = 0;
  for (let j = 0; j < 16; j++) word |= ((view.getUint8(at + j) >>> (2 * part)) & 3) << (2 * j);
  return word;
}

const q6kRow: RepackRow = ({ view, at, columns, out, row, words }) => {
  for (let block = 0; block < columns / 256; block++) {
    const from = at + 210 * block;
    for (let half = 0; half < 2; half++) {
      const to = row * words.quants + 32 * block + 16 * half;
      packNibbles(view, { at: from + 64 * half, pairs: 8, out: out.quants, to });
      const highs = row * words.highs + 16 * block + 8 * half;
      for (let word = 0; word < 8; word++) {
        const bytes = from + 128 + 32 * half + 16 * (word & 1);
        out.highs[highs + word] = gatherPairs(view, bytes, word >>> 1);
      }
    }
    const scales = row * words.scales + 5 * block;
    for (let word = 0; word < 4; word++) {
      out.scales[scales + word] = view.getUint32(from + 192 + 4 * word, true);
    }
    out.scales[scales + 4] = view.getUint16(from + 208, true);
  }
};

const rowRepackers: { readonly [F in WeightFormat]: RepackRow } = {
  f32: plainRow(4),
  f16: plainRow(2),
  bf16: plainRow(2),
  q8_0: q80Row,
  q4_0: nibbleRow({ minimum: false, fifth: false }),
  q4_1: nibbleRow({ minimum: true, fifth: false }),
  q5_0: nibbleRow({ minimum: false, fifth: true }),
  q5_1: nibbleRow({ minimum: true, fifth: true }),
  q4_k: superRow({ fifth: false }),
  q5_k: superRow({ fifth: true }),
  q6_k: q6kRow,
};

/** True where the file's bytes are the region itself. */
export function isRegionAlready(format: WeightFormat, columns: number): boolean {
  return formatLayouts[format].bits >= 16 && columns % 8 === 0;
}

/** `count` rows from `firstRow`, where a panel begins, of a plain matrix, as the panels of columns they become. */
export function repackColumns(
  { format, columns }: { format: WeightFormat; columns: number },
  { bytes, firstRow, count }: { bytes: Uint8Array; firstRow: number; count: number },
): Uint32Array<ArrayBuffer> {
  const Numbers = formatLayouts[format].bits === 32 ? Uint32Array : Uint16Array;
  const size = Numbers.BYTES_PER_ELEMENT;
  const own = bytes.slice(firstRow * columns * size, (firstRow + count) * columns * size);
  const from = new Numbers(own.buffer);
  const padded = Math.ceil(columns / 8) * 8;
  const panels = Math.ceil(count / panelRows);
  const words = new Uint32Array((panels * panelRows * padded * size) / 4);
  const to = new Numbers(words.buffer);
  for (let row = 0; row < count; row++) {
    const panel = Math.floor(row / panelRows) * panelRows * padded;
    let at = panel + (row % panelRows);
    for (let n = row * columns; n < (row + 1) * columns; n++, at += panelRows) to[at] = from[n]!;
  }
  return words;
}

/** `count` rows from `firstRow` on. */
export function repackRows(
  { format, columns, rowBytes }: { format: WeightFormat; columns: number; rowBytes: number },
  { bytes, firstRow, count }: { bytes: Uint8Array; firstRow: number; count: number },
): RepackedRows {
  const words = rowWords(format, columns);
  const out = {
    quants: new Uint32Array(count * words.quants),
    highs: new Uint32Array(count * words.highs),
    scales: new Uint32Array(count * words.scales),
  };
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const repack = rowRepackers[format];
  for (let row = 0; row < count; row++) {
    repack({ bytes, view, at: (firstRow + row) * rowBytes, columns, out, row, words });
  }
  return out;
}
