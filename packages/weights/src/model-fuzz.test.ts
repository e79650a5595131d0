/**
 * Model files of every layout with one thing wrong, or one thing odd and legitimate: each mutation says whether the file
 * must load with the same numbers or be refused; `checkModel` holds what is true of all of them.
 */
import { type RwkvConfig, rwkvVersions, type RwkvVersion } from '@rwkv-ts/model';
import { describe, expect, it } from 'vitest';
import { type FakeInput, fakeRawFile } from '../test/fake-raw-file.js';
import { checkModel } from '../test/fuzz/check-model.js';
import { mutate } from '../test/fuzz/mutate.js';
import { mutateModel } from '../test/fuzz/mutate-model.js';
import { Random } from '../test/fuzz/random.js';
import {
  encoded,
  fla6Tensors,
  fla7Tensors,
  gguf6Model,
  gguf7Model,
  ggufFile,
  huggingFaceTensors,
  officialPth,
  officialTensors,
  rwkvCppBin,
  rwkvCppTensors,
  webRwkvSt,
  webRwkvTensors,
} from '../test/layout-writers/index.js';
import { firstDifference, openBytes } from '../test/open.js';
import { type DenseModel, randomModel, tinyConfig } from '../test/random-model.js';
import { writeSafetensorsRaw } from '../test/writers/index.js';
import type { JsonObject } from './layouts/types.js';
import { modelOfRawFile } from './model-file.js';

const mutationsEach = 250;
const byteMutationsEach = 300;

function small(version: RwkvVersion): DenseModel {
  const changes: Partial<RwkvConfig> = {
    layers: 2,
    channels: 12,
    channelMixSize: 20,
    vocabularySize: 7,
  };
  const heads = version === '4' ? {} : { heads: 3, headSize: 4 };
  return randomModel(tinyConfig(version, { ...changes, ...heads }), 5);
}

interface Subject extends FakeInput {
  readonly title: string;
}

const subjects: Subject[] = [
  ...rwkvVersions.map((version) => ({
    title: `official v${version}`,
    tensors: officialTensors(small(version)),
  })),
  {
    title: 'official safetensors v7',
    container: 'safetensors',
    tensors: officialTensors(small('7')),
  },
  ...(['4', '5.2', '6'] as const).map((version): Subject => ({
    title: `Hugging Face v${version}`,
    container: 'safetensors',
    tensors: huggingFaceTensors(
      small(version),
      version === '4' ? 'hf-rwkv4' : version === '6' ? 'hf-rwkv6' : 'hf-rwkv5',
    ),
  })),
  ...(['smerkyg-rwkv7', 'transformers-rwkv7', 'rwkv-rs'] as const).map((layout): Subject => ({
    title: layout,
    container: 'safetensors',
    tensors: huggingFaceTensors(small('7'), layout),
  })),
  { title: 'fla v6', container: 'safetensors', tensors: fla6Tensors(small('6')) },
  { title: 'fla v7', container: 'safetensors', tensors: fla7Tensors(small('7')) },
  { title: 'GGUF v6', container: 'gguf', ...gguf6Model(small('6'), { every: 1 }) },
  { title: 'GGUF v7', container: 'gguf', ...gguf7Model(small('7')) },
  ...(['4', '5.0', '5.1', '5.2', '6', '7'] as const).map((version): Subject => ({
    title: `rwkv.cpp v${version}`,
    container: 'rwkv.cpp',
    tensors: rwkvCppTensors(small(version)),
  })),
  { title: 'web-rwkv v6', container: 'safetensors', tensors: webRwkvTensors(small('6')) },
  { title: 'web-rwkv v7', container: 'safetensors', tensors: webRwkvTensors(small('7')) },
];

function bytesOf({ tensors }: Subject): number {
  return tensors.reduce((sum, { values }) => sum + 4 * values.length, 0);
}

async function numbersOf(subject: Subject): Promise<ReadonlyMap<string, Float32Array>> {
  const outcome = await checkModel(() => modelOfRawFile(fakeRawFile(subject)), bytesOf(subject));
  if ('code' in outcome) throw new Error(`${subject.title} does not load: ${outcome.code}`);
  return outcome.numbers;
}

