import type { Answer, Compiled, CompiledVariant } from './compile.js';
import type { ReadBack } from './read-back.js';

/** What the commands of a step depend on; all else is in the header. */
export interface StepShape {
  readonly tokens: number;
  readonly wanted: number;
  readonly sequences: number;
  readonly candidates: boolean;
}

/** To be submitted once. */
export interface StepCommands {
  readonly commands: GPUCommandBuffer;
  readonly answer: Answer;
  readonly rows: number;
  /** Where the rows come back; none where none are wanted. */
  readonly staging: GPUBuffer | undefined;
}

const mostGroups = 65_535;

/**
 * Makes the commands of steps. Encoding some hundred dispatches takes JavaScript longer than all the rest of a step, and
 * the next step is mostly like the last one (a token for each of the same number of sequences), so its commands are made
 * while the device runs the one before.
 */
export class StepEncoder {
  readonly #device: GPUDevice;
  readonly #compiled: Compiled;
  readonly #readBack: ReadBack;
  #last: StepShape | undefined;
  /** Whether the last step was like the one before it. */
  #isSteady = false;
  #next: StepCommands | undefined;

  constructor(device: GPUDevice, compiled: Compiled, readBack: ReadBack) {
    this.#device = device;
    this.#compiled = compiled;
    this.#readBack = readBack;
  }

  /** @throws BackendError `OUT_OF_MEMORY` */
  take(shape: StepShape): StepCommands {
    const ready = this.#next;
    this.#next = undefined;
    this.#isSteady = this.#last !== undefined && isSame(this.#last, shape);
    this.#last = shape;
    if (this.#isSteady && ready) return ready;
    if (ready?.staging) this.#readBack.give(ready.staging);
    return this.#encode(shape);
  }

  /** Encodes a step like the last one, if the last two were alike. */
  prepare(): void {
    if (!this.#isSteady || this.#next) return;
    try {
      this.#next = this.#encode(this.#last!);
    } catch {
      // The step itself will say what it lacks, if it comes.
    }
  }

  /**
   * Copies a row of the output that the last step left.
   * @throws BackendError `OUT_OF_MEMORY`
   */
  outputRow(row: number): StepCommands {
    const { output } = this.#compiled;
    const answer = { ...output, offset: output.offset + 4 * row * output.stride };
    return this.#finish(this.#device.createCommandEncoder(), answer, 1);
  }

  #encode(shape: StepShape): StepCommands {
    const { output, candidates } = this.#compiled;
    const encoder = this.#device.createCommandEncoder();
    this.#dispatch(encoder, shape);
    return this.#finish(encoder, shape.candidates ? candidates! : output, shape.wanted);
  }

  #finish(encoder: GPUCommandEncoder, answer: Answer, rows: number): StepCommands {
    const bytes = 4 * rows * answer.stride;
    const staging = rows > 0 ? this.#readBack.take(stagingBytes(bytes)) : undefined;
    const { arena } = this.#compiled;
    if (staging) encoder.copyBufferToBuffer(arena, answer.offset, staging, 0, bytes);
    return { commands: encoder.finish(), answer, rows, staging };
  }

  #dispatch(
    encoder: GPUCommandEncoder,
    { tokens, wanted, sequences, candidates }: StepShape,
  ): void {
    const counts = [tokens, wanted, sequences] as const;
    const pass = encoder.beginComputePass();
    let current: GPUComputePipeline | undefined;
    for (const { rows, bindGroup, variants, forCandidates } of this.#compiled.nodes) {
      const count = counts[rows];
      if (count === 0 || (forCandidates && !candidates)) continue;
      const { pipeline, groups, rowsPerGroup, rowsFirst } = variantFor(variants, count);
      if (groups === 0) continue;
      if (pipeline !== current) pass.setPipeline(pipeline);
      current = pipeline;
      pass.setBindGroup(0, bindGroup);
      const total = Math.ceil(count / rowsPerGroup);
      const along = Math.min(total, mostGroups);
      const rest = Math.ceil(total / along);
      if (rowsFirst) pass.dispatchWorkgroups(along, groups, rest);
      else pass.dispatchWorkgroups(groups, along, rest);
    }
    pass.end();
  }
}

const isSame = (one: StepShape, other: StepShape): boolean =>
  one.tokens === other.tokens &&
  one.wanted === other.wanted &&
  one.sequences === other.sequences &&
  one.candidates === other.candidates;

/** Powers of two, so that steps of other numbers of rows find a buffer that fits. */
const stagingBytes = (bytes: number): number => 2 ** Math.ceil(Math.log2(Math.max(256, bytes)));

/** The form of a node for so many rows. */
export function variantFor(variants: readonly CompiledVariant[], count: number): CompiledVariant {
  for (const variant of variants) if (count <= variant.mostRows) return variant;
  return variants.at(-1)!;
}
