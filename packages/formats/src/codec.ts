/**
 * What one format is to the rest of the package: a block layout with its decoder, and its encoder where we have one.
 * Kernels read and write bytes one by one, so that any `byteOffset` works and the byte order is the file's, not the host's.
 */
export interface Codec {
  /** Numbers per block; 1 for plain numbers. */
  readonly blockSize: number;
  readonly bytesPerBlock: number;
  /** The fields that carry the block's magnitude: all of them times 2^e is the block times 2^e. Empty: there are none. */
  readonly scales: readonly ScaleField[];
  /** Reads `bytes`, writes `values`. The span is in range: callers have checked it. */
  decode(span: BlockSpan): void;
  /** Reads `values`, writes every byte of the blocks. */
  encode?(span: BlockSpan): void;
}

/** A run of whole blocks in an array of bytes, and the values they stand for. */
export interface BlockSpan {
  readonly blocks: number;
  readonly bytes: Uint8Array;
  readonly byteStart: number;
  readonly values: Float32Array;
  readonly valueStart: number;
}

/** A magnitude field inside a block. */
export interface ScaleField {
  /** Multiplies the field of the block at `blockStart` by 2^exponent in place; false (field kept) when it would round. */
  rescale(bytes: Uint8Array, blockStart: number, exponent: number): boolean;
}
