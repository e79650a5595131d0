import type { Batch, Executable, Limits, Op, Program, Rows } from '@rwkv-ts/backend';
import {
  type BatchContext,
  batchBounds,
  lowerHeadNorms,
  requireLive,
  requireRow,
  stateOf,
  validateBatch,
  writeStepHeader,
} from '@rwkv-ts/program';
import { bucketFor } from './buckets.js';
import { alignedPassage, Crossing } from './crossing.js';
import { rowCount } from './encode/graph.js';
import type { AnswerPlace, Plan } from './encode/plan.js';
import type { Engine } from './engine.js';
import type { MatrixFeatures } from './kernels/linear.js';
import { DeviceSegment, type StepGraph } from './segment.js';
import { type Cut, cutByHomes, cutByShares } from './split/cut.js';
import { segmentsOf } from './split/segments.js';
import type { CudaStates } from './states.js';
import type { CudaWeights } from './weights/weights.js';

export interface ExecutableOptions {
  /** Valid, and this executable's own. */
  readonly program: Program;
  readonly weights: CudaWeights;
  readonly states: CudaStates;
  readonly limits: Limits;
  /** Of each of the devices, like what each can take. */
  readonly features: readonly MatrixFeatures[];
  readonly shares: readonly number[];
}

interface ExecutableParts extends Omit<ExecutableOptions, 'shares' | 'features'> {
  readonly segments: readonly DeviceSegment[];
  readonly crossings: readonly Crossing[];
}

/**
 * A program on the devices. A step is, on each of them in turn, one copy of a header, one graph, and a copy of what the next
 * one reads; then one copy of its rows. All of that is queued at once, on the threads of the devices, and the next step may
 * begin on the first device while this one is on the last.
 */
export class CudaExecutable implements Executable {
  readonly #weights: CudaWeights;
  readonly #states: CudaStates;
  readonly #stateNames: readonly string[];
  readonly #limits: Limits;
  readonly #batchContext: BatchContext;
  readonly #segments: readonly DeviceSegment[];
  /** From each segment but the last to the next. */
  readonly #crossings: readonly Crossing[];
  /** Output rows of the last step that `outputRow` may still be asked for. */
  #rowsKept = 0;
  #steps = 0;
  #disposal: Promise<void> | undefined;

  static async create(
    engines: readonly Engine[],
    options: ExecutableOptions,
  ): Promise<CudaExecutable> {
    const { weights, states, features } = options;
    const limits = { ...options.limits };
    const program = lowerHeadNorms(options.program);
    const cut = cutFor(program, options);
    const homes = homesOf(program, cut);
    await states.holdOn(homes);
    const segments: DeviceSegment[] = [];
    const crossings: Crossing[] = [];
    try {
      await weights.make(program, cut);
      for (const part of segmentsOf(program, cut)) {
        const own = { program, part, weights, states, limits, features: features[part.device]! };
        segments.push(await DeviceSegment.create(engines[part.device]!, own));
      }
      for (const [at, { engine, plan }] of segments.slice(0, -1).entries()) {
        const bytes = crossingBytes(plan);
        crossings.push(await Crossing.open(engine, segments[at + 1]!.engine, bytes));
      }
      return new CudaExecutable({ program, weights, states, limits, segments, crossings });
    } catch (error) {
      states.letGo(homes.keys());
      await releaseAll(segments, crossings);
      throw error;
    }
  }

  private constructor({ program, ...parts }: ExecutableParts) {
    this.#weights = parts.weights;
    this.#states = parts.states;
    this.#stateNames = program.states.map(({ name }) => name);
    this.#limits = parts.limits;
    this.#segments = parts.segments;
    this.#crossings = parts.crossings;
    const { slots } = parts.states;
    this.#batchContext = { ...batchBounds(program), slots, embeddings: true };
  }

