/**
 * Sizes of steps that launches are made for. A step runs as the smallest bucket that holds it, so that few graphs serve
 * all steps; rows of the bucket that the step does not have are left alone by every kernel.
 *
 * Tokens: each number up to 8, then two for each octave (12, 16, 24, 32, …). Sequences and wanted rows: powers of two.
 * The limits are the last sizes.
 */
import type { Limits } from '@rwkv-ts/backend';

/** Numbers of tokens, wanted rows and sequences. */
export type Bucket = Limits;

const exactTokens = 8;

/** The sizes of buckets up to a limit, ascending. */
export function tokenSizes(limit: number): number[] {
  const sizes: number[] = [];
  for (let size = 1; size < limit; size = nextTokens(size)) sizes.push(size);
  return [...sizes, limit];
}

/** Of sequences or wanted rows; without 0. */
export function rowSizes(limit: number): number[] {
  const sizes: number[] = [];
  for (let size = 1; size < limit; size *= 2) sizes.push(size);
  return limit > 0 ? [...sizes, limit] : [];
}

/** The bucket of a step within the limits. */
export function bucketFor(step: Limits, limits: Limits): Bucket {
  return {
    tokens: Math.min(limits.tokens, tokensAbove(step.tokens)),
    wanted: Math.min(limits.wanted, powerAbove(step.wanted)),
    sequences: Math.min(limits.sequences, powerAbove(step.sequences)),
  };
}

function nextTokens(size: number): number {
  return size < exactTokens ? size + 1 : tokensAbove(size + 1);
}

function tokensAbove(count: number): number {
  if (count <= exactTokens) return count;
  const power = powerAbove(count);
  return count <= power * 0.75 ? power * 0.75 : power;
}

const powerAbove = (count: number): number => (count === 0 ? 0 : 2 ** Math.ceil(Math.log2(count)));
