import { bytesOf, joinTokens, textOf, TokenTableBuilder, type TokenTable } from './token-table.js';
import type { StreamDecoder, Tokenizer } from './tokenizer.js';
import { encodeText, Utf8StreamDecoder } from './utf8.js';

const byteTable: TokenTable = (() => {
  const builder = new TokenTableBuilder();
  for (let byte = 0; byte < 256; byte++) builder.add(byte, Uint8Array.of(byte), 1, `byte ${byte}`);
  return builder.build(undefined);
})();

/** Each byte is its own token; there is no end of text. */
class ByteTokenizer implements Tokenizer {
  readonly name = 'bytes';
  readonly vocabularySize = 256;
  readonly endOfText = undefined;

  encode(text: string): Uint32Array {
    if (typeof text !== 'string') throw new TypeError('encode: expected a string');
    return Uint32Array.from(encodeText(text));
  }

  encodeBytes(bytes: Uint8Array): Uint32Array {
    if (!(bytes instanceof Uint8Array)) throw new TypeError('encodeBytes: expected a Uint8Array');
    return Uint32Array.from(bytes);
  }

  count(text: string): number {
    return encodeText(text).length;
  }

  decode(tokens: ArrayLike<number>): string {
    return textOf(byteTable, tokens);
  }

  decodeBytes(tokens: ArrayLike<number>): Uint8Array {
    return joinTokens(byteTable, tokens);
  }

  tokenBytes(token: number): Uint8Array {
    return bytesOf(byteTable, token);
  }

  tokenOf(bytes: Uint8Array): number | undefined {
    return bytes.length === 1 ? bytes[0] : undefined;
  }

  createDecoder(): StreamDecoder {
    return new Utf8StreamDecoder((token) => bytesOf(byteTable, token));
  }
}

/** Token id = byte value, 0 to 255, for byte-level models of vocabulary 256. */
export function byteTokenizer(): Tokenizer {
  return new ByteTokenizer();
}
