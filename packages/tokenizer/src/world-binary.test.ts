import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { madeUpTokens, vocabularyText } from '../test/vocabulary.js';
import { TokenizerError } from './errors.js';
import { readWorldBinary } from './world-binary.js';
import {
  worldTokenizerFromBinary,
  worldTokenizerFromText,
  worldTokenizerToBinary,
} from './world.js';
import { byteTokenizer } from './byte-tokenizer.js';

const text = vocabularyText(madeUpTokens());
const file = worldTokenizerToBinary(worldTokenizerFromText(text));

/** CRC-32 a bit at a time, to sign crafted files independently of the code under test. */
function sign(bytes: Uint8Array): Uint8Array {
  let crc = 0xffffffff;
  for (const byte of bytes.subarray(12))
    for (let bit = 0, value = byte; bit < 8; bit++, value >>>= 1)
      crc = ((crc ^ value) & 1) === 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  const signed = bytes.slice();
  new DataView(signed.buffer).setUint32(8, ~crc >>> 0, true);
  return signed;
}

function crafted(count: number, payload: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(20 + payload.length);
  bytes.set(Buffer.from('RWKVTOK\u0001'));
  const view = new DataView(bytes.buffer);
  view.setUint32(12, count, true);
  view.setUint32(16, payload.length, true);
  bytes.set(payload, 20);
  return sign(bytes);
}

describe('the binary vocabulary', () => {
  it('reads back as written, ids with gaps too, and is much smaller than the text', () => {
    expect(worldTokenizerToBinary(worldTokenizerFromBinary(file))).toEqual(file);
    expect(file.length).toBeLessThan(text.length / 2);
    const gaps = text.replace(/^(\d+)/gm, (id) => String(Number(id) * 3 - (Number(id) % 2)));
    const withGaps = worldTokenizerFromText(gaps);
    const again = worldTokenizerFromBinary(worldTokenizerToBinary(withGaps));
    expect(again.vocabularySize).toBe(withGaps.vocabularySize);
    expect(again.encode('the abcdefgh 你好吗 🙂')).toEqual(
      withGaps.encode('the abcdefgh 你好吗 🙂'),
    );
  });

  it('does not depend on where in a buffer it lies', () => {
    const shifted = new Uint8Array(file.length + 5).fill(7);
    shifted.set(file, 3);
    expect(
      worldTokenizerFromBinary(shifted.subarray(3, 3 + file.length)).encode('the'),
    ).toHaveLength(1);
  });

  it('has a stable checksum', () => {
    expect(sign(file)).toEqual(file);
  });

  it('refuses every truncation and every extension', () => {
    for (let length = 0; length < file.length; length++)
      expect(() => worldTokenizerFromBinary(file.subarray(0, length))).toThrow(
        expect.objectContaining({ code: 'VOCABULARY_CORRUPT' }),
      );
    expect(() => worldTokenizerFromBinary(Buffer.concat([file, Buffer.of(0)]))).toThrow(
      expect.objectContaining({ code: 'VOCABULARY_CORRUPT' }),
    );
  });

  it('refuses every single flipped bit', () => {
    const copy = file.slice();
    for (let bit = 0; bit < 8 * file.length; bit++) {
      copy[bit >> 3]! ^= 1 << (bit & 7);
      let error: unknown;
      try {
        readWorldBinary(copy);
      } catch (caught) {
        error = caught;
      }
      expect(error).toBeInstanceOf(TokenizerError);
      copy[bit >> 3]! ^= 1 << (bit & 7);
    }
  });

  it('names both versions of a newer file', () => {
    const newer = file.slice();
    newer[7] = 2;
    expect(() => worldTokenizerFromBinary(newer)).toThrow(
      expect.objectContaining({ code: 'VERSION_UNSUPPORTED', expected: 1, got: 2 }),
    );
  });

  it.each<[string, number, number[], string]>([
    ['no tokens', 0, [], 'VOCABULARY_INVALID'],
    ['more tokens than the payload can hold', 65535, [1, 0, 1, 65], 'VOCABULARY_CORRUPT'],
    ['more tokens than there may be', 4294967295, [1, 0, 1, 65], 'VOCABULARY_CORRUPT'],
    ['a payload that goes on', 1, [1, 0, 1, 65, 0], 'VOCABULARY_CORRUPT'],
    ['a payload that ends inside a token', 1, [1, 0, 5, 65], 'VOCABULARY_CORRUPT'],
    ['a payload that ends inside a number', 1, [1, 128], 'VOCABULARY_CORRUPT'],
    ['a number without end', 1, [255, 255, 255, 255, 255], 'VOCABULARY_CORRUPT'],
    ['a huge id', 1, [1, 255, 255, 127, 1, 65], 'VOCABULARY_INVALID'],
    ['a huge length', 1, [1, 0, 255, 255, 127], 'VOCABULARY_INVALID'],
    ['more shared bytes than the token before has', 2, [1, 0, 1, 65, 4], 'VOCABULARY_INVALID'],
    ['more shared bytes than the token has', 2, [1, 0, 2, 65, 66, 5, 0, 1], 'VOCABULARY_INVALID'],
    ['a token without bytes', 1, [0, 0], 'VOCABULARY_INVALID'],
  ])('refuses a correctly signed file with %s', (_, count, payload, code) => {
    expect(() => worldTokenizerFromBinary(crafted(count, payload))).toThrow(
      expect.objectContaining({ code }),
    );
  });

  it('ends in a typed error or a working tokenizer for any signed payload', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 300 }),
        fc.uint8Array({ maxLength: 600 }),
        (count, payload) => {
          try {
            worldTokenizerFromBinary(crafted(count, Array.from(payload)));
          } catch (error) {
            expect(error).toBeInstanceOf(TokenizerError);
          }
        },
      ),
    );
  });

  it('refuses other tokenizers and other types as programming mistakes', () => {
    expect(() => worldTokenizerToBinary(byteTokenizer())).toThrow(TypeError);
    expect(() => worldTokenizerFromBinary('RWKVTOK' as unknown as Uint8Array)).toThrow(TypeError);
  });
});
