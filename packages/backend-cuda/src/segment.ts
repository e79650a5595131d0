/** A run of a program's ops on its device: memory, and a graph for steps of each size. */
import type { Batch, Limits, Program } from '@rwkv-ts/backend';
import type { Bucket } from './buckets.js';
import { partsOf } from './crossing.js';
import { DeviceHolding } from './device-holding.js';
import { encodeLaunches, type KernelLaunch } from './encode/arguments.js';
import { rowCount } from './encode/graph.js';
import { type CrossingPlace, launchesFor, type Plan, planProgram } from './encode/plan.js';
import type { Addresses } from './encode/resolve.js';
import type { Engine } from './engine.js';
import { kernelIndex } from './kernels/all.js';
import { fileFormatCode } from './kernels/file-formats.js';
import type { MatrixFeatures } from './kernels/linear.js';
import { activationCode } from './kernels/math.js';
import { parameterKernel } from './kernels/parameter.js';
import type { NativeCrossing } from './native.js';
import type { ProgramSegment } from './split/segments.js';
import type { CudaStates } from './states.js';
import type { CudaWeights } from './weights/weights.js';

export interface SegmentOptions {
  readonly program: Program;
  readonly part: ProgramSegment;
  readonly weights: CudaWeights;
  readonly states: CudaStates;
  readonly limits: Limits;
  readonly features: MatrixFeatures;
}

export interface StepOfSegment {
  readonly graph: StepGraph;
  readonly counts: Limits;
  readonly header: Uint32Array;
  /** Rows that begin so far into the arena, in bytes; empty where this segment has none of them. */
  readonly rows: { readonly offset: number; readonly into: Float32Array };
  /** Of the crossings on both sides. */
  readonly round: number;
  readonly taken: NativeCrossing | undefined;
  readonly sent: NativeCrossing | undefined;
}

/** Undefined `id`: nothing is launched. */
export interface StepGraph {
  readonly key: string;
  readonly id: number;
  readonly made: Promise<void>;
}

/** Graphs that are kept; one takes some hundred kilobytes of the driver's memory. */
const mostGraphs = 96;

export class DeviceSegment {
  readonly engine: Engine;
  readonly plan: Plan;
  readonly #addresses: Addresses;
  readonly #header: number;
  readonly #holding: DeviceHolding;
  /** By bucket, the one used longest ago first. */
  readonly #graphs = new Map<string, StepGraph>();

  /** @throws BackendError `UNSUPPORTED_OP`, `OUT_OF_MEMORY`, `DEVICE_LOST` */
  static async create(engine: Engine, options: SegmentOptions): Promise<DeviceSegment> {
    const { program, part, weights, states, limits, features } = options;
    const { device } = part;
    const stored = (name: string) => weights.matrixOf(name);
    const plan = planProgram(program, { limits, features, weights: stored, segment: part });
    const holding = new DeviceHolding(engine);
    const what = 'The memory of a step';
    const take = async (bytes: number): Promise<number> =>
      bytes === 0 ? 0 : holding.allocate({ bytes, what });
    try {
      const arena = await take(plan.arena.size);
      const parameters = await take(4 * plan.parameters.numbers);
      const counters = await take(plan.counterBytes);
      const header = await take(4 * plan.headerWords);
      const addresses: Addresses = {
        arena,
        parameters,
        counters,
        state: (name) => states.addressOf(name),
        matrix: (name) => weights.packed(name, device),
        table: (name) => weights.file(name, device),
      };
      if (counters !== 0) {
        const clearing = engine.addon.fillZero(engine.handle, counters, plan.counterBytes);
        await engine.guard(clearing, what);
      }
      const filling = parameterLaunches(plan, { weights, device, parameters });
      await engine.launch(encodeLaunches(filling), header);
      return new DeviceSegment(engine, { plan, addresses, header, holding });
    } catch (error) {
      await holding.release();
      throw error;
    }
  }

  private constructor(
    engine: Engine,
    parts: {
      readonly plan: Plan;
      readonly addresses: Addresses;
      readonly header: number;
      readonly holding: DeviceHolding;
    },
  ) {
    this.engine = engine;
    this.plan = parts.plan;
    this.#addresses = parts.addresses;
    this.#header = parts.header;
    this.#holding = parts.holding;
  }

  get bytes(): number {
    return this.#holding.bytes;
  }

  /** In order, for steps of the bucket. */
  launches(bucket: Bucket, candidates: boolean): KernelLaunch[] {
    const addresses = this.#addresses;
    return launchesFor(this.plan, bucket, { candidates, addresses });
  }

  /** Queued before the step that needs it, so that steps stay in order. */
  graph(bucket: Bucket, { candidates = false }: Pick<Batch, 'candidates'>): StepGraph {
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
    const graph = { key, ...this.#capture(this.launches(bucket, candidates)) };
    this.#graphs.set(key, graph);
    return graph;
  }

  /** The next step of its size tries anew. */
  forget(graph: StepGraph): void {
    if (this.#graphs.get(graph.key) !== graph) return;
    this.#graphs.delete(graph.key);
    this.#drop(graph);
  }

  /** Settles when the device has done its part, or, where it sends something, when that was sent. */
  run(step: StepOfSegment): Promise<unknown> {
    const { graph, counts, header, rows, round, taken, sent } = step;
    const { arena } = this.#addresses;
    const parts = (places: readonly CrossingPlace[]) =>
      partsOf(
        places.map(({ offset, rows: kind, width }) => ({
          at: arena + offset,
          bytes: 4 * width * rowCount(kind, counts),
        })),
      );
    return this.engine.addon.run(
      this.engine.handle,
      graph.id,
      header,
      this.#header,
      arena + rows.offset,
      rows.into,
      round,
      taken,
      taken && parts(this.plan.imports),
      sent,
      sent && parts(this.plan.exports),
    );
  }

  /** Bytes of the arena, after all that is queued. */
  async download(into: Uint8Array, offset: number): Promise<void> {
    const { addon, handle } = this.engine;
    const parts = Float64Array.of(this.#addresses.arena + offset, 0, into.length);
    await this.engine.guard(addon.download(handle, into, parts), 'An output row');
  }

  async release(): Promise<void> {
    for (const graph of this.#graphs.values()) this.#drop(graph);
    this.#graphs.clear();
    await this.#holding.release();
  }

  #capture(launches: readonly KernelLaunch[]): Omit<StepGraph, 'key'> {
    if (launches.length === 0) return { id: 0, made: Promise.resolve() };
    const { addon, handle } = this.engine;
    const id = this.engine.nextGraph();
    const { words, bytes } = encodeLaunches(launches);
    const made = addon.capture(handle, id, words, bytes, this.#header);
    // Whoever runs the step hears of it.
    made.catch(() => undefined);
    return { id, made };
  }

  #drop({ id }: StepGraph): void {
    if (id === 0) return;
    const { addon, handle } = this.engine;
    // One that was never made is not there to be freed.
    addon.releaseGraph(handle, id).catch(() => undefined);
  }
}

/** Fills the area of parameters from the weights. */
function parameterLaunches(
  plan: Plan,
  own: { readonly weights: CudaWeights; readonly device: number; readonly parameters: number },
): KernelLaunch[] {
  const { weights, device, parameters } = own;
  return plan.parameters.placed.map(({ parameter, offset }) => {
    const { rows, columns } = weights.matrixOf(parameter.weight);
    const { address, format } = weights.file(parameter.weight, device);
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
