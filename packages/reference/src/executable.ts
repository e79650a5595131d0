import {
  type Batch,
  type Executable,
  type Limits,
  type PrimitiveOp,
  type Program,
  type Rows,
  type Value,
} from '@rwkv-ts/backend';
import {
  type BatchContext,
  batchBounds,
  planMemory,
  requireLive,
  requireRow,
  validateBatch,
} from '@rwkv-ts/program';
import type { JobQueue } from './job-queue.js';
import { Holding, type Memory } from './memory.js';
import {
  bytesPerNumber,
  createNumbers,
  type Numbers,
  type Precision,
  viewNumbers,
} from './numbers.js';
import type { Kernel, OpContext } from './ops/context.js';
import { writeParameter } from './ops/parameter.js';
import { type Form, prepareOp } from './ops/table.js';
import type { StateBlock } from './state-blocks.js';
import type { HostStates } from './states.js';
import { copyBatch, createStep, loadStep, type Step } from './step.js';
import type { DecodedWeight, ReferenceWeights } from './weights.js';

export interface ExecutableOptions {
  /** Valid, and of primitives only. */
  readonly program: Program;
  readonly weights: ReferenceWeights;
  readonly states: HostStates;
  readonly limits: Limits;
  readonly precision: Precision;
  readonly form: Form;
  readonly chunkSize: number;
  readonly queue: JobQueue;
  readonly memory: Memory;
}

/** What `run` gives out: [R, width]. */
interface Answer {
  numbers: Numbers;
  readonly width: number;
}

/** A list of prepared kernels over one arena of activations. */
export class ReferenceExecutable implements Executable {
  readonly #queue: JobQueue;
  readonly #holding: Holding;
  readonly #weights: ReferenceWeights;
  readonly #states: HostStates;
  readonly #limits: Limits;
  readonly #batchContext: BatchContext;
  readonly #step: Step = createStep();
  readonly #output: Answer;
  readonly #candidates: Answer | undefined;
  /** Output rows of the last step that `outputRow` may still be asked for. */
  #rowsKept = 0;
  #kernels: readonly Kernel[];
  #disposal: Promise<void> | undefined;

  constructor(options: ExecutableOptions) {
    const { program, weights, states, limits } = options;
    this.#queue = options.queue;
    this.#weights = weights;
    this.#states = states;
    this.#limits = { ...limits };
    this.#holding = new Holding(options.memory);
    this.#batchContext = { ...batchBounds(program), slots: states.slots, embeddings: true };
    try {
      const context = createContext(options, { step: this.#step, holding: this.#holding });
      const answer = (value: Value) => ({ numbers: context.value(value), width: value.width });
      this.#output = answer(program.output);
      this.#candidates = program.candidates && answer(program.candidates);
      this.#kernels = program.ops.map((op) => prepareOp(op as PrimitiveOp, options.form, context));
    } catch (error) {
      this.#holding.release();
      throw error;
    }
  }

  get bytes(): number {
    return this.#holding.bytes;
  }

  get disposed(): boolean {
    return this.#disposal !== undefined;
  }

  async run(batch: Batch): Promise<Rows> {
    this.#requireLive();
    validateBatch(batch, this.#limits, this.#batchContext);
    const copy = copyBatch(batch);
    return this.#queue.enqueue(() => this.#execute(copy));
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#disposal ??= this.#queue.enqueue(async () => {
      this.#kernels = [];
      for (const answer of [this.#output, this.#candidates]) {
        if (answer) answer.numbers = answer.numbers.subarray(0, 0).slice();
      }
      this.#holding.release();
    });
    return this.#disposal;
  }

  async #execute(batch: Batch): Promise<Rows> {
    loadStep(this.#step, batch);
    for (const kernel of this.#kernels) {
      if (this.#queue.shouldYield) await this.#queue.yield();
      kernel();
    }
    const rows = batch.wanted.length;
    this.#rowsKept = batch.candidates === true ? rows : 0;
    const { numbers, width } = batch.candidates === true ? this.#candidates! : this.#output;
    return numbers.slice(0, rows * width);
  }

  async outputRow(row: number): Promise<Rows> {
    this.#requireLive();
    return this.#queue.enqueue(async () => {
      requireRow(row, this.#rowsKept);
      const { numbers, width } = this.#output;
      return numbers.slice(row * width, (row + 1) * width);
    });
  }

  #requireLive(): void {
    requireLive(this.disposed, 'executable');
    requireLive(this.#weights.disposed, 'weights handle of the executable');
    requireLive(this.#states.disposed, 'states handle of the executable');
  }
}

function createContext(
  options: ExecutableOptions,
  { step, holding }: { step: Step; holding: Holding },
): OpContext {
  const { program, weights, states, limits, precision, chunkSize } = options;
  const elementBytes = bytesPerNumber[precision];
  const plan = planMemory(program, { limits, elementBytes, alignment: 64 });
  const buffer = holding.allocate(
    { bytes: plan.bytes, what: 'Activations' },
    () => new ArrayBuffer(plan.bytes),
  );
  return {
    step,
    chunkSize,
    value({ id, rows, width }) {
      const count = (rows === 'T' ? limits.tokens : limits.wanted) * width;
      return viewNumbers(precision, { buffer, offset: plan.offsets.get(id) ?? 0, count });
    },
    matrix: (name) => boundWeight(weights, name).values,
    parameter({ weight, form }, count) {
      const stored = boundWeight(weights, weight).values;
      const length = count ?? stored.length;
      const numbers = holding.allocate(
        { bytes: length * elementBytes, what: `Parameter ${weight}` },
        () => createNumbers(precision, length),
      );
      writeParameter(numbers, { stored, form });
      return numbers;
    },
    state: (name) => boundState(states, name),
    scratch: (count) =>
      holding.allocate({ bytes: count * 8, what: 'Scratch memory' }, () => new Float64Array(count)),
  };
}

/** What `checkBindings` has seen in the handle. */
function boundWeight(weights: ReferenceWeights, name: string): DecodedWeight {
  return weights.get(name)!;
}

function boundState(states: HostStates, name: string): StateBlock {
  return states.block(name)!;
}
