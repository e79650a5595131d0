/** What has to hold for every input, however broken: a load that is consistent, or an `RwkvError`; bounded reads and time. */
import { RwkvError } from '@rwkv-ts/backend';
import { bytesFor } from '@rwkv-ts/formats';
import type { ByteSource } from '../../src/byte-source.js';
import { openRawFile } from '../../src/open-raw-file.js';
import type { RawFile } from '../../src/raw-file.js';
import { memorySource } from '../../src/sources/memory-source.js';

export interface CountingSource extends ByteSource {
  readonly requested: number;
}

/** A reader never relies on the source to refuse a range: it checks before it asks. */
export function countingSource(bytes: Uint8Array, name = 'fuzzed'): CountingSource {
  const inner = memorySource(bytes, { name });
  let requested = 0;
  return {
    name,
    size: inner.size,
    get requested() {
      return requested;
    },
    async read(offset, length, options) {
      if (!(offset >= 0 && length >= 0 && offset + length <= bytes.length)) {
        throw new TypeError(`a reader asked for ${length} bytes at ${offset} of ${bytes.length}`);
      }
      requested += length;
      return inner.read(offset, length, options);
    },
    [Symbol.asyncDispose]: () => inner[Symbol.asyncDispose](),
  };
}

/** Reads may overlap (a tail, buffers, headers), not multiply: opening asks for at most this. */
const openingFactor = 32;
const openingBytes = 64 * 1024;
/** A tensor of an archive reads the header before it too. */
const entryHeaderBytes = 1024;
/** Far above what any input takes, and far below a hang. */
const milliseconds = 5000;

export type Outcome = { readonly code: string } | { readonly loaded: number };

export interface CheckedInput {
  readonly bytes: Uint8Array;
  /** Other files by name, for indexes. */
  readonly siblings?: ReadonlyMap<string, Uint8Array>;
}

/** Opens, reads every tensor, and throws when anything but the promised happens. */
export async function checkInput({ bytes, siblings }: CheckedInput): Promise<Outcome> {
  const start = performance.now();
  const sources = [countingSource(bytes)];
  const size = [bytes, ...(siblings?.values() ?? [])].reduce((sum, part) => sum + part.length, 0);
  try {
    const file = await openRawFile(sources[0]!, {
      siblings: async (name) => {
        const source = countingSource(siblings?.get(name) ?? new Uint8Array(0), name);
        sources.push(source);
        return source;
      },
    });
    const requested = () => sources.reduce((sum, source) => sum + source.requested, 0);
    const opening = requested();
    require(opening <=
      size * openingFactor + openingBytes, `opening asked for ${opening} bytes of ${size}`);
    return { loaded: await readAll(file, { requested, size }) };
  } catch (error) {
    if (RwkvError.isInstance(error)) return { code: error.code };
    throw error;
  } finally {
    const took = performance.now() - start;
    require(took < milliseconds, `took ${took} ms`);
  }
}

interface Reading {
  /** Bytes asked for so far. */
  readonly requested: () => number;
  readonly size: number;
}

async function readAll(file: RawFile, { requested, size }: Reading): Promise<number> {
  for (const [key, tensor] of file.tensors) {
    const { name, shape, format, byteLength } = tensor;
    const count = shape.reduce((product, dimension) => product * dimension, 1);
    require(key === name, `the key ${key} holds ${name}`);
    require(byteLength === bytesFor(format, count), `${name} has a wrong byteLength`);
    const before = requested();
    const bytes = await tensor.read();
    const asked = requested() - before;
    require(asked <= size + entryHeaderBytes, `${name} asked for ${asked} bytes of ${size}`);
    require(bytes.length ===
      byteLength, `${name} has ${bytes.length} bytes instead of ${byteLength}`);
  }
  await file[Symbol.asyncDispose]();
  return file.tensors.size;
}

function require(holds: boolean, otherwise: string): void {
  if (!holds) throw new Error(otherwise);
}

/** Counts outcomes; reports the input that failed. */
export class Tally {
  readonly codes = new Map<string, number>();
  loads = 0;
  inputs = 0;

  async check(input: CheckedInput, label: string): Promise<Outcome> {
    this.inputs++;
    try {
      const outcome = await checkInput(input);
      if ('code' in outcome) this.codes.set(outcome.code, (this.codes.get(outcome.code) ?? 0) + 1);
      else this.loads++;
      return outcome;
    } catch (cause) {
      throw new Error(`${label}: ${String(cause)}\n${hex(input.bytes)}`, { cause });
    }
  }
}

function hex(bytes: Uint8Array): string {
  return [...bytes.subarray(0, 4096)].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}
