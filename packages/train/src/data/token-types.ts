/**
 * The numbers that token files are made of, under the codes that Megatron's index (and RWKV-LM's binidx.py) gives them.
 * Little-endian.
 */
import { DataError } from './errors.js';

export type TokenType = 'uint8' | 'int8' | 'int16' | 'int32' | 'int64' | 'uint16';

/** What `createTokenWriter` makes: every vocabulary fits one of them. */
export type WrittenTokenType = 'uint8' | 'uint16' | 'int32';

export interface TokenTypeInfo {
  readonly code: number;
  readonly bytes: number;
  /** The largest token that it holds. */
  readonly maximum: number;
}

export const tokenTypes: Readonly<Record<TokenType, TokenTypeInfo>> = {
  uint8: { code: 1, bytes: 1, maximum: 0xff },
  int8: { code: 2, bytes: 1, maximum: 0x7f },
  int16: { code: 3, bytes: 2, maximum: 0x7fff },
  int32: { code: 4, bytes: 4, maximum: 0x7fff_ffff },
  int64: { code: 5, bytes: 8, maximum: 0xffff_ffff },
  uint16: { code: 8, bytes: 2, maximum: 0xffff },
};

/** Two codes for fractions, which are no tokens. */
const fractionCodes = new Set([6, 7]);

/** @throws DataError `TOKEN_TYPE_UNSUPPORTED` */
export function tokenTypeOf(code: number, file: string): TokenType {
  for (const [type, info] of Object.entries(tokenTypes) as [TokenType, TokenTypeInfo][])
    if (info.code === code) return type;
  const what = fractionCodes.has(code) ? 'fractions, which are no tokens' : 'nothing known';
  throw new DataError({
    code: 'TOKEN_TYPE_UNSUPPORTED',
    message: `${file}: the type of its tokens is ${code}, which is ${what}; expected 1 to 5 or 8 (integers)`,
    expected: Object.values(tokenTypes).map((info) => info.code),
    got: code,
  });
}

/** The smallest type for a vocabulary. RWKV-LM reads each of them. */
export function tokenTypeFor(vocabularySize: number): WrittenTokenType {
  if (vocabularySize <= 256) return 'uint8';
  return vocabularySize <= 65536 ? 'uint16' : 'int32';
}

/** Tokens as bytes. @throws DataError `TOKEN_INVALID` for a token that the type cannot hold */
export function encodeTokens(tokens: ArrayLike<number>, type: WrittenTokenType): Uint8Array {
  const { bytes, maximum } = tokenTypes[type];
  const encoded = new Uint8Array(tokens.length * bytes);
  const view = new DataView(encoded.buffer);
  for (let at = 0; at < tokens.length; at++) {
    const token = tokens[at]!;
    if (!Number.isInteger(token) || token < 0 || token > maximum)
      throw new DataError({
        code: 'TOKEN_INVALID',
        message: `a token to be written as ${type} is an integer from 0 to ${maximum}, not ${token}`,
        expected: maximum,
        got: token,
      });
    if (bytes === 1) encoded[at] = token;
    else if (bytes === 2) view.setUint16(2 * at, token, true);
    else view.setInt32(4 * at, token, true);
  }
  return encoded;
}

/**
 * Bytes as tokens.
 * @param from the place of the first one in the file, for errors
 * @throws DataError `TOKEN_INVALID` for one that is negative or at least `limit`
 */
export function decodeTokens(
  encoded: Uint8Array,
  { type, limit, file, from }: { type: TokenType; limit: number; file: string; from: number },
): Uint32Array {
  const { bytes } = tokenTypes[type];
  const count = encoded.length / bytes;
  const view = new DataView(encoded.buffer, encoded.byteOffset, encoded.byteLength);
  const read = readers[type];
  const tokens = new Uint32Array(count);
  for (let at = 0; at < count; at++) {
    const token = read(view, at * bytes);
    if (token < 0 || token >= limit)
      throw new DataError({
        code: 'TOKEN_INVALID',
        message: `${file}: token ${from + at} is ${token}; expected an id from 0 to ${limit - 1}`,
        expected: limit - 1,
        got: token,
      });
    tokens[at] = token;
  }
  return tokens;
}

const readers: Readonly<Record<TokenType, (view: DataView, at: number) => number>> = {
  uint8: (view, at) => view.getUint8(at),
  int8: (view, at) => view.getInt8(at),
  int16: (view, at) => view.getInt16(at, true),
  int32: (view, at) => view.getInt32(at, true),
  // Rounded where it is beyond 2^53, and so far outside any vocabulary.
  int64: (view, at) => Number(view.getBigInt64(at, true)),
  uint16: (view, at) => view.getUint16(at, true),
};
