/** What the recurrences leave for their backward pass; the sizes are those of native/training/recurrences.cc. */
import type { TrainingLimits } from '@rwkv-ts/backend';

/** `kCheckpointTokens` of native/kernels/training-recurrences.h. */
const checkpointTokens = 16;
/** `kWkv4Block` of native/kernels/kernels.h. */
const wkv4Block = 64;

type Sizes = Pick<TrainingLimits, 'tokens' | 'sequences'>;
interface Heads {
  readonly heads: number;
  readonly size: number;
}

const padded = (size: number): number => Math.ceil(size / 16) * 16;
/** At most so many states are recorded, however tokens fall into sequences. */
const checkpoints = ({ tokens, sequences }: Sizes): number =>
  Math.floor(tokens / checkpointTokens) + sequences;

export function wkv4Record(channels: number, sizes: Sizes): number {
  return Math.ceil(channels / wkv4Block) * checkpoints(sizes) * 3 * wkv4Block;
}

export function wkv6Record({ heads, size }: Heads, sizes: Sizes): number {
  return heads * checkpoints(sizes) * size * padded(size);
}

export function wkv7Record({ heads, size }: Heads, sizes: Sizes): number {
  return heads * (checkpoints(sizes) * size + sizes.tokens) * padded(size);
}

/** About how long a token takes, in nanoseconds. */
export function recurrenceCost(width: number, size: number): number {
  return width * size * 0.15;
}

/** `wkv7_training_scratch_bytes` of native/kernels/training-recurrences.h. */
export function recurrenceScratch(size: number): number {
  return ((checkpointTokens + 2) * size + 8 * checkpointTokens + 16) * padded(size) * 4;
}
