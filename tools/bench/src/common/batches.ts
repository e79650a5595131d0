/** The batches that are measured: tokens from all over the table, as a text's are. */
import type { Batch, Program } from '@rwkv-ts/backend';

/** What a step gives back: all logits, or the likeliest tokens. */
export type RowsKind = 'logits' | 'candidates';

const spreadToken = (index: number, { output }: Pick<Program, 'output'>): number =>
  ((index + 1) * 7919) % output.width;

/** A token of each of so many sequences. */
export function decodeBatch(
  program: Program,
  { sequences, rows }: { sequences: number; rows: RowsKind },
): Batch {
  const indices = Uint32Array.from({ length: sequences }, (_, index) => index);
  return {
    tokens: indices.map((index) => spreadToken(index, program)),
    starts: Uint32Array.from({ length: sequences + 1 }, (_, index) => index),
    slots: indices,
    wanted: indices,
    ...(rows === 'candidates' ? { candidates: true } : {}),
  };
}

/** A prompt of one sequence, of which the last token is wanted. */
export function prefillBatch(program: Program, tokens: number): Batch {
  return {
    tokens: Uint32Array.from({ length: tokens }, (_, index) => spreadToken(index, program)),
    starts: Uint32Array.of(0, tokens),
    slots: Uint32Array.of(0),
    wanted: Uint32Array.of(tokens - 1),
  };
}
