import type { WeightFormat } from '@rwkv-ts/backend';
import type { MatrixLayout } from '../weights/layout.js';
import { mathFunctions } from './math.js';
import { parameterSelfTest } from './parameter.self-test.js';
import { createShader, entryArguments, rowOfGroup, type Shader } from './shader.js';
import { matrixFields, matrixLoader, matrixStorage, nodeMatrix } from './weight-formats.js';

/**
 * A weight's numbers with a form applied, each repeated, one after the other: what `compile` puts into the buffer of
 * parameters, which here is bound as the arena. weight [rows, W], out [rows · W · repeat]. An invocation owns eight
 * numbers of a row; the batch header is one word, the rows of the weight's part.
 * Limits: rows of 33,553,920 numbers.
 */
export const parameterShader = (format: WeightFormat, layout: MatrixLayout = 'rows'): Shader =>
  createShader({
    test: () => parameterSelfTest(format, layout),
    label: `parameter ${format}${layout === 'rows' ? '' : ', columns'}`,
    element: 'f32',
    fields: {
      width: 'u32',
      count: 'u32',
      out: 'u32',
      activation: 'u32',
      repeat: 'u32',
      ...matrixFields,
    },
    storages: [matrixStorage(format)],
    body: `${mathFunctions}${matrixLoader(format, { halves: 'exact', layout })}
@compute @workgroup_size(64)
fn main(${entryArguments}) {
  let row = ${rowOfGroup};
  let granule = group.x * 64u + lane;
  if (row >= node.count || granule >= node.granules) { return; }
  let eight = load8(${nodeMatrix}, row, granule);
  let values = array<vec4f, 2>(activate(node.activation, eight.a), activate(node.activation, eight.b));
  for (var i = 0u; i < 8u; i++) {
    let column = 8u * granule + i;
    if (column >= node.width) { break; }
    let at = node.out + (row * node.width + column) * node.repeat;
    for (var n = 0u; n < node.repeat; n++) { arena[at + n] = values[i >> 2u][i & 3u]; }
  }
}`,
  });
