import { type RwkvConfig, rwkvVersions } from '@rwkv-ts/model';
import { decode } from '@rwkv-ts/formats';
import { describe, expect, it } from 'vitest';
import { type FakeInput, fakeRawFile, type RawDense } from '../../test/fake-raw-file.js';
import {
  appliedForms,
  fla6Tensors,
  fla7Tensors,
  gguf6Model,
  gguf7Model,
  huggingFaceTensors,
  officialTensors,
  rwkvCppTensors,
  webRwkvTensors,
} from '../../test/layout-writers/index.js';
import { transposed } from '../../test/layout-writers/dense.js';
import { firstDifference } from '../../test/open.js';
import { type DenseModel, randomModel, tinyConfig } from '../../test/random-model.js';
import { type InterpretOptions, modelOfRawFile } from '../model-file.js';
import type { LayoutName } from './types.js';

interface Case extends FakeInput {
  readonly layout: LayoutName;
  readonly expected: DenseModel;
  readonly options?: InterpretOptions;
  /** Given in the canonical order, shuffled or reversed: layouts must not depend on it. */
  readonly title: string;
}

async function expectSameModel({ layout, expected, options, ...input }: Case): Promise<void> {
  const model = modelOfRawFile(fakeRawFile(input), options);
  expect(model.layout).toBe(layout);
  expect(model.config).toEqual(expected.config);
  const seen = new Set<string>();
  for await (const { name, shape, format, bytes } of model.weights()) {
    const dense = expected.weights.get(name);
    expect(shape, name).toEqual(dense?.shape);
    expect(firstDifference(decode(format, bytes), dense?.values), name).toBe(-1);
    seen.add(name);
  }
  expect([...seen].sort()).toEqual([...expected.weights.keys()].sort());
  expect(new Set(model.tensors.map(({ name }) => name))).toEqual(seen);
}

function model(config: RwkvConfig, seed = 7): DenseModel {
  return randomModel(config, seed);
}

const v7 = model(tinyConfig('7'));
const v6 = model(tinyConfig('6'));
const deep6 = model(tinyConfig('6', { layers: 4 }));
const prefixed = (tensors: readonly RawDense[], prefix: string): RawDense[] =>
  tensors.map((tensor) => ({ ...tensor, name: prefix + tensor.name }));

const cases: Case[] = [];
for (const version of rwkvVersions) {
  const expected = model(tinyConfig(version));
  const tensors = officialTensors(expected);
  cases.push(
    { title: `official v${version}`, layout: 'official', expected, tensors },
    {
      title: `official v${version}, safetensors, reversed`,
      layout: 'official',
      expected,
      tensors: [...tensors].reverse(),
      container: 'safetensors',
    },
    {
      title: `official v${version}, f16`,
      layout: 'official',
      expected,
      tensors: tensors.map((tensor) => ({ ...tensor, format: 'f16' })),
    },
    {
      title: `official v${version}, training prefix`,
      layout: 'official',
      expected,
      tensors: prefixed(tensors, '_forward_module.'),
    },
  );
  if (version !== '7a') {
    const applied = appliedForms(expected);
    cases.push({
      title: `rwkv.cpp v${version}`,
      layout: 'rwkv-cpp',
      expected: applied,
      tensors: rwkvCppTensors(expected),
      container: 'rwkv.cpp',
      metadata: { n_layer: 3 },
    });
  }
}
cases.push(
  {
    title: 'wrapped in model.',
    layout: 'official',
    expected: v7,
    tensors: prefixed(officialTensors(v7), 'model.'),
  },
  {
    title: 'compiled by PyTorch',
    layout: 'official',
    expected: v7,
    tensors: prefixed(officialTensors(v7), '_orig_mod.'),
  },
  {
    title: 'wrapped in state_dict.',
    layout: 'official',
    expected: v7,
    tensors: prefixed(officialTensors(v7), 'state_dict.'),
  },
  {
    title: 'v7 of one layer',
    layout: 'official',
    ...one({
      ...tinyConfig('7'),
      layers: 1,
      ranks: { decay: 5, rate: 6, valueResidual: 0, gate: 7 },
    } as RwkvConfig),
  },
  {
    title: 'v7 with one head',
    layout: 'official',
    ...one(tinyConfig('7', { heads: 1, headSize: 32 })),
  },
  {
    title: 'v5.2 with one head',
    layout: 'official',
    ...one(tinyConfig('5.2', { heads: 1, headSize: 32 })),
  },
  {
    title: 'v5.1 with time_first',
    layout: 'official',
    ...one(tinyConfig('5.1', { bonusForm: 'exp' })),
  },
  {
    title: 'v5.0 with time_faaaa',
    layout: 'official',
    ...one(tinyConfig('5.0', { bonusForm: 'plain' })),
  },
  { title: 'v7 with square pairs in a .pth', layout: 'official', ...one(squareV7()) },
);
function one(config: RwkvConfig): { expected: DenseModel; tensors: RawDense[] } {
  const expected = model(config);
  return { expected, tensors: officialTensors(expected) };
}
function squareV7(): RwkvConfig {
  return tinyConfig('7', {
    ranks: { decay: 32, rate: 32, valueResidual: 32, gate: 32 },
  });
}

