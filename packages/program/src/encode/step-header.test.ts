import { expect, test } from 'vitest';
import { firstTokenBit, stepHeaderWords, stepWords, writeStepHeader } from './step-header.js';

const batch = {
  tokens: Uint32Array.of(7, 8, 9),
  starts: Uint32Array.of(0, 2, 3),
  slots: Uint32Array.of(5, 1),
  wanted: Uint32Array.of(1, 2),
};
const limits = { tokens: 3, sequences: 2, wanted: 2 };

test('counts, then where the lists are, then the lists', () => {
  const words = new Uint32Array(stepHeaderWords(limits, 2)).fill(99);
  const used = writeStepHeader(words, batch);
  expect([...words.subarray(0, 10)]).toEqual([3, 2, 2, 0, 16, 19, 22, 25, 28, 30]);
  expect([...words.subarray(16, used)]).toEqual([
    ...batch.tokens,
    ...[firstTokenBit + 5, 0, firstTokenBit + 1],
    ...[1, 1, 2],
    ...batch.starts,
    ...batch.slots,
    ...batch.wanted,
  ]);
  expect([...words.subarray(used)].every((word) => word === 99)).toBe(true);
});

test('embedding vectors keep their bits, and the largest header holds them', () => {
  const vectors = new Float32Array(6);
  const bits = new Uint32Array(vectors.buffer);
  bits.set([0x7fc12345, 1, 2, 3, 4, 5]);
  const words = new Uint32Array(stepHeaderWords(limits, 2));
  const used = writeStepHeader(words, {
    ...batch,
    embeddings: { at: Uint32Array.of(0, 1, 2), vectors },
  });
  expect(used).toBe(words.length);
  const [at, from] = [words[stepWords.embeddingAt]!, words[stepWords.vectorsAt]!];
  expect(words[stepWords.embeddings]).toBe(3);
  expect([...words.subarray(at, at + 3)]).toEqual([1, 2, 3]);
  expect([...words.subarray(from)]).toEqual([...bits]);
});

test('tokens between embedding vectors are tokens', () => {
  const words = new Uint32Array(stepHeaderWords(limits, 2)).fill(99);
  const embeddings = { at: Uint32Array.of(1), vectors: Float32Array.of(1, 2) };
  const used = writeStepHeader(words, { ...batch, embeddings });
  const at = words[stepWords.embeddingAt]!;
  expect([...words.subarray(at, at + 3)]).toEqual([0, 1, 0]);
  expect(used).toBe(words[stepWords.vectorsAt]! + 2);
});
