/** A batch as kernels of a device read it: sixteen words, then lists, written anew for each step with one copy. */
import type { Batch, Limits } from '@rwkv-ts/backend';

/** What each word before the lists is: how many there are of something, or at which word a list begins. */
export const stepWords = {
  tokens: 0,
  wanted: 1,
  sequences: 2,
  embeddings: 3,
  tokensAt: 4,
  firstAt: 5,
  lastAt: 6,
  startsAt: 7,
  slotsAt: 8,
  wantedAt: 9,
  embeddingAt: 10,
  vectorsAt: 11,
} as const;
const fixedWords = 16;

/** In the list at `firstAt`: the token is the first of its sequence, whose slot is in the other bits; others are 0. */
export const firstTokenBit = 0x80000000;

/** Words of the largest header: four lists by token, two by sequence, the wanted rows, and embedding vectors. */
export function stepHeaderWords(limits: Limits, channels: number): number {
  const { tokens, sequences, wanted } = limits;
  return fixedWords + 4 * tokens + 2 * sequences + 1 + wanted + tokens * channels;
}

/** Writes the header; returns how many of its words the step needs. The batch is valid. */
export function writeStepHeader(words: Uint32Array, batch: Batch): number {
  const { tokens, starts, slots, wanted, embeddings } = batch;
  const [T, S] = [tokens.length, slots.length];
  const firstAt = fixedWords + T;
  const lastAt = firstAt + T;
  const startsAt = lastAt + T;
  const slotsAt = startsAt + S + 1;
  const wantedAt = slotsAt + S;
  let end = wantedAt + wanted.length;
  words[stepWords.tokens] = T;
  words[stepWords.wanted] = wanted.length;
  words[stepWords.sequences] = S;
  words[stepWords.embeddings] = embeddings?.at.length ?? 0;
  words[stepWords.tokensAt] = fixedWords;
  words[stepWords.firstAt] = firstAt;
  words[stepWords.lastAt] = lastAt;
  words[stepWords.startsAt] = startsAt;
  words[stepWords.slotsAt] = slotsAt;
  words[stepWords.wantedAt] = wantedAt;
  words.set(tokens, fixedWords);
  words.set(starts, startsAt);
  words.set(slots, slotsAt);
  words.set(wanted, wantedAt);
  words.fill(0, firstAt, firstAt + T);
  for (let s = 0; s < S; s++) {
    const [first, last] = [starts[s]!, starts[s + 1]! - 1];
    words[firstAt + first] = (firstTokenBit | slots[s]!) >>> 0;
    words.fill(last, lastAt + first, lastAt + last + 1);
  }
  if (!embeddings || embeddings.at.length === 0) return end;
  const { at, vectors } = embeddings;
  words[stepWords.embeddingAt] = end;
  words.fill(0, end, end + T);
  for (let e = 0; e < at.length; e++) words[end + at[e]!] = e + 1;
  end += T;
  words[stepWords.vectorsAt] = end;
  // The bits of the numbers, NaN included.
  words.set(new Uint32Array(vectors.buffer, vectors.byteOffset, vectors.length), end);
  return end + vectors.length;
}
