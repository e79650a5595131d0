import type { OpOf, Operand, Parameter, PrimitiveKind, Value } from '@rwkv-ts/backend';
import { isValue } from '@rwkv-ts/program';
import type { Numbers } from '../numbers.js';
import type { StateBlock } from '../states.js';
import type { Step } from '../step.js';

/** What an op gets while it is compiled. Everything here allocates or looks up; a step does neither. */
export interface OpContext {
  readonly step: Step;
  /** The most tokens a chunk of a chunked recurrence holds. */
  readonly chunkSize: number;
  /** The memory of a value for the largest step: [rows, width]. */
  value(value: Value): Numbers;
  /** A weight as stored, decoded to f32. */
  matrix(name: string): Float32Array;
  /** A parameter with its form applied, in the precision of the backend. */
  parameter(parameter: Parameter): Numbers;
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

/** A parameter [H] or [H, N] as [H, N]. */
export function perChannel(
  parameter: Parameter,
  { heads, channels }: { heads: number; channels: number },
  context: OpContext,
): Numbers {
  const numbers = context.parameter(parameter);
  if (numbers.length === channels) return numbers;
  const spread = context.scratch(channels);
  const size = channels / heads;
  for (let head = 0; head < heads; head++) {
    spread.fill(numbers[head]!, head * size, (head + 1) * size);
  }
  return spread;
}
