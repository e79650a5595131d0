/**
 * Kernels that make a number of out from numbers of the same place: an invocation owns four columns of one row.
 * Limits: 65,535 groups of 64 invocations, so rows of 16,776,960 numbers.
 */
import { elementwiseSelfTest } from './elementwise.self-test.js';
import { mathFunctions } from './math.js';
import { createShader, entryArguments, rowOfGroup, type Shader } from './shader.js';

export interface ElementwiseParts {
  readonly label: string;
  /** What the expression reads by its name: rows, or a parameter that all rows share. */
  readonly operands: Readonly<Record<string, 'view' | 'parameter'>>;
  /** Further fields of the node. */
  readonly fields?: Readonly<Record<string, 'u32' | 'f32'>>;
  /** A `vec4f` of the operands. */
  readonly expression: string;
  /** The same for one number, of the operands and fields by their names: for self-tests. */
  readonly formula: (numbers: Readonly<Record<string, number>>) => number;
  /** Values of the further fields to be tried. */
  readonly cases?: readonly Readonly<Record<string, number>>[];
  /** The row that operands are read from; default the row that is written. */
  readonly source?: string;
}

/** Columns of four that a group covers. */
export const elementwiseGroup = 64;

export function elementwise(parts: ElementwiseParts): Shader {
  const { label, operands, fields = {}, expression, source = 'row' } = parts;
  const loads = Object.entries(operands).map(([name, kind]) =>
    kind === 'view'
      ? `let ${name} = arena[node.${name} + source * node.${name}_stride + column];`
      : `let ${name} = parameters[node.${name} + column];`,
  );
  return createShader({
    test: () => elementwiseSelfTest(parts),
    label,
    element: 'vec4f',
    fields: { rows: 'u32', width: 'u32', out: 'view', ...operands, ...fields },
    body: `${mathFunctions}
@compute @workgroup_size(${elementwiseGroup})
fn main(${entryArguments}) {
  let row = ${rowOfGroup};
  let column = group.x * ${elementwiseGroup}u + lane;
  if (row >= header[node.rows] || column >= node.out_stride) { return; }
  let source = ${source};
  ${loads.join('\n  ')}
  let value: vec4f = ${expression};
  let columns = 4u * column + vec4u(0u, 1u, 2u, 3u);
  arena[node.out + row * node.out_stride + column] =
    select(vec4f(0.0), value, columns < vec4u(node.width));
}`,
  });
}
