import type { WeightFormat } from '@rwkv-ts/backend';
import { decode, encode } from '@rwkv-ts/formats';
import { rwkvVersions } from '@rwkv-ts/model';
import { describe, expect, it } from 'vitest';
import {
  appliedForms,
  fla6Tensors,
  fla7Tensors,
  gguf6Model,
  gguf7Model,
  officialTensors,
  rwkvCppBin,
} from '../../test/layout-writers/index.js';
import {
  differences,
  firstDifference,
  numbersOf,
  numbersOfDense,
  openBytes,
  writable,
} from '../../test/open.js';
import { type DenseModel, randomModel, tinyConfig } from '../../test/random-model.js';
import type { RawFile } from '../raw-file.js';
import { openRawFile } from '../open-raw-file.js';
import { memorySink, memorySource } from '../sources/index.js';
import { fittingFormat, type GgufFormats, ggufFormats } from './gguf-formats.js';
import type { WritableModel } from './targets.js';
import { writeGguf, type WriteGgufOptions } from './write-gguf.js';
import { writeSafetensors, type WriteSafetensorsOptions } from './write-safetensors.js';

async function safetensors(
  model: WritableModel,
  options: WriteSafetensorsOptions,
): Promise<Uint8Array> {
  const sink = memorySink();
  await writeSafetensors(model, sink, options);
  return sink.bytes();
}

async function gguf(model: WritableModel, options: WriteGgufOptions): Promise<Uint8Array> {
  const sink = memorySink();
  await writeGguf(model, sink, options);
  return sink.bytes();
}

interface Stored {
  readonly shape: readonly number[];
  readonly values: Float32Array;
}

async function storedTensors(file: RawFile): Promise<Map<string, Stored>> {
  const entries = [...file.tensors].map(async ([name, tensor]) => {
    const values = decode(tensor.format, await tensor.read());
    return [name, { shape: tensor.shape, values }] as const;
  });
  return new Map(await Promise.all(entries));
}

async function raw(bytes: Uint8Array): Promise<RawFile> {
  return openRawFile(memorySource(bytes));
}

function asMap(tensors: readonly (Stored & { readonly name: string })[]): Map<string, Stored> {
  return new Map(tensors.map(({ name, shape, values }) => [name, { shape, values }]));
}

