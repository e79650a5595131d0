import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as arbitrary from '../test/arbitraries.js';
import { firstDifference, madeUpTokens, SlowMatcher, vocabularyText } from '../test/vocabulary.js';
import { worldTokenizerFromText } from './world.js';

const tokens = madeUpTokens();
const tokenizer = worldTokenizerFromText(vocabularyText(tokens));
const slow = new SlowMatcher(tokens);
const utf8 = (text: string) => new TextEncoder().encode(text);

describe('the World tokenizer, on a made-up vocabulary', () => {
  it('encodes text like the slow matcher, counts the same, and decodes back', () => {
    fc.assert(
      fc.property(arbitrary.text, (text) => {
        const encoded = tokenizer.encode(text);
        expect(firstDifference(encoded, slow.encode(utf8(text)))).toBe(-1);
        expect(firstDifference(tokenizer.encodeBytes(utf8(text)), encoded)).toBe(-1);
        expect(tokenizer.count(text)).toBe(encoded.length);
        expect(tokenizer.decode(encoded)).toBe(arbitrary.wellFormed(text));
      }),
      { numRuns: 300 },
    );
  });

  it('encodes text of many chunks the same', () => {
    fc.assert(
      fc.property(arbitrary.longText, (text) => {
        const encoded = tokenizer.encode(text);
        expect(firstDifference(encoded, slow.encode(utf8(text)))).toBe(-1);
        expect(firstDifference(tokenizer.encodeBytes(utf8(text)), encoded)).toBe(-1);
        expect(tokenizer.count(text)).toBe(encoded.length);
      }),
      { numRuns: 60, endOnFailure: true },
    );
  });

  it('encodes any bytes and gives them back', () => {
    fc.assert(
      fc.property(arbitrary.bytes, (bytes) => {
        const encoded = tokenizer.encodeBytes(bytes);
        expect(firstDifference(encoded, slow.encode(bytes))).toBe(-1);
        expect(tokenizer.decodeBytes(encoded)).toEqual(bytes);
        expect(encoded.includes(0)).toBe(false);
      }),
      { numRuns: 500 },
    );
  });

  it.each([16383, 16384, 16385, 32767, 32768, 32769, 49153])(
    'keeps characters and tokens whole over a chunk end at %i',
    (length) => {
      for (const filler of ['🙂', ' ', '你', 'a🙂', 'é ', '=====']) {
        const text =
          `x${filler.repeat(Math.ceil(length / filler.length))}`.slice(0, length) + '🙂你好吗';
        expect(firstDifference(tokenizer.encode(text), slow.encode(utf8(text)))).toBe(-1);
      }
    },
  );

  it('takes a lone surrogate for U+FFFD, as TextEncoder does', () => {
    const id = tokenizer.tokenOf(utf8('\ufffd'))!;
    expect(Array.from(tokenizer.encode('\ud83d'))).toEqual([id]);
    expect(Array.from(tokenizer.encode('\ude42\ud83d'))).toEqual([id, id]);
    expect(tokenizer.decode(tokenizer.encode('a\ud83db'))).toBe('a\ufffdb');
    // Also where the surrogate is the last code unit of a chunk, alone or as half of a pair.
    const padding = 'x'.repeat(16383);
    expect(tokenizer.decode(tokenizer.encode(`${padding}\ud83dy`))).toBe(`${padding}\ufffdy`);
    expect(tokenizer.decode(tokenizer.encode(`${padding}🙂y`))).toBe(`${padding}🙂y`);
  });

  it('never reads the end of text from text, and decodes it to nothing', () => {
    expect(tokenizer.encode('<|endoftext|>').length).toBe(13);
    expect(tokenizer.endOfText).toBe(0);
    expect(tokenizer.tokenBytes(0)).toHaveLength(0);
    expect(tokenizer.decode([0x61 + 1, 0, 0x62 + 1, 0])).toBe('ab');
    expect(tokenizer.tokenOf(new Uint8Array(0))).toBeUndefined();
  });

  it('gives the bytes of a token and the token of bytes', () => {
    tokens.forEach((token, index) => {
      expect(Buffer.compare(tokenizer.tokenBytes(index + 1), token)).toBe(0);
      expect(tokenizer.tokenOf(token)).toBe(index + 1);
    });
    expect(tokenizer.tokenOf(utf8('not a token'))).toBeUndefined();
    expect(() => tokenizer.tokenBytes(tokens.length + 1)).toThrow(
      expect.objectContaining({ code: 'UNKNOWN_TOKEN', expected: tokens.length }),
    );
  });

  it('streams to the same text as decoding at once', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: tokens.length }), { maxLength: 200 }),
        (ids) => {
          const decoder = tokenizer.createDecoder();
          const streamed = ids.map((id) => decoder.push(id)).join('') + decoder.flush();
          expect(streamed).toBe(tokenizer.decode(ids));
        },
      ),
      { numRuns: 500 },
    );
  });

  it('keeps nothing between calls and gives arrays of its own', () => {
    const first = tokenizer.encode('the abc');
    const kept = Array.from(first);
    tokenizer.encode('something else entirely');
    expect(Array.from(first)).toEqual(kept);
    expect(first.buffer.byteLength).toBe(first.byteLength);
    expect(tokenizer.encode('')).toEqual(new Uint32Array(0));
    expect(tokenizer.encodeBytes(new Uint8Array(0))).toEqual(new Uint32Array(0));
    expect(tokenizer.decode([])).toBe('');
    expect(tokenizer.count('')).toBe(0);
  });

  it('refuses the wrong types as programming mistakes', () => {
    expect(() => tokenizer.encode(5 as unknown as string)).toThrow(TypeError);
    expect(() => tokenizer.count(undefined as unknown as string)).toThrow(TypeError);
    expect(() => tokenizer.encodeBytes('abc' as unknown as Uint8Array)).toThrow(TypeError);
  });
});
