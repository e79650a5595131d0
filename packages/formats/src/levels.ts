/** Non-linear 4-bit levels. */

/** iq4_nl and iq4_xs. */
export const unevenLevels: readonly number[] = [
  -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113,
];

/** The sixteen E2M1 floats (1 sign, 2 exponent, 1 mantissa bit) times two. The second zero is +0, as in GGML. */
export const doubledE2m1: readonly number[] = [
  0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12,
];
