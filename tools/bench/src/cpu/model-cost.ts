/**
 * What a step must read and compute at least, from the sizes of the file's tensors. Bytes are those of the file: a backend
 * that repacks weights into more of them reads more than is counted here, one that skips rows reads less.
 */
import type { Op, Program, WeightFormat } from '@rwkv-ts/backend';
import { formatInfo } from '@rwkv-ts/formats';

export interface SizedTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly format: WeightFormat;
  readonly byteLength: number;
}

export interface ModelCost {
  /** Of everything read once a step: all but the tables that are indexed by token. */
  readonly weightBytes: number;
  /** One row of each table. */
  readonly rowBytes: number;
  /** One sequence's state, read and written. */
  readonly stateBytes: number;
  /** Two for every element of a matrix, without the head. */
  readonly bodyOperations: number;
  /** The same of the head, which only wanted rows go through. */
  readonly headOperations: number;
  /** The format that most bytes of matrices are in: what the arithmetic is done on. */
  readonly mainFormat: WeightFormat;
}

function matricesOf(op: Op): readonly string[] {
  switch (op.kind) {
    case 'matmul':
    case 'linear':
      return [op.weight];
    case 'low-rank':
      return [op.down, op.up];
    case 'shift-mix6':
      return [op.down, ...op.mixes.map(({ up }) => up)];
    default:
      return [];
  }
}

const elements = (shape: readonly number[]): number =>
  shape.reduce((product, size) => product * size, 1);

/** The matrix that makes the output: its rows are as many as the program's output is wide. */
function headOf({ ops, output }: Program): string | undefined {
  const last = ops.findLast((op) => 'out' in op && op.out.id === output.id);
  return last?.kind === 'matmul' || last?.kind === 'linear' ? last.weight : undefined;
}

export function modelCost(program: Program, tensors: readonly SizedTensor[]): ModelCost {
  const tables = new Set(program.ops.flatMap((op) => (op.kind === 'embed' ? [op.table] : [])));
  const matrices = new Set(program.ops.flatMap(matricesOf));
  const head = headOf(program);
  const formats = new Map<WeightFormat, number>();
  let [weightBytes, rowBytes, bodyOperations, headOperations] = [0, 0, 0, 0];
  for (const { name, shape, format, byteLength } of tensors) {
    if (tables.has(name)) rowBytes += byteLength / (shape[0] ?? 1);
    // A table that is a matrix as well (a tied head) is also read whole.
    if (!tables.has(name) || matrices.has(name)) weightBytes += byteLength;
    if (!matrices.has(name)) continue;
    if (name === head) headOperations += 2 * elements(shape);
    else bodyOperations += 2 * elements(shape);
    formats.set(format, (formats.get(format) ?? 0) + byteLength);
  }
  const stateElements = program.states.reduce((sum, { shape }) => sum + elements(shape), 0);
  const [[mainFormat] = ['f32'] as const] = [...formats].sort((a, b) => b[1] - a[1]);
  const stateBytes = 2 * 4 * stateElements;
  return { weightBytes, rowBytes, stateBytes, bodyOperations, headOperations, mainFormat };
}

/** Of a step that advances `batch` sequences by a token each. */
export function decodeBytes(cost: ModelCost, batch: number): number {
  return cost.weightBytes + batch * (cost.rowBytes + cost.stateBytes);
}

/** Of a step over `tokens` tokens of which `wanted` give logits. */
export function stepOperations(
  cost: ModelCost,
  { tokens, wanted }: { tokens: number; wanted: number },
): number {
  return tokens * cost.bodyOperations + wanted * cost.headOperations;
}

export type Arithmetic = 'f32' | 'bf16' | 'int8';

/** What a matrix of this format may be multiplied in, each as good as the backend's bounds allow. */
export function arithmeticOf(format: WeightFormat): readonly Arithmetic[] {
  if (formatInfo(format).blockSize > 1) return ['int8'];
  return format === 'f32' ? ['f32'] : ['f32', 'bf16'];
}
