/** A batch as kernels read it: `headerWords`, then lists, written anew for each step with one copy. */
import type { Batch, Limits } from '@rwkv-ts/backend';
import { firstTokenBit, headerWords } from './kernels/shader.js';

const fixedWords = 16;

/** Words of the largest header: four lists by token, two by sequence, the wanted rows, and embedding vectors. */
export function headerSize(limits: Limits, channels: number): number {
  const { tokens, sequences, wanted } = limits;
  return fixedWords + 4 * tokens + 2 * sequences + 1 + wanted + tokens * channels;
}

/** Writes the header; returns how many of its words the step needs. The batch is valid. */
export function writeHeader(words: Uint32Array, batch: Batch): number {
  const { tokens, starts, slots, wanted, embeddings } = batch;
  const [T, S] = [tokens.length, slots.length];
  const firstAt = fixedWords + T;
  const lastAt = firstAt + T;
  const startsAt = lastAt + T;
  const slotsAt = startsAt + S + 1;
  const wantedAt = slotsAt + S;
  let end = wantedAt + wanted.length;
  words[headerWords.tokens] = T;
  words[headerWords.sequences] = S;
  words[headerWords.wanted] = wanted.length;
  words[headerWords.embeddings] = embeddings?.at.length ?? 0;
  words[headerWords.tokensAt] = fixedWords;
  words[headerWords.firstAt] = firstAt;
  words[headerWords.lastAt] = lastAt;
  words[headerWords.startsAt] = startsAt;
  words[headerWords.slotsAt] = slotsAt;
  words[headerWords.wantedAt] = wantedAt;
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
  words[headerWords.embeddingAt] = end;
  words.fill(0, end, end + T);
  for (let e = 0; e < at.length; e++) words[end + at[e]!] = e + 1;
  end += T;
  words[headerWords.vectorsAt] = end;
  // The bits of the numbers, NaN included.
  words.set(new Uint32Array(vectors.buffer, vectors.byteOffset, vectors.length), end);
  return end + vectors.length;
}
