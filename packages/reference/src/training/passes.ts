/** The forward and the backward pass of a program over kept values. */
import type { PrimitiveOp, Program } from '@rwkv-ts/backend';
import { type BackwardStep, planBackward, readsOf } from '@rwkv-ts/program';
import { bytesPerNumber, createNumbers, type Numbers } from '../numbers.js';
import { prepareBackward, type TrainingOp } from '../ops/backward-table.js';
import type { Kernel } from '../ops/context.js';
import { type Form, prepareOp } from '../ops/table.js';
import type { StateBlock } from '../state-blocks.js';
import {
  type BackwardOptions,
  type ContextOptions,
  createForwardContext,
  prepareWithContext,
} from './contexts.js';
import { placeGradients } from './place-gradients.js';

export interface PassesOptions extends ContextOptions {
  /** Of ops that have a backward. */
  readonly program: Program;
  readonly form: Form;
  readonly stateGradients: readonly StateBlock[];
}

export interface Passes {
  readonly forward: readonly Kernel[];
  /** To be run before the forward pass that a backward pass follows. */
  readonly keepStates: Kernel;
  readonly backward: readonly Kernel[];
  /** [R, width] */
  readonly output: Numbers;
  /** [R, width], to be assigned before the backward pass; undefined where nothing asks for it. */
  readonly outputGradient: Numbers | undefined;
  /** Brings parameters up to date with the weights that learn. */
  refresh(): void;
}

/** Allocates everything that a run needs. @throws BackendError `OUT_OF_MEMORY` */
export function createPasses(options: PassesOptions): Passes {
  const { program, form, holding, precision, limits, trainable } = options;
  const context = createForwardContext(options);
  const output = context.value(program.output);
  const forward = program.ops.map((op) => prepareOp(op as PrimitiveOp, form, context));
  const plan = planBackward(program, { trainableWeights: new Set(trainable.keys()) });
  const placing = { output: program.output, limits, precision, holding };
  const gradients = placeGradients(plan, placing);
  const kept = new Map<string, Numbers>();
  const backwardOptions: BackwardOptions = {
    ...options,
    forward: context,
    gradients,
    stateBefore(name) {
      const numbers = kept.get(name) ?? createKept(name, options);
      kept.set(name, numbers);
      return numbers;
    },
  };
  return {
    forward,
    backward: plan.steps.map((step) => prepareStep(step, backwardOptions)),
    keepStates() {
      for (const [name, numbers] of kept) keepBlock(name, { numbers, ...options });
    },
    output,
    outputGradient: gradients.get(program.output.id),
    refresh: () => {
      context.refresh();
    },
  };
}

/** Clears the gradients that this step is the first to owe, and runs the op's backward. */
function prepareStep(backwardStep: BackwardStep, options: BackwardOptions): Kernel {
  const { step, gradients } = options;
  const { op, reads } = backwardStep;
  const fresh = readsOf(op).filter((_, read) => reads[read] === 'assign');
  const kernel = prepareWithContext(options, (context) =>
    prepareBackward(op as TrainingOp, context),
  );
  return () => {
    for (const { id, rows, width } of fresh) gradients.get(id)!.fill(0, 0, step.rows[rows] * width);
    kernel();
  };
}

/** [S, ...shape] */
function createKept(name: string, { states, limits, precision, holding }: ContextOptions): Numbers {
  const { size } = states.find(({ spec }) => spec.name === name)!;
  const count = limits.sequences * size;
  return holding.allocate(
    { bytes: count * bytesPerNumber[precision], what: `State ${name} before a run` },
    () => createNumbers(precision, count),
  );
}

function keepBlock(
  name: string,
  { numbers, states, step }: ContextOptions & { readonly numbers: Numbers },
): void {
  const { values, size } = states.find(({ spec }) => spec.name === name)!;
  for (let s = 0; s < step.sequences; s++) {
    const slot = step.slots[s]! * size;
    numbers.set(values.subarray(slot, slot + size), s * size);
  }
}
