/**
 * Bounds on what a header may claim, far above any real model and low enough that a hostile one costs little. Sizes are
 * also checked against the size of the file, which is usually the tighter bound.
 */
export const limits = {
  /** The largest models have a few thousand. */
  tensors: 100_000,
  /** Bytes of one tensor name or metadata key. */
  nameBytes: 1024,
  dimensions: 8,
  /** The safetensors reference implementation's own limit. */
  safetensorsHeaderBytes: 100_000_000,
  jsonDepth: 16,
  /** Objects, lists, strings and numbers in one JSON text; a tensor takes about ten. */
  jsonValues: 2_000_000,
  shards: 1000,
  zipDirectoryBytes: 64 * 1024 * 1024,
  pickleBytes: 16 * 1024 * 1024,
  /** Every step makes at most one value. A model of two thousand tensors takes some 50 000. */
  pickleSteps: 1_000_000,
  /** Pickled numbers and strings kept as metadata, in all; lists may share parts, so that few bytes mean many. */
  pickleMetadataValues: 100_000,
  metadataDepth: 4,
  /** Deflated entries may inflate to this many times the size of the whole file; honest weights shrink by less than 2. */
  inflateRatio: 100,
  ggufKeys: 65_536,
  /** Strings and numbers in all GGUF metadata arrays: a vocabulary is a few hundred thousand. */
  ggufValues: 4_000_000,
  ggufStringBytes: 16 * 1024 * 1024,
  ggufAlignment: 1024 * 1024,
} as const;
