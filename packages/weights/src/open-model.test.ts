import type { WeightFormat } from '@rwkv-ts/backend';
import { rwkvVersions } from '@rwkv-ts/model';
import { describe, expect, it } from 'vitest';
import {
  appliedForms,
  encoded,
  gguf6Model,
  gguf7Model,
  ggufFile,
  huggingFaceTensors,
  officialPth,
  officialTensors,
  rwkvCppBin,
  webRwkvSt,
} from '../test/layout-writers/index.js';
import { differences, numbersOf, numbersOfDense, openBytes } from '../test/open.js';
import { type DenseModel, randomModel, tinyConfig } from '../test/random-model.js';
import { writePth, writeSafetensorsRaw } from '../test/writers/index.js';
import { memorySource } from './sources/index.js';
import { openModel } from './open-model.js';

const v6 = randomModel(tinyConfig('6'));
const v7 = randomModel(tinyConfig('7'));

describe('containers and layouts together', () => {
  const files: { title: string; bytes: () => Uint8Array; expected: DenseModel }[] = [
    ...rwkvVersions.map((version) => {
      const model = randomModel(tinyConfig(version));
      return { title: `.pth v${version}`, bytes: () => officialPth(model), expected: model };
    }),
    ...(['4', '5.0', '5.1', '5.2', '6', '7'] as const).map((version) => {
      const model = randomModel(tinyConfig(version));
      return {
        title: `.bin v${version}`,
        bytes: () => rwkvCppBin(model),
        expected: appliedForms(model),
      };
    }),
    { title: '.st v6', bytes: () => webRwkvSt(v6), expected: v6 },
    { title: '.st v7', bytes: () => webRwkvSt(v7), expected: v7 },
    { title: '.gguf v6', bytes: () => ggufFile(gguf6Model(v6, { every: 2 })), expected: v6 },
    { title: '.gguf v7', bytes: () => ggufFile(gguf7Model(v7)), expected: v7 },
    {
      title: 'HF safetensors v7',
      bytes: () =>
        writeSafetensorsRaw({ tensors: encoded(huggingFaceTensors(v7, 'transformers-rwkv7')) }),
      expected: v7,
    },
    {
      title: '.pth in state_dict',
      bytes: () => writePth({ tensors: encoded(officialTensors(v7)), wrapper: 'state_dict' }),
      expected: v7,
    },
  ];

  it.each(files)('$title', async ({ bytes, expected }) => {
    await using model = await openBytes(bytes());
    expect(model.config).toEqual(expected.config);
    expect(differences(await numbersOf(model), numbersOfDense(expected))).toEqual([]);
  });
});

describe('streaming', () => {
  it('follows the file, reports progress, and can be repeated', async () => {
    await using model = await openBytes(officialPth(v7));
    expect(model.tensors[0]?.name).toBe('emb.weight');
    const seen: string[] = [];
    const progress: { tensors: number; bytes: number }[] = [];
    for await (const weight of model.weights({ onProgress: (each) => progress.push(each) })) {
      seen.push(weight.name);
    }
    expect(seen).toEqual(model.tensors.map(({ name }) => name));
    const last = progress.at(-1);
    expect(last).toMatchObject({ tensors: seen.length, tensorsTotal: seen.length });
    expect(last?.bytes).toBe(model.tensors.reduce((sum, { byteLength }) => sum + byteLength, 0));
    expect((await numbersOf(model)).size).toBe(seen.length);
  });

  it('hands over bytes that nobody else holds', async () => {
    await using model = await openBytes(ggufFile(gguf6Model(v6)));
    for await (const { bytes } of model.weights()) bytes.fill(0xff);
    expect(differences(await numbersOf(model), numbersOfDense(v6))).toEqual([]);
    const again = new Map<string, Uint8Array>();
    for await (const { name, bytes } of model.weights()) {
      for (const [other, theirs] of again) {
        expect(theirs.buffer === bytes.buffer ? other : undefined, name).toBeUndefined();
      }
      again.set(name, bytes);
    }
  });

  it('reads one tensor at a time', async () => {
    let reading = 0;
    let most = 0;
    const inner = memorySource(officialPth(v7), { name: 'counted' });
    const source = {
      name: 'counted',
      size: inner.size,
      read: async (offset: number, length: number) => {
        reading += length;
        const bytes = await inner.read(offset, length);
        return bytes;
      },
      [Symbol.asyncDispose]: () => inner[Symbol.asyncDispose](),
    };
    await using model = await openModel(source);
    reading = 0;
    for await (const weight of model.weights()) {
      most = Math.max(most, reading - weight.bytes.length);
      reading = 0;
    }
    // Beside the tensor itself, only its local header in the archive.
    expect(most).toBeLessThan(128);
  });

  it('converts to claimed formats without loss', async () => {
    await using model = await openBytes(webRwkvSt(v7));
    const formats = new Set<WeightFormat>();
    const claimed = new Set<WeightFormat>(['f32']);
    for await (const { format } of model.weights({ claimed })) formats.add(format);
    expect([...formats]).toEqual(['f32']);
    expect(differences(await numbersOf(model, { claimed }), numbersOfDense(v7))).toEqual([]);
  });

  it('stops when aborted', async () => {
    await using model = await openBytes(officialPth(v7));
    const controller = new AbortController();
    const pull = async () => {
      for await (const weight of model.weights({ signal: controller.signal })) {
        if (weight.name === 'blocks.1.ln1.weight') controller.abort();
      }
    };
    await expect(pull()).rejects.toMatchObject({ code: 'ABORTED' });
  });

  it('disposes of the source, also when opening fails', async () => {
    const tracked = (bytes: Uint8Array) => {
      const inner = memorySource(bytes);
      let disposed = 0;
      return {
        name: 'tracked',
        size: inner.size,
        read: (offset: number, length: number) => inner.read(offset, length),
        disposals: () => disposed,
        [Symbol.asyncDispose]: async () => {
          disposed++;
        },
      };
    };
    const good = tracked(officialPth(v7));
    await (await openModel(good))[Symbol.asyncDispose]();
    expect(good.disposals()).toBeGreaterThan(0);
    const [bad, adapter] = [tracked(writePth({ tensors: [] })), tracked(new Uint8Array(9))];
    await expect(openModel(bad, { adapters: [{ source: adapter }] })).rejects.toThrow();
    expect(bad.disposals()).toBeGreaterThan(0);
    expect(adapter.disposals()).toBeGreaterThan(0);
  });
});

