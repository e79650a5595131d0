/**
 * A name for a model's numbers, so that a state saved from one copy is not loaded into another model.
 *
 * SHA-256 over the configuration and, sorted by name, the SHA-256 of each weight's name, shape and a sample of its numbers
 * decoded to f32: all of up to 4096, else 256 evenly spaced ones, the first and last included. So it does not depend on
 * layout, container, order, or conversions that lose nothing; it does differ between a model and its quantised copy, whose
 * states differ too. It guards against mistakes, not against forgery: numbers between the samples are not looked at.
 */
import type { HostWeight } from '@rwkv-ts/backend';
import { bytesFor, countOf, decode, decodeRange, formatInfo } from '@rwkv-ts/formats';
import { canonicalWeights, type RwkvConfig } from '@rwkv-ts/model';
import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils.js';
import { WeightsError } from './errors.js';

/** Weights up to this many numbers are hashed whole. */
const wholeUpTo = 4096;
const samples = 256;

export interface Fingerprint {
  /** In any order, each weight once. `weight.bytes` is read before the call returns, and not kept. */
  add(weight: HostWeight): void;
  /**
   * 64 hexadecimal digits.
   * @throws WeightsError `TENSOR_MISSING` before every weight of the configuration was added
   */
  digest(): string;
}

/** Keys in sorted order at every depth: equal configurations give equal text. */
function stableJson(value: unknown): string {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(stableJson).join()}]`;
  const entries = Object.entries(value).filter(([, each]) => each !== undefined);
  entries.sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${entries.map(([key, each]) => `${JSON.stringify(key)}:${stableJson(each)}`).join()}}`;
}

function sampleOf({ format, shape, bytes }: HostWeight): Float32Array {
  const count = countOf(shape);
  if (count <= wholeUpTo) return decode(format, bytes);
  const { blockSize } = formatInfo(format);
  const block = new Float32Array(blockSize);
  return Float32Array.from({ length: samples }, (_, index) => {
    const at = Math.floor((index * (count - 1)) / (samples - 1));
    const first = at - (at % blockSize);
    decodeRange({ format, bytes, first, count: blockSize, values: block, at: 0 });
    return block[at - first]!;
  });
}

/** The same bytes on every host: f32 little-endian. */
function bytesOf(values: Float32Array): Uint8Array {
  const bytes = new Uint8Array(4 * values.length);
  const view = new DataView(bytes.buffer);
  for (const [index, value] of values.entries()) view.setFloat32(4 * index, value, true);
  return bytes;
}

function expectSize({ name, format, shape, bytes }: HostWeight): void {
  const expected = bytesFor(format, countOf(shape));
  if (bytes.length === expected) return;
  throw new WeightsError({
    code: 'TENSOR_SHAPE',
    message: `${name} [${shape.join(', ')}] in ${format} must have ${expected} bytes, got ${bytes.length}.`,
    expected,
    got: bytes.length,
  });
}

/** Feed it the weights as they pass on their way to a backend. */
export function createFingerprint(config: RwkvConfig): Fingerprint {
  const missing = new Set(canonicalWeights(config).map(({ name }) => name));
  const digests: string[] = [];
  return {
    add(weight) {
      if (!missing.delete(weight.name)) {
        throw new TypeError(`${weight.name} is no weight of this model, or was added already.`);
      }
      expectSize(weight);
      const hash = sha256.create();
      hash.update(utf8ToBytes(`${weight.name}[${weight.shape.join()}]`));
      hash.update(bytesOf(sampleOf(weight)));
      digests.push(`${weight.name} ${bytesToHex(hash.digest())}`);
    },
    digest() {
      if (missing.size > 0) {
        throw new WeightsError({
          code: 'TENSOR_MISSING',
          message: `The fingerprint needs every weight; ${missing.size} are missing, ${[...missing][0]!} among them.`,
          expected: missing.size + digests.length,
          got: digests.length,
        });
      }
      const text = [stableJson(config), ...[...digests].sort()].join('\n');
      return bytesToHex(sha256(utf8ToBytes(text)));
    },
  };
}
