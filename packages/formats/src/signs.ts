/**
 * Signs of eight numbers at once: bit j set means number j is negative. iq2_xxs, iq2_xs and iq3_xxs store seven bits; the
 * eighth makes the count of negatives even.
 */

/** [128, 8] of +1 and -1 by the seven stored bits. */
export const evenSigns: Int8Array = new Int8Array(128 * 8);
/** [256, 8] of +1 and -1 by all eight bits. */
export const freeSigns: Int8Array = new Int8Array(256 * 8);

for (let bits = 0; bits < 256; bits++) {
  for (let j = 0; j < 8; j++) freeSigns[8 * bits + j] = (bits >>> j) & 1 ? -1 : 1;
}
for (let bits = 0; bits < 128; bits++) {
  let odd = 0;
  for (let j = 0; j < 7; j++) odd ^= (bits >>> j) & 1;
  const all = bits | (odd << 7);
  evenSigns.set(freeSigns.subarray(8 * all, 8 * all + 8), 8 * bits);
}
