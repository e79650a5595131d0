import type { Batch, Executable, Limits, Rows } from '@rwkv-ts/backend';
import { type BatchContext, batchBounds, requireRow, validateBatch } from '@rwkv-ts/program';
import {
  type Answer,
  type Compiled,
  compileProgram,
  type CompileOptions,
  type CompiledVariant,
} from './compile.js';
import type { Engine } from './engine.js';
import { requireLive } from './errors.js';
import { writeHeader } from './header.js';
import { ReadBack } from './read-back.js';
import type { WebGpuStates } from './states.js';
import type { WebGpuWeights } from './weights.js';

const mostGroups = 65_535;

/** A program on the device: a step is one header, one submission, and one buffer mapped for its rows. */
export class WebGpuExecutable implements Executable {
  readonly #engine: Engine;
  readonly #weights: WebGpuWeights;
  readonly #states: WebGpuStates;
  readonly #limits: Limits;
  readonly #batchContext: BatchContext;
  readonly #compiled: Compiled;
  readonly #readBack: ReadBack;
  /** T, R and S of the step. */
  readonly #counts = new Uint32Array(3);
  readonly #pending = new Set<Promise<unknown>>();
  /** Output rows of the last step that `outputRow` may still be asked for. */
  #rowsKept = 0;
  #disposal: Promise<void> | undefined;

  static async create(engine: Engine, options: CompileOptions): Promise<WebGpuExecutable> {
    const limits = { ...options.limits };
    const compiled = await compileProgram(engine, { ...options, limits });
    return new WebGpuExecutable(engine, { ...options, limits, compiled });
  }

  private constructor(engine: Engine, parts: CompileOptions & { readonly compiled: Compiled }) {
    this.#engine = engine;
    this.#weights = parts.weights;
    this.#states = parts.states;
    this.#limits = parts.limits;
    this.#compiled = parts.compiled;
    const { holding } = parts.compiled;
    this.#readBack = new ReadBack(engine.context, { holding, mostIdle: 8, what: 'A step’s rows' });
    this.#batchContext = {
      ...batchBounds(parts.program),
      slots: parts.states.slots,
      embeddings: true,
    };
  }

  get bytes(): number {
    return this.#compiled.holding.bytes;
  }

  get disposed(): boolean {
    return this.#disposal !== undefined;
  }

  /** Dispatches of a step of this many tokens, wanted rows and sequences. */
  countDispatches(
    { tokens, wanted, sequences }: Limits,
    { candidates = false }: Pick<Batch, 'candidates'> = {},
  ): number {
    const counts = [tokens, wanted, sequences];
    return this.#compiled.nodes.filter(
      ({ rows, forCandidates }) => counts[rows]! > 0 && (candidates || !forCandidates),
    ).length;
  }

  async run(batch: Batch): Promise<Rows> {
    this.#requireLive();
    validateBatch(batch, this.#limits, this.#batchContext);
    this.#engine.context.requireSound();
    this.#rowsKept = batch.candidates === true ? batch.wanted.length : 0;
    if (batch.tokens.length === 0) return new Float32Array(0);
    return this.#until(this.#step(batch));
  }

  async outputRow(row: number): Promise<Rows> {
    this.#requireLive();
    this.#engine.context.requireSound();
    requireRow(row, this.#rowsKept);
    const { output } = this.#compiled;
    const offset = output.offset + 4 * row * output.stride;
    const encoder = this.#engine.context.device.createCommandEncoder();
    return this.#until(this.#answer(encoder, { answer: { ...output, offset }, rows: 1 }));
  }

  async #until<Result>(work: Promise<Result>): Promise<Result> {
    this.#pending.add(work);
    try {
      return await work;
    } finally {
      this.#pending.delete(work);
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#disposal ??= this.#release();
    return this.#disposal;
  }

  async #release(): Promise<void> {
    await Promise.allSettled(this.#pending);
    await this.#engine.context.idle();
    this.#compiled.holding.release();
  }

  /** Everything up to the submission happens within the call, so that calls take effect in their order. */
  #step(batch: Batch): Promise<Rows> {
    const { device } = this.#engine.context;
    const { header, headerWords, output, candidates } = this.#compiled;
    device.queue.writeBuffer(header, 0, headerWords, 0, writeHeader(headerWords, batch));
    const encoder = device.createCommandEncoder();
    this.#encode(encoder, batch);
    const answer = batch.candidates === true ? candidates! : output;
    return this.#answer(encoder, { answer, rows: batch.wanted.length, into: batch.output });
  }

  /** Submits what is encoded, and reads rows back. */
  async #answer(
    encoder: GPUCommandEncoder,
    { answer, rows, into }: { answer: Answer; rows: number; into?: Rows | undefined },
  ): Promise<Rows> {
    const { context } = this.#engine;
    const { offset, stride, width } = answer;
    const bytes = 4 * rows * stride;
    const staging = rows > 0 ? this.#readBack.take(stagingBytes(bytes)) : undefined;
    if (staging) encoder.copyBufferToBuffer(this.#compiled.arena, offset, staging, 0, bytes);
    context.device.queue.submit([encoder.finish()]);
    let result: Float32Array = new Float32Array(0);
    try {
      if (!staging) await context.idle();
      else {
        await this.#readBack.read(staging, bytes, (mapped) => {
          const numbers = new Float32Array(mapped);
          const count = rows * width;
          const fits = into instanceof Float32Array && into.length >= count;
          result = fits ? into.subarray(0, count) : new Float32Array(count);
          if (stride === width) result.set(numbers);
          else copyRows(numbers, { result, stride, width });
        });
      }
      context.requireSound();
    } catch (cause) {
      throw await context.failure(cause);
    }
    return result;
  }

  #encode(encoder: GPUCommandEncoder, batch: Batch): void {
    const { tokens, wanted, slots, candidates = false } = batch;
    const counts = this.#counts;
    counts[0] = tokens.length;
    counts[1] = wanted.length;
    counts[2] = slots.length;
    const pass = encoder.beginComputePass();
    let current: GPUComputePipeline | undefined;
    for (const { rows, bindGroup, variants, forCandidates } of this.#compiled.nodes) {
      const count = counts[rows]!;
      if (count === 0 || (forCandidates && !candidates)) continue;
      const { pipeline, groups, rowsPerGroup, rowsFirst } = variantFor(variants, count);
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

  #requireLive(): void {
    requireLive(this.disposed, 'executable');
    requireLive(this.#weights.disposed, 'weights handle of the executable');
    requireLive(this.#states.disposed, 'states handle of the executable');
  }
}

/** Powers of two, so that steps of other numbers of rows find a buffer that fits. */
const stagingBytes = (bytes: number): number => 2 ** Math.ceil(Math.log2(Math.max(256, bytes)));

function variantFor(variants: readonly CompiledVariant[], count: number): CompiledVariant {
  for (const variant of variants) if (count <= variant.mostRows) return variant;
  return variants.at(-1)!;
}

/** Rows lie a multiple of 8 numbers apart. */
function copyRows(
  numbers: Float32Array,
  { result, stride, width }: { result: Float32Array; stride: number; width: number },
): void {
  for (let from = 0, to = 0; to < result.length; from += stride, to += width) {
    result.set(numbers.subarray(from, from + width), to);
  }
}