describe('writeSafetensors', () => {
  it.each(rwkvVersions)(
    'v%s official: names, shapes and numbers as in Python, and back',
    async (version) => {
      const model = randomModel(tinyConfig(version, { headNormEpsilon: 1e-5 }));
      if (version === '4') delete (model.config as { headNormEpsilon?: number }).headNormEpsilon;
      const bytes = await safetensors(writable(model), { layout: 'official' });
      const file = await raw(bytes);
      expect(await storedTensors(file)).toEqual(asMap(officialTensors(model)));
      expect(file.metadata.get('format')).toBe('pt');
      await using opened = await openBytes(bytes);
      expect(opened.layout).toBe('official');
      expect(opened.config).toEqual(model.config);
      expect(differences(await numbersOf(opened), numbersOfDense(model))).toEqual([]);
    },
  );

  it.each(['5.1', '7'] as const)(
    'v%s official, square pairs and time_first in f16, is not taken for web-rwkv',
    async (version) => {
      const ranks = { decay: 32, rate: 32, valueResidual: 32, gate: 32 };
      const changes = version === '7' ? { ranks } : { bonusForm: 'exp' };
      const model = randomModel(tinyConfig(version, changes));
      await using opened = await openBytes(
        await safetensors(writable(model, { format: 'f16' }), { layout: 'official' }),
      );
      expect(opened.layout).toBe('official');
      expect(differences(await numbersOf(opened), numbersOfDense(model))).toEqual([]);
      expect(new Set(opened.tensors.map(({ format }) => format))).toEqual(new Set(['f16']));
    },
  );

  it('fla v6 and v7: names, shapes and numbers as in Python, and back', async () => {
    for (const [version, tensors] of [
      ['6', fla6Tensors],
      ['7', fla7Tensors],
    ] as const) {
      const model = randomModel(tinyConfig(version));
      const bytes = await safetensors(writable(model), { layout: 'fla' });
      expect(await storedTensors(await raw(bytes))).toEqual(asMap(tensors(model)));
      await using opened = await openBytes(bytes);
      expect(opened.layout).toBe(`fla-rwkv${version}`);
      expect(opened.config).toEqual(model.config);
      expect(differences(await numbersOf(opened), numbersOfDense(model))).toEqual([]);
    }
  });

  it('refuses fla for other versions', async () => {
    const model = writable(randomModel(tinyConfig('5.2')));
    await expect(safetensors(model, { layout: 'fla' })).rejects.toMatchObject({
      code: 'WRITE_UNSUPPORTED',
    });
  });

  it.each(['4', '5.0', '5.1', '5.2'] as const)(
    'v%s from rwkv.cpp gets its official decays back',
    async (version) => {
      const original = randomModel(tinyConfig(version));
      await using source = await openBytes(rwkvCppBin(original));
      expect(source.config).toMatchObject({ decayForm: 'applied' });
      await using written = await openBytes(await safetensors(source, { layout: 'official' }));
      expect(written.config).toMatchObject({ decayForm: 'official' });
      const [before, after] = [appliedForms(original), await numbersOf(written)];
      for (const [name, { values }] of before.weights) {
        const got = after.get(name)!;
        if (!name.endsWith('time_decay')) expect(got, name).toEqual(values);
        // The official number is only as exact as the applied one it comes from.
        else
          for (const [i, value] of original.weights.get(name)!.values.entries())
            expect(got[i]).toBeCloseTo(value, 5);
      }
    },
  );

  it('keeps decays that rounded to 0 or 1 where they were', async () => {
    const model = appliedForms(randomModel(tinyConfig('5.2')));
    const decay = model.weights.get('blocks.0.att.time_decay')!.values;
    decay.set([0, 1]);
    await using written = await openBytes(
      await safetensors(writable(model), { layout: 'official' }),
    );
    const got = (await numbersOf(written)).get('blocks.0.att.time_decay')!;
    expect(Math.fround(Math.exp(-Math.exp(got[0]!)))).toBe(0);
    expect(Math.fround(Math.exp(-Math.exp(got[1]!)))).toBe(1);
  });

  it('narrows on request, and says where it cannot', async () => {
    const model = randomModel(tinyConfig('7'));
    const narrow = await openBytes(
      await safetensors(writable(model), { layout: 'official', format: 'bf16' }),
    );
    for (const [name, values] of await numbersOf(narrow)) {
      expect(values, name).toEqual(decode('bf16', encode('bf16', model.weights.get(name)!.values)));
    }
    model.weights.get('head.weight')!.values[7] = 1e6;
    await expect(
      safetensors(writable(model), { layout: 'official', format: 'f16' }),
    ).rejects.toMatchObject({ code: 'TENSOR_VALUES', got: 7 });
  });

  it('reports progress and stops when aborted', async () => {
    const model = randomModel(tinyConfig('4'));
    let last = { bytes: 0, bytesTotal: -1 };
    await safetensors(writable(model), { layout: 'official', onProgress: (each) => (last = each) });
    expect(last.bytes).toBe(last.bytesTotal);
    const source = await openBytes(await safetensors(writable(model), { layout: 'official' }));
    const signal = AbortSignal.abort();
    await expect(safetensors(source, { layout: 'official', signal })).rejects.toMatchObject({
      code: 'ABORTED',
    });
  });
});

