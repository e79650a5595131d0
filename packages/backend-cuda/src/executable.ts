import type { Batch, Executable, Limits, Program, Rows } from '@rwkv-ts/backend';
import {
  type BatchContext,
  batchBounds,
  requireLive,
  requireRow,
  validateBatch,
  writeStepHeader,
} from '@rwkv-ts/program';
import { type Bucket, bucketFor } from './buckets.js';
import { DeviceHolding } from './device-holding.js';
import { encodeLaunches, type KernelLaunch } from './encode/arguments.js';
import { launchesFor, type Plan, planProgram } from './encode/plan.js';
import type { Addresses } from './encode/resolve.js';
import type { Engine } from './engine.js';
import { kernelIndex } from './kernels/all.js';
import { fileFormatCode } from './kernels/file-formats.js';
import type { MatrixFeatures } from './kernels/linear.js';
import { activationCode } from './kernels/math.js';
import { parameterKernel } from './kernels/parameter.js';
import type { CudaStates } from './states.js';
import type { CudaWeights } from './weights/weights.js';

export interface ExecutableOptions {
  /** Valid, and this executable's own. */
  readonly program: Program;
  readonly weights: CudaWeights;
  readonly states: CudaStates;
  readonly limits: Limits;
  readonly features: MatrixFeatures;
}

/** Graphs that are kept; one takes some hundred kilobytes of the driver's memory. */
const mostGraphs = 96;

/** A program on the device: a step is one copy of a header, one graph, and one copy of its rows. */
export class CudaExecutable implements Executable {
  readonly #engine: Engine;
  readonly #weights: CudaWeights;
  readonly #states: CudaStates;
  readonly #limits: Limits;
  readonly #batchContext: BatchContext;
  readonly #plan: Plan;
  readonly #addresses: Addresses;
  readonly #header: number;
  readonly #holding: DeviceHolding;
  /** By bucket, the one used longest ago first. */
  readonly #graphs = new Map<string, Graph>();
  /** Output rows of the last step that `outputRow` may still be asked for. */
  #rowsKept = 0;
  #steps = 0;
  #disposal: Promise<void> | undefined;

  static async create(engine: Engine, options: ExecutableOptions): Promise<CudaExecutable> {
    const { program, weights, states, features } = options;
    const limits = { ...options.limits };
    await weights.make(program);
    const stored = (name: string) => weights.matrixOf(name);
    const plan = planProgram(program, { limits, features, weights: stored });
    const holding = new DeviceHolding(engine);
    const take = async (bytes: number): Promise<number> =>
      bytes === 0 ? 0 : holding.allocate({ bytes, what: 'The memory of a step' });
    try {
      const arena = await take(plan.arena.size);
      const parameters = await take(4 * plan.parameters.numbers);
      const counters = await take(plan.counterBytes);
      const header = await take(4 * plan.headerWords);
      if (counters !== 0) {
        const clearing = engine.addon.fillZero(engine.handle, counters, plan.counterBytes);
        await engine.guard(clearing, 'The memory of a step');
      }
      const filling = parameterLaunches(plan, { weights, parameters });
      await engine.launch(encodeLaunches(filling), header);
      const addresses: Addresses = {
        arena,
        parameters,
        counters,
        state: (name) => states.get(name)!.address,
        matrix: (name) => weights.packed(name),
        table: (name) => weights.file(name),
      };
      return new CudaExecutable(engine, { ...options, limits, plan, addresses, header, holding });
    } catch (error) {
      await holding.release();
      throw error;
    }
  }

  private constructor(
    engine: Engine,
    parts: ExecutableOptions & {
      readonly plan: Plan;
      readonly addresses: Addresses;
      readonly header: number;
      readonly holding: DeviceHolding;
    },
  ) {
    this.#engine = engine;
    this.#weights = parts.weights;
    this.#states = parts.states;
    this.#limits = parts.limits;
    this.#plan = parts.plan;
    this.#addresses = parts.addresses;
    this.#header = parts.header;
    this.#holding = parts.holding;
    const { slots } = parts.states;
    this.#batchContext = { ...batchBounds(parts.program), slots, embeddings: true };
  }

  get bytes(): number {
    return this.#holding.bytes;
  }

  get disposed(): boolean {
    return this.#disposal !== undefined;
  }

  /** Launches of a step of this many tokens, wanted rows and sequences. */
  countLaunches(step: Limits, { candidates = false }: Pick<Batch, 'candidates'> = {}): number {
    return this.#launches(bucketFor(step, this.#limits), candidates).length;
  }

