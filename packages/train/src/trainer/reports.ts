/** What a run tells of itself. */

export interface Loss {
  /** Natural logarithm, per counted token. */
  readonly loss: number;
  /** Where the trainer knows how many bytes a token has. */
  readonly bitsPerByte?: number;
}

export interface StepReport extends Loss {
  /** Updates done, this one and skipped ones included. */
  readonly step: number;
  readonly steps: number;
  readonly learningRate: number;
  /** Of all gradients together, before they were scaled down. */
  readonly gradientNorm: number;
  /** False where the gradients were not finite, and the update was skipped. */
  readonly applied: boolean;
  /** Of this update. */
  readonly tokens: number;
  /** Since the training began, in earlier runs too. */
  readonly tokensTotal: number;
  /** Of this update, from fetching its samples to the end of it. */
  readonly seconds: number;
  readonly tokensPerSecond: number;
}

export interface Evaluation extends Loss {
  readonly step: number;
  readonly samples: number;
  /** Targets that counted. */
  readonly tokens: number;
}

export interface CheckpointReport {
  readonly step: number;
  /** Shown to people: where it is. */
  readonly name: string;
}

export interface RunReport {
  /** `aborted`: the caller's signal fired, and what was learned is in the checkpoint. */
  readonly outcome: 'finished' | 'aborted';
  readonly step: number;
  readonly tokensTotal: number;
  /** Updates that were skipped, their gradients not being finite. */
  readonly skipped: number;
  /** Of the last update, where there was one. */
  readonly loss: number | undefined;
  readonly evaluation: Evaluation | undefined;
}
