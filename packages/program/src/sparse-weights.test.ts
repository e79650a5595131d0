import { buildProgram, type RwkvConfig } from '@rwkv-ts/model';
import { expect, test } from 'vitest';
import { opKinds } from './access.js';
import { coarseKinds, lower } from './lower.js';
import { sparseWeights } from './sparse-weights.js';

const common = {
  layers: 2,
  channels: 12,
  channelMixSize: 20,
  vocabularySize: 30,
  normEpsilon: 1e-5,
  embeddingNorm: 'separate',
} as const;
const heads = { heads: 3, headSize: 4, headNormEpsilon: 64e-5 } as const;
const ranks = { decay: 5, rate: 6, valueResidual: 7, gate: 8 } as const;
const configs: readonly RwkvConfig[] = [
  { ...common, version: '4', decayForm: 'official' },
  { ...common, ...heads, version: '5.2', decayForm: 'official', bonusForm: 'plain' },
  { ...common, ...heads, version: '6', ranks: { mix: 3, decay: 5 } },
  { ...common, ...heads, version: '7', ranks },
  { ...common, ...heads, version: '7a', deepEmbedSize: 4, ranks },
];
const values = new Set(['blocks.0.ffn.value.weight', 'blocks.1.ffn.value.weight']);

test.each(configs)(
  'version $version: the second channel-mix matrices, coarse or lowered',
  (config) => {
    const program = buildProgram(config);
    expect(sparseWeights(program)).toEqual(values);
    const primitives = new Set(
      [...opKinds].filter((kind) => !(coarseKinds as Set<string>).has(kind)),
    );
    expect(sparseWeights(lower(program, primitives))).toEqual(values);
  },
);

test('a matrix that something else uses too is ordinary', () => {
  const program = buildProgram(configs[3]!);
  const out = { id: 10_000, rows: 'T', width: 20 } as const;
  const weight = 'blocks.0.ffn.value.weight';
  const more = { kind: 'embed', out, table: weight, by: 'token' } as const;
  const both = { ...program, ops: [...program.ops, more] };
  expect(sparseWeights(both)).toEqual(new Set(['blocks.1.ffn.value.weight']));
});