describe('one tensor changed', () => {
  it.each(subjects)('$title', async (subject) => {
    const unchanged = await numbersOf(subject);
    const random = new Random(subject.title.length + bytesOf(subject));
    for (let i = 0; i < mutationsEach; i++) {
      const { tensors, expect: expected, label } = mutateModel(subject.tensors, random);
      const open = () => modelOfRawFile(fakeRawFile({ ...subject, tensors }));
      const outcome = await checkModel(open, bytesOf({ ...subject, tensors })).catch(
        (cause: unknown) => {
          throw new Error(`${label}: ${String(cause)}`, { cause });
        },
      );
      if ('code' in outcome) {
        expect(expected, `${label} ended in ${outcome.code}`).not.toBe('same');
        if (expected === 'spoilt') expect(outcome.code, label).toBe('TENSOR_VALUES');
        continue;
      }
      expect(expected, `${label} loaded`).toMatch(/^same/);
      for (const [name, values] of unchanged)
        expect(firstDifference(outcome.numbers.get(name), values), `${label}: ${name}`).toBe(-1);
    }
  });
});

const trickyValues = [0, -1, 0.5, 1, 3, 12, 2 ** 31, 2 ** 53, NaN, '', 'x', true, null, [], {}, 1n];

describe('headers that lie', () => {
  it('in the metadata of GGUF', async () => {
    const random = new Random(21);
    for (const subject of subjects.filter(({ container }) => container === 'gguf')) {
      const keys = Object.keys(subject.metadata!);
      for (let i = 0; i < mutationsEach; i++) {
        const value = random.pick(trickyValues) as number;
        const metadata = { ...subject.metadata, [random.pick(keys)]: value };
        const open = () => modelOfRawFile(fakeRawFile({ ...subject, metadata }));
        await checkModel(open, bytesOf(subject));
      }
    }
  });

  it('in config.json', async () => {
    const random = new Random(22);
    const keys = [
      'architectures',
      'num_hidden_layers',
      'hidden_size',
      'norm_eps',
      'layer_norm_epsilon',
      'group_norm_epsilon',
      'head_size_divisor',
      'embedding_layer_norm_fused',
      'tie_word_embeddings',
    ];
    for (const subject of subjects) {
      const unchanged = await numbersOf(subject);
      for (let i = 0; i < 30; i++) {
        const configJson: JsonObject = { [random.pick(keys)]: random.pick(trickyValues) };
        const open = () => modelOfRawFile(fakeRawFile(subject), { configJson });
        const outcome = await checkModel(open, bytesOf(subject));
        if ('code' in outcome) continue;
        // A folded ln0 is left out; nothing else may change a number.
        for (const [name, values] of outcome.numbers)
          expect(firstDifference(values, unchanged.get(name)), name).toBe(-1);
      }
    }
  });
});

describe('bytes changed in whole files', () => {
  const files: readonly (readonly [string, () => Uint8Array])[] = [
    ['.pth', () => officialPth(small('7'))],
    ['.pth v5', () => officialPth(small('5.2'))],
    ['.st', () => webRwkvSt(small('6'))],
    ['.gguf v6', () => ggufFile(gguf6Model(small('6'), { every: 1 }))],
    ['.gguf v7', () => ggufFile(gguf7Model(small('7')))],
    ['.bin', () => rwkvCppBin(small('6'))],
    ['fla', () => writeSafetensorsRaw({ tensors: encoded(fla7Tensors(small('7'))) })],
  ];
  it.each(files)('%s', async (title, make) => {
    const file = make();
    const random = new Random(31 + title.length);
    let loads = 0;
    for (let i = 0; i < byteMutationsEach; i++) {
      const bytes = mutate(file, random);
      const outcome = await checkModel(() => openBytes(bytes), bytes.length).catch(
        (cause: unknown) => {
          throw new Error(`mutation ${i}: ${String(cause)}`, { cause });
        },
      );
      if ('numbers' in outcome) loads++;
    }
    expect(loads).toBeGreaterThan(0);
    expect(loads).toBeLessThan(byteMutationsEach);
  });
});
