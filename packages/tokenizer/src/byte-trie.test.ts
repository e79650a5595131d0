import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { firstDifference, madeUpTokens, SlowMatcher } from '../test/vocabulary.js';
import { buildTrie, findToken, MAX_TRIE_NODES } from './byte-trie.js';
import { TokenTableBuilder, type TokenTable } from './token-table.js';
import { TrieWalker } from './trie-walk.js';

function tableOf(tokens: readonly Uint8Array[]): TokenTable {
  const builder = new TokenTableBuilder();
  tokens.forEach((token, index) => {
    builder.add(index + 1, token, token.length, `token ${index + 1}`);
  });
  return builder.build(0);
}
const singles = Array.from({ length: 256 }, (_, byte) => Uint8Array.of(byte));

describe('buildTrie', () => {
  it('finds every token and nothing else', () => {
    const tokens = madeUpTokens();
    const trie = buildTrie(tableOf(tokens));
    tokens.forEach((token, index) => {
      expect(findToken(trie, token)).toBe(index + 1);
    });
    for (const absent of ['', 'abcd', 'abcdefg', 'thex', 'bcdefgh'])
      expect(findToken(trie, Buffer.from(absent))).toBeUndefined();
    expect(trie.longestToken).toBe(128);
  });

  it('marks exactly the neighbours inside tokens', () => {
    const tokens = madeUpTokens();
    const expected = new Uint8Array(65536);
    for (const token of tokens)
      for (let at = 1; at < token.length; at++) expected[(token[at - 1]! << 8) | token[at]!] = 1;
    expect(Buffer.compare(buildTrie(tableOf(tokens)).neighbours, expected)).toBe(0);
  });

  it('refuses two tokens of the same bytes, naming both', () => {
    const tokens = [...singles, Buffer.from('xy'), Buffer.from('xy')];
    expect(() => buildTrie(tableOf(tokens))).toThrow(/token 258 .* the bytes of token 257/);
  });

  it('refuses a vocabulary without a single byte, even where longer tokens begin with it', () => {
    const without = singles.filter((token) => token[0] !== 0x41);
    expect(() => buildTrie(tableOf(without))).toThrow(/255 different bytes/);
    expect(() => buildTrie(tableOf([...without, Buffer.from('AB')]))).toThrow(
      /no token for byte 0x41/,
    );
    expect(() => buildTrie(tableOf([]))).toThrow(
      expect.objectContaining({ code: 'VOCABULARY_INVALID' }),
    );
  });

  it('refuses a vocabulary with too many nodes, quickly', () => {
    const tokens = [...singles];
    for (let index = 0; index < 1100; index++) {
      const token = new Uint8Array(1024).fill(index & 255);
      token[0] = index >> 8;
      token[1] = index & 255;
      tokens.push(token);
    }
    expect(() => buildTrie(tableOf(tokens))).toThrow(`at most ${MAX_TRIE_NODES} nodes`);
  });
});

describe('TrieWalker', () => {
  const alphabet = fc.constantFrom(0x61, 0x62, 0x63, 0x20, 0xe4, 0xff);
  const word = fc
    .array(alphabet, { minLength: 2, maxLength: 12 })
    .map((values) => Uint8Array.from(values));
  const words = fc.uniqueArray(word, { maxLength: 40, selector: (bytes) => bytes.join() });
  const input = fc
    .array(alphabet, { maxLength: 5000, size: 'max' })
    .map((values) => Uint8Array.from(values));

  it('matches like the slow matcher, in one lane and in four, for random vocabularies', () => {
    let inLanes = 0;
    fc.assert(
      fc.property(words, input, (extra, bytes) => {
        const tokens = [...singles, ...extra];
        const walker = new TrieWalker(buildTrie(tableOf(tokens)));
        const out = new Uint32Array(bytes.length);
        const count = walker.walk(bytes, 0, bytes.length, bytes.length, out, 0);
        expect(walker.position).toBe(bytes.length);
        expect(firstDifference(out.subarray(0, count), new SlowMatcher(tokens).encode(bytes))).toBe(
          -1,
        );
        if (bytes.length >= 1024) inLanes++;
      }),
      { numRuns: 200, endOnFailure: true },
    );
    expect(inLanes).toBeGreaterThan(50);
  });

  it('begins no token at or after the soft end, and lets the last one reach beyond it', () => {
    const tokens = madeUpTokens();
    const walker = new TrieWalker(buildTrie(tableOf(tokens)));
    const bytes = Buffer.from('the abcdefgh');
    const out = new Uint32Array(16);
    const count = walker.walk(bytes, 0, 5, bytes.length, out, 2);
    expect(walker.position).toBe(bytes.length);
    expect(firstDifference(out.subarray(2, count), new SlowMatcher(tokens).encode(bytes))).toBe(-1);
    expect(walker.walk(bytes, 0, 0, bytes.length, out, 0)).toBe(0);
    expect(walker.position).toBe(0);
  });
});
