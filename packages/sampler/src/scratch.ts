import { blockSize, rowSummer } from './mass.js';

/**
 * Working memory of one vocabulary size, 68 bytes a token, and the row that all sizes share. Sampling is synchronous, so
 * all samplers of a size share it; nothing in it outlives a call except `referenceGuess`, which is about speed and never about results.
 */
export interface Scratch {
  /** [V] the row, first with the changed tokens masked, then adjusted. */
  readonly row: Float64Array;
  /** [ceil(V / 64)] mass per block. */
  readonly sums: Float64Array;
  /** [V] the tokens still in the race, by ascending id, with their adjusted logits and weights. */
  readonly tokens: Int32Array;
  readonly logits: Float64Array;
  readonly weights: Float64Array;
  /** [V] what `thresholdOfMass` may destroy. */
  readonly selectValues: Float64Array;
  readonly selectWeights: Float64Array;
  /** [V] the tokens whose logits differ from the model's: id, the model's, and the adjusted. */
  readonly changed: Int32Array;
  readonly changedRaw: Float64Array;
  readonly changedAdjusted: Float64Array;
  /** [V] place in `changed` by token, -1 for none; all -1 between calls. */
  readonly slots: Int32Array;
  referenceGuess: number;
}

const kept = new Map<number, Scratch>();
/** Vocabulary sizes whose memory stays around after their last sampler is gone. */
const keptSizes = 4;

export function scratchFor(vocabularySize: number): Scratch {
  const found = kept.get(vocabularySize);
  if (found !== undefined) return found;
  const memory = rowSummer();
  const numbers = (): Float64Array => new Float64Array(vocabularySize);
  const scratch: Scratch = {
    row: memory.row.subarray(0, vocabularySize),
    sums: memory.sums.subarray(0, Math.ceil(vocabularySize / blockSize)),
    tokens: new Int32Array(vocabularySize),
    logits: numbers(),
    weights: numbers(),
    selectValues: numbers(),
    selectWeights: numbers(),
    changed: new Int32Array(vocabularySize),
    changedRaw: numbers(),
    changedAdjusted: numbers(),
    slots: new Int32Array(vocabularySize).fill(-1),
    referenceGuess: 32,
  };
  for (const size of kept.keys()) {
    if (kept.size < keptSizes) break;
    kept.delete(size);
  }
  kept.set(vocabularySize, scratch);
  return scratch;
}
