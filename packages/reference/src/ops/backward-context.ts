import type { OpOf, Operand, Parameter, PrimitiveKind, Value } from '@rwkv-ts/backend';
import { isValue } from '@rwkv-ts/program';
import type { Numbers } from '../numbers.js';
import type { StateBlock } from '../state-blocks.js';
import type { Kernel, OpContext } from './context.js';

/**
 * What the backward of an op gets besides what its forward got. The values are those of the forward pass, which has just
 * run over the same step. With L the loss, d‹something› stands for dL/d‹something› in every file.
 *
 * A gradient is added to: it holds what other ops owe, or zero. One that nobody needs is undefined.
 */
export interface BackwardContext extends OpContext {
  /** T of the largest step. */
  readonly mostTokens: number;
  /** [rows, width] */
  gradient(value: Value): Numbers | undefined;
  /** The gradient of what the op assigned; zeros where the loss depends on the op through its state alone. */
  outGradient(value: Value): Numbers;
  /** Shaped as the weight. */
  weightGradient(name: string): Numbers | undefined;
  /** The gradient of what `parameter` gives for the same `count`. */
  parameterGradient(parameter: Parameter, count: number): Float64Array | undefined;
  /**
   * dL/d of the states after the step, [slots, ...shape]; a backward replaces those of the step's slots by the ones of the
   * states before it.
   */
  stateGradient(name: string): StateBlock;
  /** The states of the step's sequences before it, [S, ...shape]; `state` has those after it. */
  stateBefore(name: string): Numbers;
  /** Memory of the op's own, rounded as states are. */
  stateScratch(count: number): Numbers;
}

/** The backward of one op: looks everything up once, and gives the kernel of one step. */
export type PrepareBackward<Kind extends PrimitiveKind> = (
  op: OpOf<Kind>,
  context: BackwardContext,
) => Kernel;

/** The gradient of an element-wise operand [_, width] or [width], indexed as `operandOf` indexes the operand. */
export function operandGradient(
  operand: Operand,
  { context, width }: { readonly context: BackwardContext; readonly width: number },
): { readonly numbers: Numbers; readonly stride: number } | undefined {
  const numbers = isValue(operand)
    ? context.gradient(operand)
    : context.parameterGradient(operand, width);
  return numbers && { numbers, stride: isValue(operand) ? width : 0 };
}

/** sink[at + i] += line[i], where there is a sink. */
export function addLine(sink: Numbers | undefined, at: number, line: Float64Array): void {
  if (!sink) return;
  for (let i = 0; i < line.length; i++) sink[at + i]! += line[i]!;
}
