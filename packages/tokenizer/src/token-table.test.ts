import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { madeUpTokens } from '../test/vocabulary.js';
import {
  bytesOf,
  joinTokens,
  MAX_TOKEN_BYTES,
  textOf,
  TokenTableBuilder,
  type TokenTable,
} from './token-table.js';

const tokens = madeUpTokens();
function build(): TokenTable {
  const builder = new TokenTableBuilder();
  // Last to first, to show that order of arrival does not matter.
  for (let id = tokens.length; id > 0; id--)
    builder.add(id, tokens[id - 1]!, tokens[id - 1]!.length, 'test');
  return builder.build(0);
}
const table = build();
const expectedBytes = (ids: readonly number[]) =>
  Buffer.concat(ids.map((id) => (id === 0 ? new Uint8Array(0) : tokens[id - 1]!)));
const ids = fc.array(fc.integer({ min: 0, max: tokens.length }), { maxLength: 3000, size: 'max' });

describe('joinTokens and textOf', () => {
  it('join the bytes, and decode as one decoder would, over the piece boundaries', () => {
    let long = 0;
    fc.assert(
      fc.property(ids, fc.integer({ min: 1, max: 40 }), (some, times) => {
        const all = Array.from({ length: times }, () => some).flat();
        const expected = expectedBytes(all);
        expect(Buffer.compare(joinTokens(table, all), expected)).toBe(0);
        expect(textOf(table, Uint32Array.from(all))).toBe(
          new TextDecoder('utf-8', { ignoreBOM: true }).decode(expected),
        );
        if (expected.length > 65536) long++;
      }),
      { numRuns: 60, endOnFailure: true },
    );
    expect(long).toBeGreaterThan(5);
  });

  it('decodes a character whose bytes lie on both sides of a piece', () => {
    const lead = tokens.findIndex((token) => token.length === 2 && token[0] === 0xf0) + 1;
    const rest = [0x99, 0x82].map((byte) => byte + 1);
    for (const padding of [64500, 64501, 64502, 64503, 64504, 64505, 64506]) {
      const input = [
        ...new Array<number>(padding).fill(0x41 + 1),
        ...[lead, ...rest, lead, ...rest].flat(),
        ...new Array<number>(3000).fill(0x42 + 1),
      ];
      expect(textOf(table, input)).toBe('A'.repeat(padding) + '🙂🙂' + 'B'.repeat(3000));
    }
  });

  it.each([[tokens.length + 1], [-1], [1.5], [Number.NaN], [65536], [2 ** 32]])(
    'refuses token %d with its position and the range',
    (token) => {
      const message = `token ${token} at position 2 is not in the vocabulary, whose ids run from 0 to ${tokens.length}`;
      expect(() => joinTokens(table, [1, 2, token])).toThrow(message);
      expect(() => textOf(table, [1, 2, token])).toThrow(message);
      expect(() => bytesOf(table, token)).toThrow(
        expect.objectContaining({ code: 'UNKNOWN_TOKEN', got: token }),
      );
    },
  );

  it('refuses a gap between the ids', () => {
    const builder = new TokenTableBuilder();
    builder.add(1, Uint8Array.of(1), 1, 'test');
    builder.add(3, Uint8Array.of(3), 1, 'test');
    const withGap = builder.build(0);
    expect(withGap.size).toBe(4);
    expect(() => joinTokens(withGap, [1, 2, 3])).toThrow(
      expect.objectContaining({ code: 'UNKNOWN_TOKEN', got: 2 }),
    );
    expect(Array.from(joinTokens(withGap, [3, 0, 1]))).toEqual([3, 1]);
  });
});

describe('bytesOf', () => {
  it('gives a copy', () => {
    bytesOf(table, 1).fill(0x7f);
    expect(bytesOf(table, 1)).toEqual(Uint8Array.of(0));
    expect(bytesOf(table, 0)).toHaveLength(0);
  });
});

describe('TokenTableBuilder', () => {
  it('names the place and the limit for ids and lengths out of range', () => {
    const builder = new TokenTableBuilder();
    const long = new Uint8Array(MAX_TOKEN_BYTES + 1);
    builder.add(7, long, MAX_TOKEN_BYTES, 'line 1');
    const attempts: [number, number, RegExp][] = [
      [65536, 1, /line 2.*0 to 65535, got 65536/],
      [-1, 1, /line 2/],
      [0.5, 1, /line 2/],
      [8, 0, /1 to 1024 bytes, got 0/],
      [8, MAX_TOKEN_BYTES + 1, /1 to 1024 bytes, got 1025/],
      [7, 1, /id 7 a second time/],
    ];
    for (const [id, length, message] of attempts)
      expect(() => {
        builder.add(id, long, length, 'line 2');
      }).toThrow(message);
  });
});
