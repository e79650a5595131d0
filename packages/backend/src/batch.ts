/**
 * One step's work: several sequences, each advancing by one or more tokens, prefill and decode mixed. Everything is
 * flat, so that a backend uploads it verbatim and kernels find their sequence by `starts`.
 */
export interface Batch {
  /**
   * [T] token ids, sequence after sequence, each below the rows of every embedding table. Ids of rows that `embeddings`
   * replaces are still used by side tables.
   */
  readonly tokens: Uint32Array;
  /** [S + 1] where each sequence starts in `tokens`, strictly increasing from 0; the last entry is T. [0] when S is 0. */
  readonly starts: Uint32Array;
  /** [S] the state slot of each sequence, below `States.slots`, in any order. No slot may appear twice. */
  readonly slots: Uint32Array;
  /** [R] strictly increasing indices into `tokens` whose output rows are wanted, in the order of the rows. May be empty. */
  readonly wanted: Uint32Array;
  /** Rows that are an embedding vector instead of a token (soft prompts, other modalities). */
  readonly embeddings?: BatchEmbeddings;
  /**
   * Whether the rows are those of `Program.candidates`, [R, 2 count + 1], instead of the output's. Whole output rows can
   * still be had one by one, by `Executable.outputRow`.
   */
  readonly candidates?: boolean;
  /**
   * Memory for the rows, of their type and at least [R, width], so that steps allocate nothing: hands off until the
   * step is done. A backend may put the rows at its start and give a view of them, or ignore it; one that does not fit is
   * ignored. Shared memory, which nobody can transfer meanwhile, lets other threads write there and spares a copy.
   */
  readonly output?: Float32Array | Float64Array;
}

export interface BatchEmbeddings {
  /** [E] strictly increasing indices into `tokens`. */
  readonly at: Uint32Array;
  /** [E, C] row-major: what the embedding table would have held. */
  readonly vectors: Float32Array;
}

/**
 * The largest batch `run` accepts, each number by itself: T, S and R may all be at their limit at once. A backend may keep
 * several captured graphs below it.
 */
export interface Limits {
  readonly tokens: number;
  readonly sequences: number;
  readonly wanted: number;
}
