/** Cuts samples into chunks, and lays the same chunk of several side by side as one batch. */
import type { TrainingBatch } from '@rwkv-ts/backend';
import { counts, type Sample } from './samples.js';

/** A sample in work. */
export interface Lane {
  readonly sample: Sample;
  /** Where the sample's state lives. */
  readonly slot: number;
  /** Tokens to run: those behind the last target that counts may be left out. */
  readonly length: number;
}

/** Tokens up to the last target that counts. */
export function countedLength(sample: Sample): number {
  let length = sample.tokens.length;
  while (length > 0 && !counts(sample, length - 1)) length--;
  return length;
}

export const chunksOf = ({ length }: Lane, chunk: number): number => Math.ceil(length / chunk);

/** Chunk `index` of each lane that is so long. Rows that do not count are not wanted. */
export function chunkBatch(
  lanes: readonly Lane[],
  { index, chunk }: { readonly index: number; readonly chunk: number },
): TrainingBatch {
  const begin = index * chunk;
  const running = lanes.filter(({ length }) => length > begin);
  const lengths = running.map(({ length }) => Math.min(length - begin, chunk));
  const total = lengths.reduce((sum, length) => sum + length, 0);
  const tokens = new Uint32Array(total);
  const starts = new Uint32Array(running.length + 1);
  const wanted: number[] = [];
  const targets: number[] = [];
  const weights: number[] = [];
  let at = 0;
  for (const [place, { sample }] of running.entries()) {
    const end = begin + lengths[place]!;
    tokens.set(sample.tokens.subarray(begin, end), at);
    for (let token = begin; token < end; token++) {
      if (!counts(sample, token)) continue;
      wanted.push(at + token - begin);
      targets.push(sample.targets[token]!);
      weights.push(sample.mask?.[token] ?? 1);
    }
    at += lengths[place]!;
    starts[place + 1] = at;
  }
  return {
    tokens,
    starts,
    slots: Uint32Array.from(running, ({ slot }) => slot),
    wanted: Uint32Array.from(wanted),
    targets: Uint32Array.from(targets),
    ...(weights.some((weight) => weight !== 1) ? { lossWeights: Float32Array.from(weights) } : {}),
  };
}
