/** Which ops a backward pass visits, and what each owes to whom: all that training needs to know of a program's graph. */
import type { Op, Program, Value } from '@rwkv-ts/backend';
import { readsOf, stateOf, weightsOf, writesOf } from '../access.js';

/**
 * What a step does with the gradient of something it read: nothing, write it (nobody has yet), or add to what is there.
 */
export type GradientUse = 'skip' | 'assign' | 'add';

/** The backward of one op. */
export interface BackwardStep {
  /** Its index in `Program.ops`. */
  readonly index: number;
  readonly op: Op;
  /**
   * For each of `writesOf(op)`: whether its gradient is there. If not it is zero, which happens to ops that matter only
   * through their state.
   */
  readonly writes: readonly boolean[];
  /** For each of `readsOf(op)`, in that order; an op that reads a value twice assigns it first and then adds. */
  readonly reads: readonly GradientUse[];
  /** For each of `weightsOf(op)`: whether it learns. Gradients of weights are added to, always. */
  readonly weights: readonly boolean[];
}

export interface BackwardPlan {
  /** In the order of execution: the program's last op first. */
  readonly steps: readonly BackwardStep[];
  /** Values whose gradient some step writes, by id. */
  readonly gradients: ReadonlyMap<number, Value>;
}

export interface BackwardPlanOptions {
  readonly trainableWeights: ReadonlySet<string>;
}

/**
 * The program walked in reverse, leaving out what no trainable weight and no state depends on. The gradient of the output
 * is there from the start. Every op with a state is visited: what came before this run hears of the loss through it.
 */
export function planBackward(
  { ops, output }: Program,
  { trainableWeights }: BackwardPlanOptions,
): BackwardPlan {
  const learns = (op: Op): boolean => weightsOf(op).some((name) => trainableWeights.has(name));
  const needed = new Set<number>();
  for (const op of ops) {
    const matters =
      learns(op) || stateOf(op) !== undefined || readsOf(op).some(({ id }) => needed.has(id));
    if (matters) for (const { id } of writesOf(op)) needed.add(id);
  }
  const written = new Map<number, Value>([[output.id, output]]);
  const steps: BackwardStep[] = [];
  for (const [index, op] of [...ops.entries()].reverse()) {
    const writes = writesOf(op).map(({ id }) => written.has(id) && needed.has(id));
    if (!writes.includes(true) && stateOf(op) === undefined) continue;
    const reads = readsOf(op).map((value): GradientUse => {
      if (!needed.has(value.id)) return 'skip';
      if (written.has(value.id)) return 'add';
      written.set(value.id, value);
      return 'assign';
    });
    const weights = weightsOf(op).map((name) => trainableWeights.has(name));
    const owes = reads.some((use) => use !== 'skip') || weights.includes(true);
    if (owes || stateOf(op) !== undefined) steps.push({ index, op, writes, reads, weights });
  }
  if (!needed.has(output.id)) written.delete(output.id);
  return { steps, gradients: written };
}
