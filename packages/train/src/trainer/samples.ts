/** What a trainer learns from: a stream of samples, such as `createWindowStream` makes of data, or a program of one's own. */
import { TrainError } from '../errors.js';

/** A sequence of T tokens and, for each, the token that should follow. */
export interface Sample {
  /** [T] */
  readonly tokens: Uint32Array;
  /** [T] */
  readonly targets: Uint32Array;
  /** [T] how much each target counts, finite and not negative; 0: it is only read. Default: all count 1. */
  readonly mask?: Uint8Array | Float32Array;
  /**
   * The sample goes on where the one of the same lane ended in the update before, so the model's state is carried on, where
   * the trainer's option `carry` allows for it. Sample i of an update is of lane i. Default false: from the initial state.
   */
  readonly continues?: boolean;
}

export interface SampleStream {
  /** The next sample; a stream does not end. Calls take effect in order and need not be awaited between. */
  next(options?: { readonly signal?: AbortSignal }): Promise<Sample>;
  /** Plain JSON: where the stream stands behind `sample`, the last one that was learned from; later ones may have been fetched. */
  position(sample?: Sample): unknown;
}

/** @throws TrainError `SAMPLE_INVALID` */
export function checkSample(
  { tokens, targets, mask }: Sample,
  { context, vocabularySize }: { readonly context: number; readonly vocabularySize: number },
): void {
  const length = tokens.length;
  if (length < 1 || length > context) fail('tokens', `1 to ${context}, the context`, length);
  if (targets.length !== length) fail('targets', `${length}, one for each token`, targets.length);
  if (mask !== undefined && mask.length !== length) {
    fail('entries of the mask', `${length}, one for each token`, mask.length);
  }
  for (const each of [tokens, targets]) {
    const wrong = each.find((token) => token >= vocabularySize);
    if (wrong !== undefined)
      fail('a token', `below ${vocabularySize}, the vocabulary's size`, wrong);
  }
}

function fail(what: string, expected: string, got: number): never {
  throw new TrainError({
    code: 'SAMPLE_INVALID',
    message: `A sample has ${what}: ${got}; expected ${expected}.`,
    expected,
    got,
  });
}

/** Whether a target counts at all. */
export function counts({ mask }: Sample, index: number): boolean {
  return mask === undefined || mask[index]! > 0;
}
