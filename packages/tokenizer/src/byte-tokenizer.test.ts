import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as arbitrary from '../test/arbitraries.js';
import { byteTokenizer } from './byte-tokenizer.js';

const tokenizer = byteTokenizer();

describe('the byte tokenizer', () => {
  it('is the bytes themselves', () => {
    fc.assert(
      fc.property(arbitrary.bytes, (bytes) => {
        const encoded = tokenizer.encodeBytes(bytes);
        expect(Array.from(encoded)).toEqual(Array.from(bytes));
        expect(tokenizer.decodeBytes(encoded)).toEqual(bytes);
        expect(tokenizer.decode(encoded)).toBe(
          new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes),
        );
      }),
    );
    fc.assert(
      fc.property(arbitrary.text, (text) => {
        const encoded = tokenizer.encode(text);
        expect(Array.from(encoded)).toEqual(Array.from(new TextEncoder().encode(text)));
        expect(tokenizer.count(text)).toBe(encoded.length);
      }),
    );
  });

  it('has 256 tokens, token 0 is byte 0, and no end of text', () => {
    expect(tokenizer).toMatchObject({ name: 'bytes', vocabularySize: 256, endOfText: undefined });
    for (let byte = 0; byte < 256; byte++) {
      expect(tokenizer.tokenBytes(byte)).toEqual(Uint8Array.of(byte));
      expect(tokenizer.tokenOf(Uint8Array.of(byte))).toBe(byte);
    }
    expect(tokenizer.tokenOf(Uint8Array.of(1, 2))).toBeUndefined();
    expect(() => tokenizer.decode([256])).toThrow(
      expect.objectContaining({ code: 'UNKNOWN_TOKEN', expected: 255, got: 256 }),
    );
  });

  it('streams whole characters', () => {
    const decoder = tokenizer.createDecoder();
    expect(Array.from(tokenizer.encode('é🙂'), (token) => decoder.push(token))).toEqual([
      '',
      'é',
      '',
      '',
      '',
      '🙂',
    ]);
  });

  it('refuses the wrong types as programming mistakes', () => {
    expect(() => tokenizer.encode(5 as unknown as string)).toThrow(TypeError);
    expect(() => tokenizer.encodeBytes('abc' as unknown as Uint8Array)).toThrow(TypeError);
  });
});
