/** Numbers that depend on a seed and a place alone, so that a position is all there is to keep. */

/** 32 well mixed bits of two numbers (the finaliser of MurmurHash3, by Austin Appleby, over both). */
export function hashBits(seed: number, value: number): number {
  return mix(mix(seed >>> 0) ^ mix((value >>> 0) ^ 0x9e37_79b9) ^ mix(Math.floor(value / 2 ** 32)));
}

/** In [0, 1). */
export function hashUniform(seed: number, value: number): number {
  return hashBits(seed, value) / 2 ** 32;
}

function mix(bits: number): number {
  let hash = bits + 0x6d2b_79f5;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85eb_ca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2_ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

const rounds = 4;

/**
 * A permutation of the integers below `size`, another one for each seed, without a table: a balanced Feistel network over
 * the smallest even number of bits that holds them, walked on until it comes back inside (Black and Rogaway, "Ciphers with
 * arbitrary finite domains", 2002). About two steps on average, four at most.
 * @param size up to 2^52
 */
export function permute(index: number, size: number, seed: number): number {
  let half = 1;
  while (4 ** half < size) half++;
  const width = 2 ** half;
  let value = index;
  do {
    let [left, right] = [Math.floor(value / width), value % width];
    for (let round = 0; round < rounds; round++)
      [left, right] = [right, (left ^ (hashBits(hashBits(seed, round), right) % width)) >>> 0];
    value = left * width + right;
  } while (value >= size);
  return value;
}
