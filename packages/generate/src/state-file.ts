/**
 * State files: a model's state as bytes that any backend on any machine can go on from. Little-endian.
 *
 *   8 bytes   magic "rwkv-ts" 0x1A
 *   u32       version, 1
 *   u32       length of the header
 *   header    JSON (`StateFileHeader`), UTF-8
 *   payload   f32, one block per entry of `header.blocks`, in order; absent for a state that was never advanced
 *   32 bytes  SHA-256 of everything before
 */
import type { StateSpec } from '@rwkv-ts/backend';
import { sha256 } from '@noble/hashes/sha2.js';
import { GenerateError } from './errors.js';
import { type StateFileHeader, parseHeader } from './state-file-header.js';
import { ModelState, stateMismatch } from './model-state.js';

const magic = new TextEncoder().encode('rwkv-ts\x1a');
const version = 1;
const prefixBytes = 16;
const digestBytes = 32;

/** What a file is written for, or read by. */
export interface StateFileModel {
  readonly fingerprint: string;
  readonly stateSpecs: readonly StateSpec[];
  readonly vocabularySize: number;
}

export interface StateFile {
  readonly state: ModelState;
  /** Whatever the writer added: the messages of a conversation. Unchecked JSON. */
  readonly attachment: unknown;
}

/** The file's bytes. `attachment` is any JSON value to travel along. */
export function encodeState(
  state: ModelState,
  model: StateFileModel,
  attachment?: unknown,
): Uint8Array<ArrayBuffer> {
  if (state.fingerprint !== model.fingerprint) {
    throw stateMismatch(model.fingerprint, state.fingerprint);
  }
  const payload = state.snapshot ?? new Uint8Array(0);
  const header: StateFileHeader = {
    fingerprint: state.fingerprint,
    tokenCount: state.tokenCount,
    pending: state.pending,
    blocks:
      state.snapshot === undefined
        ? []
        : model.stateSpecs.map(({ name, shape }) => ({ name, shape })),
    ...(attachment === undefined ? {} : { attachment }),
  };
  const json = new TextEncoder().encode(JSON.stringify(header));
  const bytes = new Uint8Array(prefixBytes + json.length + payload.length + digestBytes);
  const view = new DataView(bytes.buffer);
  bytes.set(magic);
  view.setUint32(8, version, true);
  view.setUint32(12, json.length, true);
  bytes.set(json, prefixBytes);
  bytes.set(payload, prefixBytes + json.length);
  const end = bytes.length - digestBytes;
  bytes.set(sha256(bytes.subarray(0, end)), end);
  return bytes;
}

/**
 * Reads a file back. Every length is checked against the bytes at hand; nothing larger than they are is allocated.
 * @throws GenerateError `STATE_FILE_INVALID`; `STATE_MISMATCH` when it was saved from a model of another fingerprint
 */
export function decodeState(bytes: Uint8Array, model: StateFileModel): StateFile {
  const jsonBytes = checkEnvelope(bytes);
  const header = parseHeader(bytes.subarray(prefixBytes, prefixBytes + jsonBytes));
  if (header.fingerprint !== model.fingerprint) {
    throw stateMismatch(model.fingerprint, header.fingerprint);
  }
  const outside = header.pending.find((token) => token >= model.vocabularySize);
  if (outside !== undefined) {
    throw invalid('pending token ids', `below ${model.vocabularySize}`, outside);
  }
  const payload = bytes.subarray(prefixBytes + jsonBytes, bytes.length - digestBytes);
  const snapshot = header.blocks.length === 0 ? undefined : new Uint8Array(payload);
  checkBlocks(header, model, payload);
  return {
    state: new ModelState({ ...header, snapshot }),
    attachment: header.attachment,
  };
}

/** Checks magic, version, lengths and checksum; gives the header's length. */
function checkEnvelope(bytes: Uint8Array): number {
  const least = prefixBytes + digestBytes;
  if (bytes.length < least) throw invalid('the file', `at least ${least} bytes`, bytes.length);
  if (magic.some((byte, i) => bytes[i] !== byte)) {
    throw invalid('the first bytes', '"rwkv-ts" 0x1A', [...bytes.subarray(0, 8)].join(' '));
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(8, true) !== version) {
    throw invalid('the version', version, view.getUint32(8, true));
  }
  const jsonBytes = view.getUint32(12, true);
  if (jsonBytes > bytes.length - least) {
    throw invalid('the header', `at most ${bytes.length - least} bytes`, jsonBytes);
  }
  const end = bytes.length - digestBytes;
  const digest = sha256(bytes.subarray(0, end));
  if (digest.some((byte, i) => bytes[end + i] !== byte)) {
    throw invalid('the checksum', hex(digest), hex(bytes.subarray(end)));
  }
  return jsonBytes;
}

function checkBlocks(header: StateFileHeader, model: StateFileModel, payload: Uint8Array): void {
  const describe = ({ name, shape }: { name: string; shape: readonly number[] }): string =>
    `${name} [${shape.join(', ')}]`;
  if (header.blocks.length > 0) {
    const count = model.stateSpecs.length;
    if (header.blocks.length !== count) {
      throw invalid('the number of blocks', count, header.blocks.length);
    }
    for (const [i, spec] of model.stateSpecs.entries()) {
      const [expected, got] = [describe(spec), describe(header.blocks[i]!)];
      if (got !== expected) throw invalid(`block ${i}`, expected, got);
    }
  }
  const elements = header.blocks.reduce(
    (sum, { shape }) => sum + shape.reduce((product, size) => product * size, 1),
    0,
  );
  if (payload.length !== elements * 4) {
    throw invalid('the payload', `${elements * 4} bytes`, payload.length);
  }
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  for (let offset = 0; offset < payload.length; offset += 4) {
    const value = view.getFloat32(offset, true);
    if (!Number.isFinite(value)) throw invalid(`number ${offset / 4}`, 'finite', value);
  }
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

export function invalid(what: string, expected: unknown, got: unknown): GenerateError {
  // What came is anybody's, of any length.
  const shown = String(got).slice(0, 200);
  return new GenerateError({
    code: 'STATE_FILE_INVALID',
    message: `Not a good state file: ${what} should be ${String(expected)}, got ${shown}`,
    expected,
    got,
  });
}