describe('what only metadata and people know', () => {
  it('overrides, as numbers or text', async () => {
    const overrides = { headNormEpsilon: '1e-5', normEpsilon: 1e-6 };
    await using model = await openBytes(officialPth(v7), { overrides });
    expect(model.config).toEqual({ ...v7.config, headNormEpsilon: 1e-5, normEpsilon: 1e-6 });
  });

  it('holds overridden sizes against the tensors', async () => {
    // r_k is [4, 8]; with heads of 16 it would be [2, 16].
    const opening = openBytes(officialPth(v7), { overrides: { headSize: 16 } });
    await expect(opening).rejects.toMatchObject({
      code: 'TENSOR_SHAPE',
      expected: [2, 16],
      got: [4, 8],
    });
  });

  it.each<[Record<string, string | number>, RegExp]>([
    [{ headNormEpsilom: 1 }, /no field headNormEpsilom.*headNormEpsilon/],
    [{ normEpsilon: 'small' }, /normEpsilon must be a number, got small/],
    [{ embeddingNorm: 'twice' }, /one of separate, folded/],
    [{ bonusForm: 'exp' }, /no field bonusForm/],
    [{ normEpsilon: 2 }, /between 0 and 1/],
  ])('refuses the override %o', async (overrides, message) => {
    const opening = openBytes(officialPth(v7), { overrides });
    await expect(opening).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
    await expect(openBytes(officialPth(v7), { overrides })).rejects.toThrow(message);
  });

  it('reads epsilons, not sizes, from config.json', async () => {
    const bytes = writeSafetensorsRaw({ tensors: encoded(huggingFaceTensors(v7, 'rwkv-rs')) });
    await using model = await openBytes(bytes, {
      configJson: {
        layer_norm_epsilon: 1e-6,
        group_norm_epsilon: 1e-4,
        hidden_size: 999,
        num_hidden_layers: 3,
      },
    });
    expect(model.config).toEqual({ ...v7.config, normEpsilon: 1e-6, headNormEpsilon: 1e-4 });
  });

  it('ignores ln0 where the embedding is said to be folded', async () => {
    await using model = await openBytes(officialPth(v7), {
      overrides: { embeddingNorm: 'folded' },
    });
    expect(model.config.embeddingNorm).toBe('folded');
    expect(model.tensors.some(({ name }) => name.includes('ln0'))).toBe(false);
    expect(model.notes.join()).toContain('ln0 was ignored');
  });

  it('hands out the tokens and the chat template of a GGUF file', async () => {
    const { tensors, metadata } = gguf7Model(v7);
    const { fakeRawFile } = await import('../test/fake-raw-file.js');
    const { modelOfRawFile } = await import('./model-file.js');
    const model = modelOfRawFile(
      fakeRawFile({
        container: 'gguf',
        tensors,
        metadata: {
          ...metadata,
          'tokenizer.ggml.model': 'rwkv',
          'tokenizer.ggml.tokens': ['<s>', '\\x00'],
          'tokenizer.chat_template': 'rwkv-world',
        },
      }),
    );
    expect(model.worldTokens).toEqual(['<s>', '\\x00']);
    expect(model.chatTemplate).toBe('rwkv-world');
  });
});

it('a config.json beside the file is read: it says that ln0 is folded', async () => {
  const expected = randomModel(tinyConfig('7', { embeddingNorm: 'folded' }));
  const tensors = encoded(huggingFaceTensors(expected, 'rwkv-rs'));
  const source = memorySource(writeSafetensorsRaw({ tensors }), { name: 'model.safetensors' });
  const config = JSON.stringify({ model_type: 'rwkv7', embedding_layer_norm_fused: true });
  await using model = await openModel(source, {
    siblings: async (name) => memorySource(new TextEncoder().encode(config), { name }),
  });
  expect(model.config).toEqual(expected.config);
});

it('a config.json that fails to come is in the notes', async () => {
  const tensors = encoded(huggingFaceTensors(v7, 'transformers-rwkv7'));
  const source = memorySource(writeSafetensorsRaw({ tensors }), { name: 'model.safetensors' });
  await using model = await openModel(source, { siblings: () => Promise.reject(new Error('EIO')) });
  expect(model.notes.join()).toContain('config.json was not used');
  expect(differences(await numbersOf(model), numbersOfDense(v7))).toEqual([]);
});
