/** A program bound to its weights, states and buffers: `run` walks a list of closures, and looks nothing up. */
import {
  type Batch,
  BackendError,
  type BackendSupports,
  type Executable,
  type Limits,
  type Parameter,
  type Program,
  type Rows,
  type Value,
} from '@rwkv-ts/backend';
import {
  batchBounds,
  stateOf,
  validateBatch,
  validateLimits,
  validateProgram,
  weightsOf,
  writesOf,
} from '@rwkv-ts/backend-kit';
import { f16ToF32, f32ToF16 } from '@rwkv-ts/formats';
import { activations } from './activations.js';
import { Handle, type Owner } from './handle.js';
import { type CompileContext, compileOp, type Kernel, requireKernel } from './kernels.js';
import type { CustomStates } from './states.js';
import type { CustomWeights } from './weights.js';

interface Binding {
  readonly program: Program;
  readonly weights: CustomWeights;
  readonly states: CustomStates;
  readonly limits: Limits;
  readonly activations: BackendSupports['activations'];
}

export class CustomExecutable extends Handle implements Executable {
  readonly #binding: Binding;
  readonly #bounds: ReturnType<typeof batchBounds>;
  #kernels: Kernel[];
  #buffers: Map<number, Float32Array>;

  constructor(owner: Owner, binding: Binding) {
    const { program, limits, weights, states } = binding;
    weights.assertAlive();
    states.assertAlive();
    validateLimits(limits);
    checkProgram(binding);
    const buffers = new Map<number, Float32Array>();
    let bytes = 0;
    for (const op of program.ops) {
      for (const value of writesOf(op)) {
        const rows = value.rows === 'T' ? limits.tokens : limits.wanted;
        buffers.set(value.id, new Float32Array(rows * value.width));
        bytes += 4 * rows * value.width;
      }
    }
    super(owner, bytes);
    this.#binding = binding;
    this.#buffers = buffers;
    const context: CompileContext = {
      buffer: (value) => buffers.get(value.id)!,
      weight: (name) => weights.tensors.get(name)!.data,
      parameter: (parameter) => applyForm(weights.tensors.get(parameter.weight)!.data, parameter),
      state: (name) => states.blocks.get(name)!,
    };
    this.#kernels = program.ops.flatMap((op) => {
      const kernel = compileOp(op, context);
      if (binding.activations !== 'f16') return [kernel];
      return [kernel, ...writesOf(op).map((value) => roundToHalf(value, context.buffer(value)))];
    });
    this.#bounds = batchBounds(program);
  }

  // An async function rejects where a plain one would throw, and runs to its first `await` before it returns. There
  // is none, so calls take effect in call order and the batch's arrays are free again at once.
  async run(batch: Batch): Promise<Rows> {
    this.assertAlive();
    const { limits, states, weights, program } = this.#binding;
    states.assertAlive();
    weights.assertAlive();
    validateBatch(batch, limits, {
      ...this.#bounds,
      slots: states.slots,
      embeddings: true,
    });
    for (const kernel of this.#kernels) kernel(batch);
    return this.#buffers
      .get(program.output.id)!
      .slice(0, rowsOf(program.output, batch) * program.output.width);
  }

  protected release(): void {
    this.#kernels = [];
    this.#buffers = new Map();
  }
}

function roundToHalf(value: Value, data: Float32Array): Kernel {
  return (batch) => {
    const count = rowsOf(value, batch) * value.width;
    for (let i = 0; i < count; i++) data[i] = f16ToF32(f32ToF16(data[i]!));
  };
}

function applyForm(data: Float32Array, { form }: Parameter): Float32Array {
  return form === undefined ? data : data.map(activations[form]);
}

/** The rows of a value that a step fills. */
export function rowsOf(value: Value, batch: Batch): number {
  return value.rows === 'T' ? batch.tokens.length : batch.wanted.length;
}

/** The program's own rules are the kit's to check; that its weights and states are there in its shapes is ours. */
function checkProgram({ program, weights, states }: Binding): void {
  for (const { kind } of program.ops) requireKernel(kind);
  validateProgram(program);
  const shapes = new Map(program.weights.map(({ name, shape }) => [name, shape]));
  const stateShapes = new Map(program.states.map(({ name, shape }) => [name, shape]));
  for (const op of program.ops) {
    for (const name of weightsOf(op)) {
      checkShape({ name, expected: shapes.get(name), got: weights.tensors.get(name)?.shape });
    }
    const state = stateOf(op);
    if (state !== undefined) {
      const [expected, got] = [stateShapes.get(state), states.blocks.get(state)?.shape];
      checkShape({ name: state, expected, got });
    }
  }
}

interface ShapePair {
  readonly name: string;
  readonly expected: readonly number[] | undefined;
  readonly got: readonly number[] | undefined;
}

function checkShape({ name, expected, got }: ShapePair): void {
  if (String(expected) === String(got)) return;
  throw new BackendError({
    code: 'PROGRAM_INVALID',
    message: `The program wants ${name} of shape [${String(expected)}], got ${got === undefined ? 'nothing of that name' : `[${String(got)}]`}.`,
    expected,
    got,
  });
}
