/**
 * Training: the optional part of a backend that walks a program in reverse. A `Training` holds what learns (numbers,
 * gradients and the two moments of the optimiser) and the recurrent states of the sequences in work, all on the device;
 * what a run learns from, when it steps and how fast is the caller's business (`@rwkv-ts/train`).
 *
 * Weights, gradients and moments are f32 (f64 in a backend of f64 activations), sums at least f32. The same calls on the
 * same numbers give the same bits, whatever else the machine does.
 */
import type { Batch } from './batch.js';
import type { Rows } from './backend.js';

/** A weight of the program, or a state whose initial numbers learn. */
export interface TrainableSpec {
  readonly kind: 'weight' | 'initial-state';
  /** Unique among all trainable ones, weights and states together. */
  readonly name: string;
  /** Multiplies `UpdateOptions.learningRate`; default 1. */
  readonly learningRateFactor?: number;
  /** Multiplies `UpdateOptions.weightDecay`; default 0. */
  readonly weightDecayFactor?: number;
}

/** The largest batch of a run, as in `Limits`; `slots` independent recurrent states. */
export interface TrainingLimits {
  readonly tokens: number;
  readonly sequences: number;
  readonly wanted: number;
  readonly slots: number;
}

export interface TrainingOptions {
  /** What learns. Everything else stays as uploaded, in its format. */
  readonly trainable: readonly TrainableSpec[];
  readonly limits: TrainingLimits;
}

/** Rows of the program's output and the token that each should have made likely. */
export interface TrainingBatch extends Pick<Batch, 'tokens' | 'starts' | 'slots' | 'wanted'> {
  /** [R] a column of the output for each wanted row. */
  readonly targets: Uint32Array;
  /** [R] how much each row counts, finite and not negative; default 1. A row that does not count is better not wanted. */
  readonly lossWeights?: Float32Array;
}

export interface AccumulateOptions {
  /** Multiplies the loss before it is differentiated: 1 / (weights of all rows until the next update) gives the mean's. Default 1. */
  readonly scale?: number;
  /**
   * The official trainer's hold on large logits (`L2Wrap` in RWKV-LM): the gradient at the largest logit of a row gains
   * scale · the row's weight · this · that logit, and the loss does not know. Default 0; the official number is 1e-4.
   */
  readonly largestLogitPenalty?: number;
}

/**
 * AdamW with decoupled decay (arXiv:1711.05101). With g the gradient, η = learningRate · the weight's factor, λ =
 * weightDecay · the weight's factor: p ← p (1 - η λ); m ← β₁ m + (1 - β₁) g; v ← β₂ v + (1 - β₂) g²;
 * p ← p - η (m / (1 - β₁ᵗ)) / (sqrt(v / (1 - β₂ᵗ)) + epsilon).
 */
export interface UpdateOptions {
  /** t, from 1. */
  readonly step: number;
  readonly learningRate: number;
  readonly weightDecay: number;
  readonly betas: readonly [number, number];
  readonly epsilon: number;
  /** The norm over all gradients together above which they are scaled down to it. Default: never. */
  readonly gradientNormLimit?: number;
}

export interface UpdateResult {
  /** Of all gradients together, before they were scaled down. */
  readonly gradientNorm: number;
  /** False where the norm was not finite: then nothing has changed but the gradients, which are zero. */
  readonly applied: boolean;
}

/** Which numbers of a trainable: itself, its gradient, the means of its gradient and of its square. */
export type TrainablePart = 'value' | 'gradient' | 'first-moment' | 'second-moment';

/**
 * Calls take effect in call order and need not be awaited between; a call's arrays may be reused as soon as it returns,
 * but for `accumulate` and `evaluate`, which read theirs until they are done. After `DEVICE_LOST`, or `OUT_OF_MEMORY` while running, what
 * is inside is undefined; after any other rejection nothing has changed.
 *
 * A slot holds the recurrent states of a sequence in work and the loss's gradients with respect to them. A long sequence is
 * cut into chunks that run one after another on its slot. For gradients across a cut: `evaluate` the chunks in order,
 * keeping the states before each by `copyStates`, then put them back, last chunk first, and `accumulate` each; the
 * gradients that one leaves in the slot are what the one before starts from.
 */
export interface Training extends AsyncDisposable {
  readonly bytes: number;
  /** Forward only: the loss Σ weight · (log Σ exp(logits) - logit of the target), in natural logarithms; states move on. */
  evaluate(batch: TrainingBatch): Promise<number>;
  /**
   * Forward and backward: gives the loss as `evaluate` does, adds scale · its gradients to those of the trainable ones,
   * moves the states on, and replaces each slot's state gradients, taken to be with respect to the states after the
   * batch, by those with respect to the states before it.
   */
  accumulate(batch: TrainingBatch, options?: AccumulateOptions): Promise<number>;
  /** One step of the optimiser over everything trainable; gradients are zero afterwards. */
  update(options: UpdateOptions): Promise<UpdateResult>;
  /** The slot's states become the initial ones, as they stand now; its state gradients become zero. */
  resetSlot(slot: number): void;
  /** The states only, not their gradients. */
  copyStates(from: number, to: number): void;
  /** Forgets what the loss after this batch would have said about its states: a cut that gradients do not cross. */
  clearStateGradients(slot: number): void;
  /** Adds the slot's state gradients to those of the trainable initial states, then clears them. */
  collectInitialGradients(slot: number): void;
  /** f32 little-endian, spec after spec, row-major, as `States.read`. */
  readStates(slot: number): Promise<Uint8Array>;
  writeStates(slot: number, bytes: Uint8Array): void;
  /** A copy, row-major. @throws TypeError for a name that is not trainable */
  read(name: string, part: TrainablePart): Promise<Rows>;
  /** @throws TypeError for a name that is not trainable or numbers of another length */
  write(name: string, part: TrainablePart, numbers: Rows): void;
}
