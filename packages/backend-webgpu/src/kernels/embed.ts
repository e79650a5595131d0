import type { WeightFormat } from '@rwkv-ts/backend';
import type { MatrixLayout } from '../weights/layout.js';
import { embedSelfTest } from './embed.self-test.js';
import { createShader, entryArguments, rowOfGroup, type Shader } from './shader.js';
import { matrixFields, matrixLoader, matrixStorage, nodeMatrix } from './weight-formats.js';

/**
 * out[t] = table[token[t]], or the batch's embedding vector where it gives one; table [V, W] in parts, out [T, W]. An
 * invocation owns eight numbers of a row. Of a table in several parts each has a dispatch, which writes the rows it holds;
 * the first one writes the embedding vectors.
 * Limits: rows of 33,553,920 numbers.
 */
export const embedShader = (format: WeightFormat, layout: MatrixLayout = 'rows'): Shader =>
  createShader({
    test: () => embedSelfTest(format, layout),
    label: `embed ${format}${layout === 'rows' ? '' : ', columns'}`,
    element: 'vec4f',
    fields: {
      rows: 'u32',
      width: 'u32',
      first: 'u32',
      count: 'u32',
      takes_vectors: 'u32',
      out: 'view',
      ...matrixFields,
    },
    storages: [matrixStorage(format)],
    body: `${matrixLoader(format, { halves: 'exact', layout })}
fn vector_number(start: u32, column: u32) -> f32 {
  return select(0.0, bitcast<f32>(header[start + min(column, node.width - 1u)]), column < node.width);
}
@compute @workgroup_size(64)
fn main(${entryArguments}) {
  let row = ${rowOfGroup};
  let granule = group.x * 64u + lane;
  if (row >= header[node.rows] || granule >= node.granules) { return; }
  let out = node.out + row * node.out_stride + 2u * granule;
  if (node.takes_vectors != 0u && header[header_embeddings] != 0u) {
    let vector = header[header[header_embedding_at] + row];
    if (vector != 0u) {
      if (node.first == 0u) {
        let start = header[header_vectors_at] + (vector - 1u) * node.width;
        let c = 8u * granule;
        arena[out] = vec4f(vector_number(start, c), vector_number(start, c + 1u), vector_number(start, c + 2u), vector_number(start, c + 3u));
        arena[out + 1u] = vec4f(vector_number(start, c + 4u), vector_number(start, c + 5u), vector_number(start, c + 6u), vector_number(start, c + 7u));
      }
      return;
    }
  }
  let token = header[header[header_tokens_at] + row] - node.first;
  if (token >= node.count) { return; }
  let eight = load8(${nodeMatrix}, token, granule);
  arena[out] = eight.a;
  arena[out + 1u] = eight.b;
}`,
  });
