import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as arbitrary from '../test/arbitraries.js';
import { checkTextLength, incompleteTail, MAX_TEXT_BYTES, Utf8StreamDecoder } from './utf8.js';

const whole = new TextDecoder('utf-8', { ignoreBOM: true });
const pieces = (parts: readonly Uint8Array[]) => new Utf8StreamDecoder((token) => parts[token]!);
const pushAll = (decoder: Utf8StreamDecoder, count: number) =>
  Array.from({ length: count }, (_, token) => decoder.push(token));

describe('Utf8StreamDecoder', () => {
  it('gives the same text as decoding everything at once, however the bytes are split', () => {
    fc.assert(
      fc.property(
        arbitrary.bytes,
        fc.array(fc.integer({ min: 0, max: 7 }), { minLength: 1, maxLength: 50 }),
        (bytes, sizes) => {
          const parts: Uint8Array[] = [];
          for (let at = 0, turn = 0; at < bytes.length; turn++) {
            const size = turn > 500 ? 1 : sizes[turn % sizes.length]!;
            parts.push(bytes.subarray(at, at + size));
            at += size;
          }
          const decoder = pieces(parts);
          const text = pushAll(decoder, parts.length).join('') + decoder.flush();
          expect(text).toBe(whole.decode(bytes));
        },
      ),
      { numRuns: 2000 },
    );
  });

  it('agrees with whole decoding for every sequence of up to three edge bytes, one byte at a time', () => {
    const edges = [
      0x41, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc1, 0xc2, 0xe0, 0xe1, 0xed, 0xef, 0xf0, 0xf1,
      0xf4, 0xf5,
    ];
    for (const a of edges)
      for (const b of edges)
        for (const c of edges)
          for (const d of [0x41, 0x80, 0xe0]) {
            const bytes = Uint8Array.of(a, b, c, d);
            const decoder = pieces(Array.from(bytes, (byte) => Uint8Array.of(byte)));
            expect(pushAll(decoder, 4).join('') + decoder.flush()).toBe(whole.decode(bytes));
          }
  });

  it('never gives out half a character', () => {
    const emoji = new TextEncoder().encode('🙂');
    const decoder = pieces(Array.from(emoji, (byte) => Uint8Array.of(byte)));
    expect(pushAll(decoder, 4)).toEqual(['', '', '', '🙂']);
    expect(decoder.flush()).toBe('');
  });

  it('gives one U+FFFD for a character cut short, and is as new after flush', () => {
    const decoder = pieces([Uint8Array.of(0xf0, 0x9f, 0x99), Uint8Array.of(0x41)]);
    expect(decoder.push(0)).toBe('');
    expect(decoder.flush()).toBe('\ufffd');
    expect(decoder.push(1)).toBe('A');
    expect(decoder.flush()).toBe('');
  });

  it('keeps a byte order mark', () => {
    const decoder = pieces([Uint8Array.of(0xef, 0xbb), Uint8Array.of(0xbf, 0x41)]);
    expect(pushAll(decoder, 2).join('')).toBe('\ufeffA');
  });

  it('clones into two that do not share what they hold', () => {
    const decoder = pieces([
      Uint8Array.of(0xe4),
      Uint8Array.of(0xbd, 0xa0),
      Uint8Array.of(0xb8, 0x96),
    ]);
    decoder.push(0);
    const fork = decoder.clone();
    expect(decoder.push(1)).toBe('你');
    expect(fork.push(2)).toBe('世');
    expect(decoder.flush() + fork.flush()).toBe('');
  });

  it('is unchanged by a token that throws', () => {
    const decoder = new Utf8StreamDecoder((token) => {
      if (token === 9) throw new Error('unknown');
      return Uint8Array.of(token);
    });
    decoder.push(0xc3);
    expect(() => decoder.push(9)).toThrow('unknown');
    expect(decoder.push(0xa9)).toBe('é');
  });
});

describe('incompleteTail', () => {
  it.each([
    [[], 0],
    [[0x41], 0],
    [[0x41, 0xc3], 1],
    [[0xe4, 0xbd], 2],
    [[0xf0, 0x9f, 0x99], 3],
    [[0xf0, 0x9f, 0x99, 0x82], 0],
    [[0xe0, 0x80], 0],
    [[0xed, 0xa0], 0],
    [[0xf4, 0x90], 0],
    [[0x80, 0x80, 0x80], 0],
    [[0xc0], 0],
    [[0xf5], 0],
  ])('of %j is %i', (bytes, expected) => {
    expect(incompleteTail(Uint8Array.from(bytes))).toBe(expected);
  });
});

describe('checkTextLength', () => {
  it('refuses more bytes than one string can hold, naming both numbers', () => {
    expect(() => {
      checkTextLength(MAX_TEXT_BYTES);
    }).not.toThrow();
    expect(() => {
      checkTextLength(MAX_TEXT_BYTES + 1);
    }).toThrow(
      expect.objectContaining({
        code: 'TEXT_TOO_LONG',
        expected: MAX_TEXT_BYTES,
        got: MAX_TEXT_BYTES + 1,
      }),
    );
  });
});
