/** Random models of real sizes, made tensor by tensor, so that no host memory holds one. */
import type { HostWeight, Program, WeightFormat, WeightSpec } from '@rwkv-ts/backend';
import { createRandomWeights } from '@rwkv-ts/backend-kit';
import { bytesForShape, formatInfo } from '@rwkv-ts/formats';
import type { SizedTensor } from '../cpu/model-cost.js';

/** Random numbers made for a tensor; a larger one repeats its rows, which no kernel's time depends on. */
const mostNumbers = 2 ** 22;

/**
 * The weights of a program, one at a time. Layers share their numbers, because making some thousand million takes longer
 * than measuring.
 */
export async function* randomWeights(
  program: Program,
  format: WeightFormat,
): AsyncGenerator<HostWeight> {
  const made = new Map<string, HostWeight>();
  for (const spec of program.weights) {
    const role = spec.name.replace(/^blocks\.\d+/, 'blocks');
    const sample = made.get(role) ?? sampleOf(program, spec, format);
    made.set(role, sample);
    yield { ...repeated(sample, spec), name: spec.name };
  }
}

function sampleOf(program: Program, spec: WeightSpec, format: WeightFormat): HostWeight {
  const [rows = 1, ...rest] = spec.shape;
  const columns = rest.reduce((product, size) => product * size, 1);
  const most = spec.shape.length === 2 ? Math.max(1, Math.floor(mostNumbers / columns)) : rows;
  const shape = [Math.min(rows, most), ...rest];
  const weights = [{ ...spec, shape }];
  return createRandomWeights({ ...program, weights }, { seed: 1, format })[0]!;
}

/** The rows of the sample again and again; a copy, because its bytes go to the backend. */
function repeated(
  { shape: [rows = 1], format, bytes }: HostWeight,
  spec: WeightSpec,
): Omit<HostWeight, 'name'> {
  const rowBytes = bytes.length / rows;
  const whole = new Uint8Array(rowBytes * (spec.shape[0] ?? 1));
  for (let at = 0; at < whole.length; at += bytes.length) {
    whole.set(bytes.subarray(0, Math.min(bytes.length, whole.length - at)), at);
  }
  return { shape: spec.shape, format, bytes: whole };
}

/** As the random weights are stored: matrices in the format, all else, and rows of no whole blocks, in f32. */
export function storedSizes({ weights }: Program, format: WeightFormat): SizedTensor[] {
  return weights.map(({ name, shape }) => {
    const isMatrix = shape.length === 2 && (shape[1] ?? 0) % formatInfo(format).blockSize === 0;
    const stored = isMatrix ? format : 'f32';
    return { name, shape, format: stored, byteLength: bytesForShape(stored, shape) };
  });
}