  async run(batch: Batch): Promise<Rows> {
    this.#requireLive();
    validateBatch(batch, this.#limits, this.#batchContext);
    const { tokens, slots, wanted, candidates = false } = batch;
    const { offset, width } = candidates ? this.#plan.candidates! : this.#plan.output;
    const step = ++this.#steps;
    this.#rowsKept = candidates ? wanted.length : 0;
    if (tokens.length === 0) return new Float32Array(0);
    const counts = { tokens: tokens.length, wanted: wanted.length, sequences: slots.length };
    const graph = this.#graph(bucketFor(counts, this.#limits), candidates);
    const header = headerOf(batch, this.#plan.headerWords);
    const rows = rowsFor(batch, wanted.length * width);
    const { addon, handle } = this.#engine;
    const rowsAt = this.#addresses.arena + offset;
    const running = addon.run(handle, graph.id, header, this.#header, rowsAt, rows);
    try {
      // Why there is no graph says more than that there is none.
      const [made, done] = await Promise.allSettled([graph.made, running]);
      if (made.status === 'rejected') throw made.reason;
      if (done.status === 'rejected') throw done.reason;
      return rows;
    } catch (cause) {
      if (this.#steps === step) this.#rowsKept = 0;
      // The next step of its size tries anew.
      if (this.#graphs.get(graph.key) === graph) this.#graphs.delete(graph.key);
      throw this.#engine.errorOf(cause, 'A step');
    }
  }

  async outputRow(row: number): Promise<Rows> {
    this.#requireLive();
    requireRow(row, this.#rowsKept);
    const { offset, width } = this.#plan.output;
    const output = new Float32Array(width);
    const from = this.#addresses.arena + offset + 4 * row * width;
    const parts = Float64Array.of(from, 0, output.byteLength);
    const { addon, handle } = this.#engine;
    const bytes = new Uint8Array(output.buffer);
    await this.#engine.guard(addon.download(handle, bytes, parts), 'An output row');
    return output;
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#disposal ??= this.#release();
    return this.#disposal;
  }

  async #release(): Promise<void> {
    for (const graph of this.#graphs.values()) this.#drop(graph);
    this.#graphs.clear();
    await this.#holding.release();
  }

  /** Queued before the step that needs it, so that steps stay in order. */
  #graph(bucket: Bucket, candidates: boolean): Graph {
    const key = `${bucket.tokens} ${bucket.wanted} ${bucket.sequences} ${candidates}`;
    const kept = this.#graphs.get(key);
    if (kept) {
      this.#graphs.delete(key);
      this.#graphs.set(key, kept);
      return kept;
    }
    if (this.#graphs.size >= mostGraphs) {
      const [oldest] = this.#graphs.values();
      this.#graphs.delete(oldest!.key);
      this.#drop(oldest!);
    }
    const { addon, handle } = this.#engine;
    const id = this.#engine.nextGraph();
    const { words, bytes } = encodeLaunches(this.#launches(bucket, candidates));
    const made = addon.capture(handle, id, words, bytes, this.#header);
    // Whoever runs the step hears of it.
    made.catch(() => undefined);
    const graph = { id, key, made };
    this.#graphs.set(key, graph);
    return graph;
  }

  #drop({ id }: Graph): void {
    const { addon, handle } = this.#engine;
    // One that was never made is not there to be freed.
    addon.releaseGraph(handle, id).catch(() => undefined);
  }

  #launches(bucket: Bucket, candidates: boolean): KernelLaunch[] {
    const addresses = this.#addresses;
    return launchesFor(this.#plan, bucket, { candidates, addresses });
  }

  #requireLive(): void {
    requireLive(this.disposed, 'executable');
    requireLive(this.#weights.disposed, 'weights handle of the executable');
    requireLive(this.#states.disposed, 'states handle of the executable');
  }
}

interface Graph {
  readonly id: number;
  readonly key: string;
  readonly made: Promise<void>;
}

/** Fills the area of parameters from the weights. */
function parameterLaunches(
  plan: Plan,
  { weights, parameters }: { readonly weights: CudaWeights; readonly parameters: number },
): KernelLaunch[] {
  return plan.parameters.placed.map(({ parameter, offset }) => {
    const { rows, columns } = weights.matrixOf(parameter.weight);
    const { address, format } = weights.file(parameter.weight);
    const count = rows * columns;
    return {
      kernel: parameterKernel,
      index: kernelIndex(parameterKernel),
      grid: [Math.ceil(count / parameterKernel.rowsPerBlock), 1],
      values: {
        weight: address,
        out: parameters + 4 * offset,
        count,
        format: fileFormatCode(format),
        activation: activationCode(parameter.form),
        repeat: parameter.repeat,
      },
    };
  });
}

/** Only as much as the step needs, where it brings no embedding vectors. */
function headerOf(batch: Batch, largest: number): Uint32Array {
  const { tokens, starts, slots, wanted, embeddings } = batch;
  const lists = 16 + 4 * tokens.length + starts.length + slots.length + wanted.length;
  const words = new Uint32Array(Math.min(largest, lists + (embeddings?.vectors.length ?? 0)));
  return words.subarray(0, writeStepHeader(words, batch));
}

/** Memory that nobody can transfer while the device fills it: the batch's own where it is shared, otherwise new. */
function rowsFor({ output }: Batch, numbers: number): Float32Array {
  if (!(output instanceof Float32Array) || !(output.buffer instanceof SharedArrayBuffer))
    return new Float32Array(numbers);
  if (numbers === 0 || output.length < numbers) return new Float32Array(numbers);
  return output.length === numbers ? output : output.subarray(0, numbers);
}
