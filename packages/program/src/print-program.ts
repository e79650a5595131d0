/** A program as text, for people, snapshots and diffs. */
import type { Op, Program, Value } from '@rwkv-ts/backend';
import { writesOf } from './access.js';

/**
 * One line per state and op: `%3 [T, 128] = matmul x=%2 weight=att.key.weight[128, 128]`. `%n` is the value with id n;
 * fields are in the order of the op. The same program always gives the same text.
 */
export function printProgram(program: Program): string {
  const shapes = new Map(program.weights.map(({ name, shape }) => [name, shape]));
  const { weights, states, ops, output, candidates } = program;
  const second = candidates ? ` or %${candidates.id} ${shapeOf(candidates)}` : '';
  const digits = String(Math.max(ops.length - 1, 0)).length;
  return [
    `program: ${weights.length} weights, ${states.length} states, ${ops.length} ops -> %${output.id} ${shapeOf(output)}${second}`,
    ...states.map(
      ({ name, shape, initial }) =>
        `state ${name}[${shape.join(', ')}] = ${JSON.stringify(initial)}`,
    ),
    ...ops.map((op, index) => `${String(index).padStart(digits)}: ${printOp(op, shapes)}`),
    '',
  ].join('\n');
}

type Shapes = ReadonlyMap<string, readonly number[]>;

const shapeOf = ({ rows, width }: Value): string => `[${rows}, ${width}]`;

function printOp(op: Op, shapes: Shapes): string {
  const writes = writesOf(op).map((value) => `%${value.id} ${shapeOf(value)}`);
  const fields = Object.entries(op)
    .filter(([name]) => name !== 'kind' && name !== 'out')
    .map(([name, field]) => printField(name, field, shapes));
  return [`${writes.join(', ')} = ${op.kind}`, ...fields].join(' ');
}

function printField(name: string, field: unknown, shapes: Shapes): string {
  return `${name}=${printPart(name, field, shapes)}`;
}

function printPart(name: string, part: unknown, shapes: Shapes): string {
  if (Array.isArray(part)) {
    return `[${part.map((item: unknown) => printPart(name, item, shapes)).join(', ')}]`;
  }
  if (typeof part === 'string') {
    const shape = name === 'state' ? undefined : shapes.get(part);
    return shape ? `${part}[${shape.join(', ')}]` : part;
  }
  if (typeof part !== 'object' || part === null) return String(part);
  if ('id' in part) return `%${String(part.id)}`;
  if ('weight' in part && Object.keys(part).length <= 2 && !('bias' in part)) {
    const weight = printPart('weight', part.weight, shapes);
    return 'form' in part ? `${String(part.form)}(${weight})` : weight;
  }
  const fields = Object.entries(part).map(([key, value]) => printField(key, value, shapes));
  return `{${fields.join(' ')}}`;
}
