/** Batches written the way a person thinks of them: sequences of tokens, each in a slot. */
import type { Batch } from '@rwkv-ts/backend';

export interface Sequence {
  readonly slot: number;
  readonly tokens: readonly number[];
}

/** `wanted` are indices into the flat tokens; `all` and `last` (of every sequence) are the usual choices. */
export function batchOf(
  sequences: readonly Sequence[],
  wanted: readonly number[] | 'all' | 'last' = 'all',
): Batch {
  const tokens = sequences.flatMap((sequence) => sequence.tokens);
  const starts = [0];
  for (const { tokens: own } of sequences) starts.push((starts.at(-1) ?? 0) + own.length);
  const rows =
    wanted === 'all'
      ? tokens.map((_, t) => t)
      : wanted === 'last'
        ? starts.slice(1).map((end) => end - 1)
        : wanted;
  return {
    tokens: Uint32Array.from(tokens),
    starts: Uint32Array.from(starts),
    slots: Uint32Array.from(sequences, ({ slot }) => slot),
    wanted: Uint32Array.from(rows),
  };
}