for (const [layout, version] of [
  ['hf-rwkv4', '4'],
  ['hf-rwkv5', '5.2'],
  ['hf-rwkv6', '6'],
  ['smerkyg-rwkv7', '7'],
  ['transformers-rwkv7', '7'],
  ['rwkv-rs', '7'],
  ['transformers-rwkv7', '7a'],
] as const) {
  const expected = model(tinyConfig(version));
  cases.push({
    title: `${layout} v${version}`,
    layout,
    expected,
    tensors: huggingFaceTensors(expected, layout),
    container: 'safetensors',
  });
}
/** Releases of rwkv-rs whose low-rank pairs are linear layers: [out, in], and named `.weight`. */
const linearPairs = (layout: 'rwkv-rs' | 'smerkyg-rwkv7'): RawDense[] =>
  huggingFaceTensors(v7, layout).map((tensor) =>
    /\.att\.[wavg][12]$/.test(tensor.name)
      ? { ...transposed(tensor), name: `${tensor.name}.weight` }
      : tensor,
  );
for (const layout of ['rwkv-rs', 'smerkyg-rwkv7'] as const) {
  cases.push({
    title: `${layout} names, pairs as linear layers`,
    layout,
    expected: v7,
    tensors: linearPairs(layout),
    container: 'safetensors',
  });
}
const perHeadSize = { ...v7, config: { ...v7.config, headNormEpsilon: 8e-5 } as RwkvConfig };
cases.push(
  {
    title: 'fla v6',
    layout: 'fla-rwkv6',
    expected: v6,
    tensors: fla6Tensors(v6),
    container: 'safetensors',
  },
  {
    title: 'fla v7',
    layout: 'fla-rwkv7',
    expected: perHeadSize,
    tensors: fla7Tensors(v7),
    container: 'safetensors',
  },
  {
    title: 'fla v7, fused mixes',
    layout: 'fla-rwkv7',
    expected: perHeadSize,
    tensors: fla7Tensors(v7, { fused: true }),
    container: 'safetensors',
  },
  {
    title: 'gguf v6, lerps apart',
    layout: 'gguf-rwkv6',
    expected: v6,
    ...gguf6Model(v6, { fuse: false }),
    container: 'gguf',
  },
  {
    title: 'gguf v6, no rescale',
    layout: 'gguf-rwkv6',
    expected: v6,
    ...gguf6Model(v6, { every: 0 }),
    container: 'gguf',
  },
  {
    title: 'gguf v6, rescaled',
    layout: 'gguf-rwkv6',
    expected: v6,
    ...gguf6Model(v6, { every: 1 }),
    container: 'gguf',
  },
  {
    title: 'gguf v6, rescaled every second of four layers',
    layout: 'gguf-rwkv6',
    expected: deep6,
    ...gguf6Model(deep6, { every: 2 }),
    container: 'gguf',
  },
  { title: 'gguf v7', layout: 'gguf-rwkv7', expected: v7, ...gguf7Model(v7), container: 'gguf' },
  {
    title: 'web-rwkv v6',
    layout: 'web-rwkv-st',
    expected: v6,
    tensors: webRwkvTensors(v6),
    container: 'safetensors',
  },
  {
    title: 'web-rwkv v7, new converter',
    layout: 'web-rwkv-st',
    expected: v7,
    tensors: webRwkvTensors(v7),
    container: 'safetensors',
  },
  {
    title: 'web-rwkv v7, old converter',
    layout: 'official',
    expected: v7,
    tensors: webRwkvTensors(v7, { converter: 'old' }),
    container: 'safetensors',
  },
);
const v52 = model(tinyConfig('5.2'));
const v4 = model(tinyConfig('4'));
cases.push(
  {
    title: 'web-rwkv v5.2',
    layout: 'web-rwkv-st',
    expected: v52,
    tensors: webRwkvTensors(v52),
    container: 'safetensors',
  },
  {
    title: 'web-rwkv v4 (equal to official)',
    layout: 'official',
    expected: v4,
    tensors: webRwkvTensors(v4),
    container: 'safetensors',
  },
);

describe('every layout of a model gives the same canonical weights', () => {
  it.each(cases)('$title', async (each) => {
    await expectSameModel(each);
  });

  it('web-rwkv v5.1 becomes 5.2 with equal numbers per head', async () => {
    const v51 = model(tinyConfig('5.1'));
    const opened = modelOfRawFile(
      fakeRawFile({ tensors: webRwkvTensors(v51), container: 'safetensors' }),
    );
    expect(opened.layout).toBe('web-rwkv-st');
    expect(opened.config).toMatchObject({
      version: '5.2',
      heads: 4,
      headSize: 8,
      bonusForm: 'plain',
    });
    for await (const { name, format, bytes } of opened.weights()) {
      if (name !== 'blocks.1.att.time_decay') continue;
      const perHead = v51.weights.get(name)!.values;
      expect([...decode(format, bytes)]).toEqual(
        Array.from({ length: 32 }, (_, i) => perHead[i >> 3]),
      );
    }
  });

  it('rwkv-rs with ln0 folded', async () => {
    const config = tinyConfig('7', { embeddingNorm: 'folded' });
    const expected = model(config);
    await expectSameModel({
      title: '',
      layout: 'rwkv-rs',
      expected,
      tensors: huggingFaceTensors(expected, 'rwkv-rs'),
      container: 'safetensors',
      options: { configJson: { embedding_layer_norm_fused: true } },
    });
  });
});
