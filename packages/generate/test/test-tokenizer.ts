/** A small vocabulary with the shape of World's: 0 ends a text, 1 to 256 are the bytes, then some longer tokens. */
import { type Tokenizer, worldTokenizerFromText } from '@rwkv-ts/tokenizer';

export const longTokens = ['\n\n', 'User', ' answer', 'é', '好的', 'ab', 'abc', '. ', '12', '  '];

export function testTokenizer(): Tokenizer {
  const lines: string[] = [];
  for (let byte = 0; byte < 256; byte++) {
    lines.push(`${byte + 1} b'\\x${byte.toString(16).padStart(2, '0')}' 1`);
  }
  for (const [i, text] of longTokens.entries()) {
    lines.push(`${257 + i} ${JSON.stringify(text)} ${new TextEncoder().encode(text).length}`);
  }
  return worldTokenizerFromText(`${lines.join('\n')}\n`);
}
