export {
  checkWeight,
  checkWeightHeader,
  repeatedWeight,
  type WeightRules,
  type WeightSize,
} from './check-weight.js';
export { convertFormat, losslessTarget, type EncodedWeight } from './convert.js';
export { decode, decodeRange } from './decode.js';
export { encode, encodeRange } from './encode.js';
export { FormatsError, type FormatsErrorCode } from './errors.js';
export {
  formatInfo,
  formatNames,
  isFormatName,
  isWeightFormat,
  type FormatInfo,
  type FormatName,
} from './formats.js';
export { bf16ToF32, f16ToF32, f32ToBf16, f32ToF16 } from './half.js';
export type { FormatRange } from './range-of-blocks.js';
export { scaleBlocks, type ScaledBlocks } from './scale-blocks.js';
export { bytesFor, bytesForShape, countIn, countOf } from './size.js';
