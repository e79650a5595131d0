import type { OpOf, Operand, Parameter, PrimitiveKind, Value } from '@rwkv-ts/backend';
import { isValue } from '@rwkv-ts/program';
import type { Numbers } from '../numbers.js';
import type { StateBlock } from '../state-blocks.js';
import type { Step } from '../step.js';

/** What an op gets while it is compiled. Everything here allocates or looks up; a step does neither. */
export interface OpContext {
  readonly step: Step;
  /** The most tokens a chunk of a chunked recurrence holds. */
  readonly chunkSize: number;
  /** The memory of a value for the largest step: [rows, width]. */
  value(value: Value): Numbers;
  /** A weight as stored, decoded: to f32, or to the precision of the backend where it learns. */
  matrix(name: string): Numbers;
  /**
   * A parameter with its form applied, in the precision of the backend, as `count` numbers: one [H] is spread over the
   * channels of each head. Default as many as are stored.
   */
  parameter(parameter: Parameter, count?: number): Numbers;
  state(name: string): StateBlock;
  /** Double-precision memory of the op's own. */
  scratch(count: number): Float64Array;
}

/** One step's work of one op. */
export type Kernel = () => void;

/** Looks everything up and allocates, once; the kernel it returns runs once per step. */
export type Prepare<Kind extends PrimitiveKind> = (op: OpOf<Kind>, context: OpContext) => Kernel;

/**
 * An element-wise operand: `numbers[row * stride + column]`; a parameter is one row that all share, so its stride is 0.
 */
export function operandOf(
  operand: Operand,
  context: OpContext,
): { readonly numbers: Numbers; readonly stride: number } {
  return isValue(operand)
    ? { numbers: context.value(operand), stride: operand.width }
    : { numbers: context.parameter(operand), stride: 0 };
}
