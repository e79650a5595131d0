/**
 * The twelve bytes in q4_k and q5_k that hold eight 6-bit scales and eight 6-bit minima: bytes 0..3 are scales 0..3 and
 * bytes 4..7 minima 0..3 in their low six bits; bytes 8..11 hold the low nibbles of scale (low) and minimum (high) 4..7,
 * whose upper two bits are the top two bits of bytes 0..3 and 4..7.
 */

export function readScale(bytes: Uint8Array, at: number, index: number): number {
  if (index < 4) return bytes[at + index]! & 63;
  return (bytes[at + index + 4]! & 15) | ((bytes[at + index - 4]! >>> 6) << 4);
}

export function readMinimum(bytes: Uint8Array, at: number, index: number): number {
  if (index < 4) return bytes[at + index + 4]! & 63;
  return (bytes[at + index + 4]! >>> 4) | ((bytes[at + index]! >>> 6) << 4);
}

/** `scales` and `minimums` are [8] integers from 0 to 63. */
export function writeScalesAndMinimums(
  bytes: Uint8Array,
  at: number,
  { scales, minimums }: { readonly scales: Uint8Array; readonly minimums: Uint8Array },
): void {
  for (let j = 0; j < 4; j++) {
    bytes[at + j] = scales[j]! | ((scales[j + 4]! >>> 4) << 6);
    bytes[at + 4 + j] = minimums[j]! | ((minimums[j + 4]! >>> 4) << 6);
    bytes[at + 8 + j] = (scales[j + 4]! & 15) | ((minimums[j + 4]! & 15) << 4);
  }
}
