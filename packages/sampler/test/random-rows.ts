/** Deterministic test data: a small generator of its own, rows of many shapes, random options. */
import type { SamplerOptions } from '../src/index.js';

/** The multiplicative generator of Park and Miller; enough to make up test data. */
export class TestRandom {
  #state: number;
  constructor(seed: number) {
    this.#state = (seed % 2147483646) + 1;
    for (let i = 0; i < 5; i++) this.uniform();
  }
  uniform(): number {
    this.#state = (this.#state * 48271) % 2147483647;
    return this.#state / 2147483647;
  }
  below(limit: number): number {
    return Math.floor(this.uniform() * limit);
  }
  pick<T>(choices: readonly T[]): T {
    return choices[this.below(choices.length)]!;
  }
  normal(): number {
    return Math.sqrt(-2 * Math.log(1 - this.uniform())) * Math.cos(2 * Math.PI * this.uniform());
  }
}

export const rowKinds = [
  'normal',
  'peaked',
  'flat',
  'ties',
  'holes',
  'high',
  'low',
  'wide',
  'huge',
] as const;
export type RowKind = (typeof rowKinds)[number];

const logitOf: Record<RowKind, (random: TestRandom) => number> = {
  normal: (random) => 3 * random.normal(),
  peaked: (random) => (random.uniform() < 0.02 ? 12 : -6) + 2 * random.normal(),
  flat: () => 1.5,
  ties: (random) => Math.round(2 * random.normal()),
  holes: (random) => (random.uniform() < 0.5 ? -Infinity : 2 * random.normal()),
  high: (random) => 700 + 4 * random.normal(),
  low: (random) => -300 + 4 * random.normal(),
  wide: (random) => 200 * random.normal(),
  huge: (random) => 1e9 * random.normal(),
};

export function randomRow(random: TestRandom, size: number, kind: RowKind): Float32Array {
  const row = Float32Array.from({ length: size }, () => logitOf[kind](random));
  if (kind === 'holes') row[random.below(size)] = 1;
  return row;
}

/** Each option present or absent at random, so that every combination comes up. */
export function randomOptions(random: TestRandom, size: number): SamplerOptions {
  const half = (): boolean => random.uniform() < 0.5;
  const rarely = (): boolean => random.uniform() < 0.25;
  const tokens = (most: number): number[] =>
    Array.from({ length: random.below(most) }, () => random.below(size));
  const ban = new Set(tokens(4));
  return {
    ...(half() && { temperature: random.pick([0, 1e-6, 0.1, 0.5, 0.8, 1, 1.7, 5]) }),
    ...(half() && { topK: random.pick([0, 1, 2, 5, 40, 200, 5000]) }),
    ...(half() && { topP: random.pick([0, 0.1, 0.3, 0.85, 0.97, 0.9999, 1]) }),
    ...(rarely() && { minP: random.pick([0, 1e-6, 0.02, 0.3, 1]) }),
    ...(rarely() && { typicalP: random.pick([1e-9, 0.2, 0.7, 0.95, 1]) }),
    ...(rarely() && {
      mirostat: {
        targetSurprise: random.pick([0, 1, 3, 6]),
        learningRate: random.pick([0, 0.1, 1]),
      },
    }),
    ...(half() && { presencePenalty: random.pick([0, 0.5, 2, -1]) }),
    ...(half() && { frequencyPenalty: random.pick([0, 0.2, 1.5, -0.5]) }),
    ...(half() && { penaltyDecay: random.pick([0, 1e-70, 0.5, 0.99, 0.996, 1]) }),
    ...(rarely() && { repetitionPenalty: random.pick([1, 1.2, 0.7, 3]) }),
    ...(rarely() && { repetitionWindow: random.pick([1, 3, 64]) }),
    ...(half() && {
      logitBias: new Map(tokens(5).map((token) => [token, random.pick([-2, 1, 5, 40, 2000])])),
    }),
    ...(size > 8 && half() && { bannedTokens: ban }),
    ...(rarely() && { penaltyExempt: new Set(tokens(size)) }),
    ...(rarely() && { topLogprobs: random.pick([1, 3, 20]) }),
  };
}
