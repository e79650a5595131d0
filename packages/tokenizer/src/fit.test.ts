import { describe, expect, it } from 'vitest';
import type { Tokenizer } from './tokenizer.js';
import { byteTokenizer } from './byte-tokenizer.js';
import { assertTokenizerFits, tokenizerFor } from './fit.js';

const sized = (name: string, vocabularySize: number) =>
  ({ ...byteTokenizer(), name, vocabularySize }) as Tokenizer;
const world = sized('world', 65530);
const twentyB = sized('20b', 50277);
const bytes = byteTokenizer();

describe('tokenizerFor', () => {
  it.each([
    [65536, 'world'],
    [50277, '20b'],
    [50304, '20b'],
    [256, 'bytes'],
    [512, undefined],
    [65530, undefined],
    [0, undefined],
  ])('%i: %s', (size, name) => {
    expect(tokenizerFor(size)).toBe(name);
  });
});

describe('assertTokenizerFits', () => {
  it.each<[Tokenizer, number]>([
    [world, 65536],
    [world, 65530],
    [twentyB, 50277],
    [twentyB, 50304],
    [bytes, 256],
  ])('accepts %o with %i', (tokenizer, size) => {
    expect(() => {
      assertTokenizerFits(tokenizer, size);
    }).not.toThrow();
  });

  it.each<[Tokenizer, number]>([
    [world, 50277],
    [world, 65529],
    [world, 65537],
    [world, 256],
    [twentyB, 65536],
    [twentyB, 50276],
    [twentyB, 50305],
    [bytes, 65536],
    [bytes, 257],
    [bytes, 255],
  ])('refuses %o with %i', (tokenizer, size) => {
    expect(() => {
      assertTokenizerFits(tokenizer, size);
    }).toThrow(
      expect.objectContaining({
        code: 'VOCABULARY_MISMATCH',
        expected: tokenizer.vocabularySize,
        got: size,
      }),
    );
  });

  it('says which tokenizer the model needs', () => {
    expect(() => {
      assertTokenizerFits(world, 50277);
    }).toThrow(/"world" tokenizer has 65530 ids.*got 50277.*"20b"/);
  });

  it('refuses what is not a size as a programming mistake', () => {
    for (const size of [0, -1, 1.5, Number.NaN])
      expect(() => {
        assertTokenizerFits(world, size);
      }).toThrow(TypeError);
  });
});
