/** Random numbers and weights that are the same on every run and exact in f32. */
import type { HostWeight, Program } from '@rwkv-ts/backend';

/** mulberry32: uniform in [0, 1). */
export function createRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Normally distributed, standard deviation 1. */
export function createNormal(seed: number): () => number {
  const random = createRandom(seed);
  return () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}

export type NamedWeights = ReadonlyMap<string, Float32Array>;

/** Weights of sensible size for every name of a program: matrices of unit gain, norms around 1. */
export function randomWeights(program: Program, seed = 1): NamedWeights {
  const normal = createNormal(seed);
  return new Map(
    program.weights.map(({ name, shape }) => {
      const count = shape.reduce((product, size) => product * size, 1);
      const isNorm = /ln.*\.weight$/.test(name);
      const scale = name.endsWith('.weight') && !isNorm ? (shape.at(-1) ?? 1) ** -0.5 : 0.4;
      const center = isNorm ? 1 : 0;
      return [name, Float32Array.from({ length: count }, () => center + scale * normal())];
    }),
  );
}

export async function* hostWeights(
  program: Program,
  weights: NamedWeights,
): AsyncGenerator<HostWeight> {
  for (const { name, shape } of program.weights) {
    const values = weights.get(name);
    if (!values) throw new Error(`no weight ${name}`);
    yield { name, shape, format: 'f32', bytes: new Uint8Array(values.slice().buffer) };
  }
}
