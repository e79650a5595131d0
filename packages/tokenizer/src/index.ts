export { TokenizerError, type TokenizerErrorCode } from './errors.js';
export type { StreamDecoder, Tokenizer } from './tokenizer.js';
export {
  worldTokenizerFromBinary,
  worldTokenizerFromGguf,
  worldTokenizerFromText,
  worldTokenizerToBinary,
} from './world.js';
