export { bpeTokenizer20b } from './bpe-20b.js';
export { byteTokenizer } from './byte-tokenizer.js';
export { TokenizerError, type TokenizerErrorCode } from './errors.js';
export { assertTokenizerFits, tokenizerFor } from './fit.js';
export { loadTokenizer } from './load.js';
export type { StreamDecoder, Tokenizer } from './tokenizer.js';
export {
  worldTokenizerFromBinary,
  worldTokenizerFromGguf,
  worldTokenizerFromText,
  worldTokenizerToBinary,
  worldTokenizerToGguf,
} from './world.js';