describe('writeGguf', () => {
  const all =
    (format: WeightFormat): GgufFormats =>
    () =>
      format;

  it.each(['6', '7'] as const)(
    'v%s: names, shapes, numbers and metadata as llama.cpp has them, and back',
    async (version) => {
      const model = randomModel(tinyConfig(version, { headNormEpsilon: 1e-4 }));
      const bytes = await gguf(writable(model), { formats: all('f32') });
      const file = await raw(bytes);
      const expected = version === '6' ? gguf6Model(model, { every: 0 }) : gguf7Model(model);
      expect(await storedTensors(file)).toEqual(asMap(expected.tensors));
      expect(Object.fromEntries(file.metadata)).toMatchObject({
        ...expected.metadata,
        [`rwkv${version}.context_length`]: 1048576,
        [`rwkv${version}.embedding_length`]: 32,
        [`rwkv${version}.feed_forward_length`]: 64,
        [`rwkv${version}.attention.head_count`]: 0,
        'general.file_type': 0,
        ...(version === '6'
          ? { 'rwkv6.time_mix_extra_dim': 3, 'rwkv6.time_decay_extra_dim': 5 }
          : {
              'rwkv7.attention.decay_lora_rank': 5,
              'rwkv7.attention.iclr_lora_rank': 6,
              'rwkv7.attention.value_residual_mix_lora_rank': 3,
              'rwkv7.attention.gate_lora_rank': 7,
            }),
      });
      await using opened = await openBytes(bytes);
      expect(opened.config).toEqual(model.config);
      expect(differences(await numbersOf(opened), numbersOfDense(model))).toEqual([]);
    },
  );

  // 256 wide, so that every block fits.
  const wide = (version: '6' | '7'): DenseModel => {
    const changes = {
      layers: 2,
      channels: 256,
      channelMixSize: 256,
      heads: 4,
      headSize: 64,
      vocabularySize: 40,
    };
    return randomModel(tinyConfig(version, changes));
  };
  const wide6 = wide('6');
  const wide7 = wide('7');

  it.each(['f16', 'bf16', 'q8_0', 'q4_0', 'q4_1', 'q5_0', 'q5_1', 'q4_k', 'q5_k', 'q6_k'] as const)(
    '%s decodes to what the formats package makes of it, within its chosen tensors only',
    async (preset) => {
      for (const model of preset === 'q4_k' || preset === 'f16' ? [wide6, wide7] : [wide7]) {
        await using opened = await openBytes(
          await gguf(writable(model), { formats: ggufFormats(preset) }),
        );
        const formats = new Map<string, WeightFormat>();
        for await (const { name, shape, format, bytes } of opened.weights()) {
          formats.set(name, format);
          const { values } = model.weights.get(name)!;
          expect(firstDifference(bytes, encode(format, values)), `${name} ${format}`).toBe(-1);
          if (shape.length === 1) expect(format, name).toBe('f32');
        }
        const quantised = preset !== 'f16' && preset !== 'bf16';
        expect(formats.get('blocks.1.ffn.value.weight')).toBe(preset);
        expect(formats.get('emb.weight')).toBe(preset);
        expect(formats.get('head.weight')).toBe(quantised && preset !== 'q8_0' ? 'q6_k' : preset);
        expect(
          formats.get(
            model === wide6 ? 'blocks.1.att.time_maa_w1.weight' : 'blocks.1.att.w1.weight',
          ),
        ).toBe('f32');
        if (model === wide7)
          expect(formats.get('blocks.1.att.a2.weight')).toBe(quantised ? 'f16' : preset);
      }
    },
    30_000,
  );

  it('falls back where rows are no whole blocks', () => {
    expect(fittingFormat('q4_k', [8, 256])).toBe('q4_k');
    expect(fittingFormat('q4_k', [8, 96])).toBe('q5_0');
    expect(fittingFormat('q5_k', [8, 96])).toBe('q5_1');
    expect(fittingFormat('q6_k', [8, 96])).toBe('q8_0');
    expect(fittingFormat('q6_k', [8, 40])).toBe('f16');
    expect(fittingFormat('q4_0', [8, 40])).toBe('f16');
    expect(fittingFormat('bf16', [8, 3])).toBe('bf16');
  });

  it('refuses blocks that do not fit, when asked for all the same', async () => {
    const model = writable(randomModel(tinyConfig('7')));
    await expect(gguf(model, { formats: all('q4_k') })).rejects.toMatchObject({
      code: 'FORMAT_BLOCK_MISMATCH',
    });
  });

  it('writes the tokenizer', async () => {
    const model = randomModel(tinyConfig('7'));
    const worldTokens = ['<s>', '\\x00', 'a', "\\'"];
    const bytes = await gguf(writable(model), {
      formats: all('f32'),
      worldTokens,
      metadata: { 'general.name': 'tiny', 'x.flag': true, 'x.number': -1.5 },
    });
    await using opened = await openBytes(bytes);
    expect(opened.worldTokens?.slice(0, 6)).toEqual([...worldTokens, '[PAD4]', '[PAD5]']);
    expect(opened.worldTokens).toHaveLength(48);
    expect(opened.chatTemplate).toBe('rwkv-world');
    const types = opened.metadata.get('tokenizer.ggml.token_type');
    expect(types).toEqual([3, 1, 1, 1, ...Array.from({ length: 44 }, () => 5)]);
    expect(Object.fromEntries(opened.metadata)).toMatchObject({
      'tokenizer.ggml.bos_token_id': 0,
      'general.name': 'tiny',
      'x.flag': true,
      'x.number': -1.5,
    });
    expect(opened.metadata.has('tokenizer.ggml.eot_token_id')).toBe(false);
    const tooMany = Array.from({ length: 49 }, () => 'x');
    await expect(
      gguf(writable(model), { formats: all('f32'), worldTokens: tooMany }),
    ).rejects.toMatchObject({ code: 'WRITE_UNSUPPORTED' });
  });

  it.each([
    ['4', {}, /no architecture for RWKV-4/],
    ['5.2', {}, /no architecture for RWKV-5\.2/],
    ['7a', {}, /no architecture for RWKV-7a/],
    ['7', { embeddingNorm: 'folded' }, /GGUF needs ln0/],
  ] as const)('refuses v%s %o', async (version, changes, says) => {
    const model = writable(randomModel(tinyConfig(version, changes)));
    await expect(gguf(model, { formats: all('f32') })).rejects.toMatchObject({
      code: 'WRITE_UNSUPPORTED',
    });
    await expect(gguf(model, { formats: all('f32') })).rejects.toThrow(says);
  });

  it('a rescaled RWKV-6 file keeps its blocks when read: only their scales change', async () => {
    const bytes = await gguf(writable(wide6), { formats: ggufFormats('q4_k') });
    await using plain = await openBytes(bytes);
    const file = await raw(bytes);
    const { modelOfRawFile } = await import('../model-file.js');
    const rescaled = modelOfRawFile({
      ...file,
      metadata: new Map([...file.metadata, ['rwkv6.rescale_every_n_layers', 1]]),
    });
    const before = await numbersOf(plain);
    for await (const { name, format, bytes: weight } of rescaled.weights()) {
      const divided = /^blocks\.1\.(?:att\.output|ffn\.value)\.weight$/.test(name);
      const expected = before.get(name)!.map((value) => (divided ? 2 * value : value));
      expect(firstDifference(decode(format, weight), expected), name).toBe(-1);
      if (divided) expect(format).toBe('q4_k');
    }
  });

  it('converts from one container and format to another without a detour', async () => {
    const q8 = await gguf(writable(wide7), { formats: ggufFormats('q8_0') });
    await using source = await openBytes(q8);
    await using back = await openBytes(await safetensors(source, { layout: 'official' }));
    expect(differences(await numbersOf(back), await numbersOf(source))).toEqual([]);
    await using again = await openBytes(await gguf(source, { formats: ggufFormats('q8_0') }));
    expect(differences(await numbersOf(again), await numbersOf(source))).toEqual([]);
  });

  it('goes through a large tensor in pieces: progress shows, and an abort is heard inside it', async () => {
    const large = writable(randomModel(tinyConfig('7', { vocabularySize: 1 << 15 })));
    const seen: number[] = [];
    await gguf(large, {
      formats: ggufFormats('q8_0'),
      onProgress: ({ bytes }) => {
        seen.push(bytes);
      },
    });
    expect(new Set(seen).size).toBeGreaterThan(large.tensors.length);
    expect(seen).toEqual([...seen].sort((a, b) => a - b));

    const controller = new AbortController();
    let bytesSeen = 0;
    const aborted = gguf(large, {
      formats: ggufFormats('q8_0'),
      signal: controller.signal,
      onProgress: ({ bytes, bytesTotal }) => {
        bytesSeen = bytes / bytesTotal;
        if (bytesSeen > 0.1) controller.abort();
      },
    });
    await expect(aborted).rejects.toMatchObject({ code: 'ABORTED' });
    expect(bytesSeen).toBeLessThan(0.2);
  });
});
