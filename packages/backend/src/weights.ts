/**
 * How a weight is stored. `f32`, `f16`, `bf16` are plain little-endian numbers; the rest are the GGML blocks, byte for
 * byte: 32 numbers a block for `q8_0 q4_0 q4_1 q5_0 q5_1`, 256 for `q4_k q5_k q6_k`.
 */
export type WeightFormat =
  'f32' | 'f16' | 'bf16' | 'q8_0' | 'q4_0' | 'q4_1' | 'q5_0' | 'q5_1' | 'q4_k' | 'q5_k' | 'q6_k';

/** A weight as a program names it. Matrices are [out, in], row-major; vectors are [C] or [H, N], never [1, 1, C]. */
export interface WeightSpec {
  readonly name: string;
  readonly shape: readonly number[];
}

/**
 * A weight in host memory. Block formats quantise along the last dimension, which is then a multiple of the block; they
 * are meant for matrices, but nothing stops a file from storing a vector so.
 * `bytes` belongs to the receiver from the moment it is handed over: a backend may keep it instead of copying, and its
 * giver does not touch it again. It may be a view at any address into something larger, or mapped from a file, so the
 * receiver neither writes to it nor transfers its buffer.
 */
export interface HostWeight extends WeightSpec {
  readonly format: WeightFormat;
  readonly bytes: Uint8Array;
}
