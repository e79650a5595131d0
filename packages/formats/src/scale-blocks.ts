import { codecOf, type FormatName } from './formats.js';
import { countIn } from './size.js';

/** `exact`: the scaled copy. Otherwise how many blocks (or plain numbers) could not take the factor without rounding. */
export type ScaledBlocks =
  | { readonly exact: true; readonly bytes: Uint8Array }
  | { readonly exact: false; readonly inexact: number };

const largestExponent = 256;

/**
 * Multiplies a weight by 2^exponent in its own format, touching the scales only: GGUF files of RWKV-6 store some matrices
 * divided by 2^k. Decoding the result gives exactly 2^exponent times the decoded original. Where some scale would
 * overflow or lose bits nothing is returned but their number: decode to f32 and multiply there.
 * Integer formats and nvfp4 have no scale to change: exact for exponent 0 only.
 * @param bytes whole blocks; not modified.
 * @param exponent an integer from -256 to 256.
 * @throws FormatsError `FORMAT_SIZE_MISMATCH`, `FORMAT_UNKNOWN`; TypeError for another exponent
 */
export function scaleBlocks(format: FormatName, bytes: Uint8Array, exponent: number): ScaledBlocks {
  if (!Number.isInteger(exponent) || Math.abs(exponent) > largestExponent) {
    throw new TypeError(`The exponent must be an integer from -256 to 256, got ${exponent}.`);
  }
  const { bytesPerBlock, scales } = codecOf(format);
  countIn(format, bytes.length);
  // A copy for certain: `slice` of a Node Buffer is only a view.
  const scaled = new Uint8Array(bytes);
  if (exponent === 0) return { exact: true, bytes: scaled };
  if (scales.length === 0 && bytes.length > 0) {
    return { exact: false, inexact: bytes.length / bytesPerBlock };
  }
  let inexact = 0;
  for (let at = 0; at < scaled.length; at += bytesPerBlock) {
    let fits = true;
    for (const field of scales) fits = field.rescale(scaled, at, exponent) && fits;
    if (!fits) inexact++;
  }
  return inexact === 0 ? { exact: true, bytes: scaled } : { exact: false, inexact };
}