  get bytes(): number {
    return [...this.#segments, ...this.#crossings].reduce((total, { bytes }) => total + bytes, 0);
  }

  get disposed(): boolean {
    return this.#disposal !== undefined;
  }

  /** Launches of a step of this many tokens, wanted rows and sequences. */
  countLaunches(step: Limits, { candidates = false }: Pick<Batch, 'candidates'> = {}): number {
    const bucket = bucketFor(step, this.#limits);
    return this.#segments.reduce(
      (total, segment) => total + segment.launches(bucket, candidates).length,
      0,
    );
  }

  async run(batch: Batch): Promise<Rows> {
    this.#requireLive();
    validateBatch(batch, this.#limits, this.#batchContext);
    const { tokens, slots, wanted, candidates = false } = batch;
    const step = ++this.#steps;
    this.#rowsKept = candidates ? wanted.length : 0;
    if (tokens.length === 0) return new Float32Array(0);
    const counts = { tokens: tokens.length, wanted: wanted.length, sequences: slots.length };
    const bucket = bucketFor(counts, this.#limits);
    const graphs = this.#segments.map((segment) => segment.graph(bucket, batch));
    const { rows, running } = this.#queue(batch, { counts, graphs });
    try {
      await this.#finish(graphs, running);
      return rows;
    } catch (error) {
      if (this.#steps === step) this.#rowsKept = 0;
      for (const [at, segment] of this.#segments.entries()) segment.forget(graphs[at]!);
      throw error;
    }
  }

  async outputRow(row: number): Promise<Rows> {
    this.#requireLive();
    requireRow(row, this.#rowsKept);
    const { segment, place } = this.#answer('output');
    const { offset, width } = place;
    const output = new Float32Array(width);
    await segment.download(new Uint8Array(output.buffer), offset + 4 * row * width);
    return output;
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#disposal ??= this.#release();
    return this.#disposal;
  }

  async #release(): Promise<void> {
    this.#states.letGo(this.#stateNames);
    await releaseAll(this.#segments, this.#crossings);
  }

  /** Every device's part of a step, in their order, which is that of the contract's calls on every device. */
  #queue(
    batch: Batch,
    { counts, graphs }: { readonly counts: Limits; readonly graphs: readonly StepGraph[] },
  ): { readonly rows: Float32Array; readonly running: readonly Promise<unknown>[] } {
    const answer = this.#answer(batch.candidates === true ? 'candidates' : 'output');
    const rows = rowsFor(batch, counts.wanted * answer.place.width);
    const header = headerOf(batch, this.#segments[0]!.plan.headerWords);
    const rounds = this.#crossings.map((crossing) => crossing.nextRound());
    const running = this.#segments.map((segment, at) => {
      const isAnswering = segment === answer.segment;
      return segment.run({
        graph: graphs[at]!,
        counts,
        header,
        rows: isAnswering
          ? { offset: answer.place.offset, into: rows }
          : { offset: 0, into: new Float32Array(0) },
        // Crossings of one executable count alike.
        round: rounds[0] ?? 0,
        taken: this.#crossings[at - 1]?.native,
        sent: this.#crossings[at]?.native,
      });
    });
    return { rows, running };
  }

  /** What failed first is what failed: later devices only hear that nothing came. */
  async #finish(graphs: readonly StepGraph[], running: readonly Promise<unknown>[]): Promise<void> {
    const [made, done] = await Promise.all([
      Promise.allSettled(graphs.map((graph) => graph.made)),
      Promise.allSettled(running),
    ]);
    for (const [at, { engine }] of this.#segments.entries()) {
      // Why there is no graph says more than that there is none.
      for (const outcome of [made[at]!, done[at]!])
        if (outcome.status === 'rejected') throw engine.errorOf(outcome.reason, 'A step');
      engine.group.requireUsable();
    }
  }

  #answer(which: 'output' | 'candidates'): {
    readonly segment: DeviceSegment;
    readonly place: AnswerPlace;
  } {
    const segment = this.#segments.find(({ plan }) => plan[which])!;
    return { segment, place: segment.plan[which]! };
  }

  #requireLive(): void {
    requireLive(this.disposed, 'executable');
    requireLive(this.#weights.disposed, 'weights handle of the executable');
    requireLive(this.#states.disposed, 'states handle of the executable');
    this.#segments[0]!.engine.group.requireUsable();
  }
}

/**
 * Where nothing lies as a program wants it, the program is cut by what the devices can take. Otherwise ops go where their
 * weights are, and must go where a live executable holds their states.
 */
function cutFor(program: Program, { weights, states, shares }: ExecutableOptions): Cut {
  const devices = shares.length;
  if (devices === 1) return program.ops.map(() => 0);
  const isHeld = program.states.some(({ name }) => states.homeOf(name) !== undefined);
  if (!weights.hasHomes && !isHeld) {
    const stateBytes = (op: Op): number => {
      const name = stateOf(op);
      return name === undefined ? 0 : states.bytesOf(name);
    };
    const bytesOf = (op: Op) => weights.bytesOf(op) + stateBytes(op);
    return cutByShares(program, { shares, bytesOf });
  }
  const costOf = (op: Op, device: number): number => {
    const name = stateOf(op);
    const home = name === undefined ? undefined : states.homeOf(name);
    return home === undefined || home === device ? weights.bytesOf(op, device) : Infinity;
  };
  return cutByHomes(program, { devices, costOf });
}

function homesOf({ ops }: Program, cut: Cut): ReadonlyMap<string, number> {
  const homes = new Map<string, number>();
  for (const [at, op] of ops.entries()) {
    const name = stateOf(op);
    if (name !== undefined) homes.set(name, cut[at]!);
  }
  return homes;
}

/** Of the largest step; some, since nobody gives none. */
const crossingBytes = ({ exports, limits }: Plan): number =>
  exports.reduce(
    (total, { rows, width }) => total + alignedPassage(4 * width * rowCount(rows, limits)),
    alignedPassage(1),
  );

/** Crossings end on the devices' threads before the memory that they copy goes. */
async function releaseAll(
  segments: readonly DeviceSegment[],
  crossings: readonly Crossing[],
): Promise<void> {
  await Promise.all(crossings.map((crossing) => crossing.close()));
  await Promise.all(segments.map((segment) => segment.release()));
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
