import { describe, expect, it } from 'vitest';
import { madeUpTokens, vocabularyGguf, vocabularyText } from '../test/vocabulary.js';
import { byteTokenizer } from './byte-tokenizer.js';
import {
  worldTokenizerFromGguf,
  worldTokenizerFromText,
  worldTokenizerToBinary,
  worldTokenizerToGguf,
} from './world.js';

const tokens = madeUpTokens();
const strings = vocabularyGguf(tokens, tokens.length + 40);

describe('worldTokenizerFromGguf', () => {
  it('gives the same vocabulary as the text, without the padding', () => {
    const fromText = worldTokenizerFromText(vocabularyText(tokens));
    const fromGguf = worldTokenizerFromGguf(strings);
    expect(fromGguf.vocabularySize).toBe(tokens.length + 1);
    expect(worldTokenizerToBinary(fromGguf)).toEqual(worldTokenizerToBinary(fromText));
  });

  it('does not mind what token 0 is called, or that there is no padding', () => {
    const variant = ['<|endoftext|>', ...strings.slice(1, tokens.length + 1)];
    expect(worldTokenizerFromGguf(variant).vocabularySize).toBe(tokens.length + 1);
  });

  it.each([
    ['é', /token 300.*printable ASCII/],
    ['\\u0041', /token 300.*escape/],
    ['\\x4', /token 300.*hexadecimal/],
    ['a\\', /token 300.*escape/],
    ['', /token 300.*1 to 1024 bytes/],
    ['a', /the bytes of token/],
    ['a'.repeat(5000), /token 300.*4096 characters/],
    ['a'.repeat(1025), /token 300.*1024 bytes/],
  ])('refuses a token %j', (token, message) => {
    const variant = [...strings];
    variant[300] = token;
    expect(() => worldTokenizerFromGguf(variant)).toThrow(message);
    expect(() => worldTokenizerFromGguf(variant)).toThrow(
      expect.objectContaining({ code: 'VOCABULARY_INVALID' }),
    );
  });

  it('refuses too many tokens, none, and only padding', () => {
    expect(() => worldTokenizerFromGguf(new Array<string>(65537).fill('a'))).toThrow(
      /at most 65536 tokens, got 65537/,
    );
    for (const few of [[], ['<s>'], ['<s>', '[PAD1]', '[PAD2]']])
      expect(() => worldTokenizerFromGguf(few)).toThrow(
        expect.objectContaining({ code: 'VOCABULARY_INVALID' }),
      );
  });

  it('refuses the wrong type as a programming mistake', () => {
    expect(() => worldTokenizerFromGguf([1] as unknown as string[])).toThrow(TypeError);
  });
});

describe('worldTokenizerToGguf', () => {
  it('gives the strings that Python would write, without padding', () => {
    const written = worldTokenizerToGguf(worldTokenizerFromText(vocabularyText(tokens)));
    expect(written).toEqual(strings.slice(0, tokens.length + 1));
  });

  it('escapes a quote only beside the other kind', () => {
    const single = Array.from({ length: 256 }, (_, byte) => Uint8Array.of(byte));
    const mixed = [`'"`, 'it is "so"', "it's", '\\\t\n\r\u0000\u007f'].map((text) =>
      Buffer.from(text),
    );
    const written = worldTokenizerToGguf(
      worldTokenizerFromText(vocabularyText([...single, ...mixed])),
    );
    expect(written[1 + 0x27]).toBe("'");
    expect(written.slice(257)).toEqual([`\\'"`, 'it is "so"', "it's", '\\\\\\t\\n\\r\\x00\\x7f']);
  });

  it('refuses another tokenizer', () => {
    expect(() => worldTokenizerToGguf(byteTokenizer())).toThrow(TypeError);
  });
});
