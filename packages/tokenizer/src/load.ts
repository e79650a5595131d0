import { bpeTokenizer20b } from './bpe-20b.js';
import { TokenizerError } from './errors.js';
import type { Tokenizer } from './tokenizer.js';
import { decodeStrict } from './utf8.js';
import { isWorldBinary } from './world-binary.js';
import { worldTokenizerFromBinary, worldTokenizerFromText } from './world.js';

const byteOrderMark = 0xfeff;

/**
 * A tokenizer from the bytes of a file, whichever it is: a binary World vocabulary, the text `rwkv_vocab_v20230424.txt`
 * or the 20B tokenizer.json. Throws `FORMAT_UNKNOWN` for anything else, and what the readers throw.
 */
export async function loadTokenizer(bytes: Uint8Array): Promise<Tokenizer> {
  if (!(bytes instanceof Uint8Array)) throw new TypeError('loadTokenizer: expected a Uint8Array');
  if (isWorldBinary(bytes)) return worldTokenizerFromBinary(bytes);
  const decoded = decodeStrict(bytes);
  if (decoded === undefined) throw unknownFormat(bytes);
  const text = decoded.charCodeAt(0) === byteOrderMark ? decoded.slice(1) : decoded;
  if (/^\d+ b?['"]/.test(text)) return worldTokenizerFromText(text);
  if (/^\s*\{/.test(text)) return bpeTokenizer20b(text);
  throw unknownFormat(bytes);
}

function unknownFormat(bytes: Uint8Array): TokenizerError {
  const start = Array.from(bytes.subarray(0, 8), (byte) => byte.toString(16).padStart(2, '0')).join(
    ' ',
  );
  return new TokenizerError({
    code: 'FORMAT_UNKNOWN',
    message: `expected a binary World vocabulary, a World vocabulary text or a tokenizer.json, got ${bytes.length} bytes beginning with ${start === '' ? 'nothing' : start}`,
    expected: 'a vocabulary',
    got: start,
  });
}
