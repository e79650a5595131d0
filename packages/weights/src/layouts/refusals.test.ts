import { describe, expect, it } from 'vitest';
import { type FakeInput, fakeRawFile, type RawDense } from '../../test/fake-raw-file.js';
import { gguf7Model, officialTensors, webRwkvTensors } from '../../test/layout-writers/index.js';
import { randomModel, tinyConfig } from '../../test/random-model.js';
import { numbersOf } from '../../test/open.js';
import { type InterpretOptions, modelOfRawFile } from '../model-file.js';

const v4 = officialTensors(randomModel(tinyConfig('4')));
const v7 = officialTensors(randomModel(tinyConfig('7')));
const tensor = (name: string, shape: readonly number[] = [4]): RawDense => ({
  name,
  shape,
  values: new Float32Array(shape.reduce((product, size) => product * size, 1)),
});

function open(input: FakeInput, options?: InterpretOptions): unknown {
  return modelOfRawFile(fakeRawFile(input), options);
}

describe('recognised and refused by name', () => {
  const refused: (FakeInput & { title: string; says: RegExp; options?: InterpretOptions })[] = [
    { title: 'v7b', tensors: [...v7, tensor('blocks.0.qkv.qq.weight')], says: /RWKV-7b/ },
    { title: 'v8', tensors: [...v7, tensor('blocks.0.ffn.enn.weight')], says: /RWKV-8/ },
    { title: 'ARWKV', tensors: [tensor('model.layers.0.self_attn.time_mixer.x_r')], says: /ARWKV/ },
    { title: 'QRWKV6', tensors: [tensor('model.layers.0.self_attn.time_maa_x')], says: /QRWKV6/ },
    {
      title: 'QRWKV6 by config.json',
      tensors: v7,
      says: /QRWKV6/,
      options: { configJson: { architectures: ['RWKV6Qwen2ForCausalLM'] } },
    },
    {
      title: 'arwkv7 GGUF',
      container: 'gguf',
      tensors: v7,
      metadata: { 'general.architecture': 'arwkv7' },
      says: /ARWKV/,
    },
    {
      title: 'rwkv6qwen2 GGUF',
      container: 'gguf',
      tensors: v7,
      metadata: { 'general.architecture': 'rwkv6qwen2' },
      says: /QRWKV6/,
    },
    {
      title: 'ChatRWKV-converted',
      tensors: v4,
      metadata: { _strategy: 'cuda fp16' },
      says: /converted by ChatRWKV.*original \.pth/s,
    },
    {
      title: 'ChatRWKV int8',
      tensors: [...v4, tensor('blocks.0.att.key.weight_mx')],
      says: /converted by ChatRWKV/,
    },
    {
      title: 'a state',
      tensors: [tensor('blocks.0.att.time_state', [4, 8, 8])],
      says: /openStateFile/,
    },
    {
      title: 'an adapter',
      tensors: [tensor('blocks.0.att.key.lora_A')],
      says: /base model.*adapters/,
    },
    {
      title: 'an adapter beside its base',
      tensors: [...v7, tensor('blocks.0.att.key.lora_A'), tensor('blocks.0.att.key.lora_B')],
      says: /not merged/,
    },
    { title: 'QRWKV7', tensors: [tensor('model.layers.0.self_attn.r_k')], says: /QRWKV7/ },
    {
      title: 'QRWKV7 by config.json',
      tensors: v7,
      says: /QRWKV7/,
      options: { configJson: { architectures: ['RWKV7Qwen2ForCausalLM'] } },
    },
    {
      title: 'an fla hybrid',
      tensors: [
        tensor('model.layers.0.attn.r_proj.weight'),
        tensor('model.layers.1.attn.q_proj.weight'),
      ],
      says: /hybrid of RWKV layers and softmax/,
    },
    {
      title: 'weights stored as integers',
      tensors: v7.map((each) =>
        each.name === 'blocks.1.att.key.weight'
          ? { ...each, raw: { format: 'i8' as const, bytes: new Uint8Array(32 * 32) } }
          : each,
      ),
      says: /blocks\.1\.att\.key\.weight as i8 integers/,
    },
    { title: 'nothing', tensors: [], says: /no tensors/ },
  ];
  it.each(refused)('$title', ({ says, options, ...input }) => {
    expect(() => open(input, options)).toThrow(
      expect.objectContaining({ code: 'LAYOUT_REFUSED' }) as Error,
    );
    expect(() => open(input, options)).toThrow(says);
  });

  it.each([
    [
      { container: 'gguf', tensors: v7, metadata: { 'general.architecture': 'llama' } },
      /rwkv6 or rwkv7, got "llama"/,
    ],
    [
      { container: 'gguf', tensors: v7, metadata: { 'general.architecture': 'x\n'.repeat(1e6) } },
      /^.{0,300}$/,
    ],
    [
      { tensors: [tensor('model.layers.0.mlp.up.weight'), tensor('lm_head.weight')] },
      /no RWKV layout.*model.layers.0.mlp/,
    ],
    [
      { tensors: [tensor('model.embeddings.weight'), tensor('model.layers.0.attn.q_proj.weight')] },
      /no RWKV layout/,
    ],
  ] as const)('unknown %#', (input, says) => {
    expect(() => open(input)).toThrow(expect.objectContaining({ code: 'LAYOUT_UNKNOWN' }) as Error);
    expect(() => open(input)).toThrow(says);
  });
});

describe('square low-rank pairs', () => {
  const ranks = { decay: 32, rate: 32, valueResidual: 32, gate: 32 };
  const square = randomModel(tinyConfig('7', { ranks }));
  const tensors = webRwkvTensors(square);

  it('are refused where the file may be either', () => {
    expect(() => open({ tensors, container: 'safetensors' })).toThrow(/pass `layout: 'official'`/);
  });
  it('are read as the caller says', async () => {
    for (const layout of ['official', 'web-rwkv-st'] as const) {
      const model = modelOfRawFile(fakeRawFile({ tensors, container: 'safetensors' }), { layout });
      const got = (await numbersOf(model)).get('blocks.1.att.w1.weight');
      const same = got?.every(
        (value, i) => value === square.weights.get('blocks.1.att.w1.weight')!.values[i],
      );
      expect(same).toBe(layout === 'web-rwkv-st');
    }
  });
  it('follow the one pair that is not square', () => {
    const mixed = randomModel(tinyConfig('7', { ranks: { ...ranks, gate: 9 } }));
    const file = fakeRawFile({ tensors: webRwkvTensors(mixed), container: 'safetensors' });
    expect(modelOfRawFile(file).layout).toBe('web-rwkv-st');
  });
  it('must agree with each other', () => {
    const contradicting = officialTensors(randomModel(tinyConfig('7'))).map((each) =>
      each.name === 'blocks.1.att.g1' ? { ...each, shape: [7, 32] } : each,
    );
    expect(() => open({ tensors: contradicting, container: 'safetensors' })).toThrow(
      expect.objectContaining({ code: 'TENSOR_SHAPE' }) as Error,
    );
  });
});

describe('tensors held against the configuration', () => {
  const without = (name: string): RawDense[] => v7.filter((each) => each.name !== name);
  const changed = (name: string, change: Partial<RawDense>): RawDense[] =>
    v7.map((each) => (each.name === name ? { ...each, ...change } : each));

  const cases: { title: string; tensors: RawDense[]; code: string; says: RegExp }[] = [
    {
      title: 'missing',
      tensors: without('blocks.1.att.key.weight'),
      code: 'TENSOR_MISSING',
      says: /needs blocks\.1\.att\.key\.weight/,
    },
    {
      title: 'misspelt',
      tensors: changed('blocks.1.att.k_k', { name: 'blocks.1.att.k_kk' }),
      code: 'TENSOR_MISSING',
      says: /did you mean blocks\.1\.att\.k_kk/,
    },
    {
      title: 'extra',
      tensors: [...v7, tensor('blocks.1.att.gate.weight')],
      code: 'TENSOR_UNEXPECTED',
      says: /has no blocks\.1\.att\.gate\.weight/,
    },
    {
      title: 'wrong shape',
      tensors: changed('head.weight', { shape: [32, 48] }),
      code: 'TENSOR_SHAPE',
      says: /head\.weight.*\[32, 48\].*\[48, 32\]/,
    },
    {
      title: 'a vector too short',
      tensors: changed('blocks.2.att.k_a', tensor('blocks.2.att.k_a', [1, 1, 31])),
      code: 'TENSOR_SHAPE',
      says: /\[1, 1, 31\].*\[32\]/,
    },
    {
      title: 'a layer missing',
      tensors: v7.filter(({ name }) => !name.startsWith('blocks.1.')),
      code: 'TENSOR_MISSING',
      says: /nothing of layer 1/,
    },
    {
      title: 'no embedding',
      tensors: without('emb.weight').map((each) => each),
      code: 'LAYOUT_UNKNOWN',
      says: /no RWKV layout/,
    },
    {
      title: 'ln0 missing',
      tensors: v7.filter(({ name }) => !name.includes('ln0')),
      code: 'TENSOR_MISSING',
      says: /embeddingNorm with 'folded'/,
    },
    {
      title: 'the same tensor under two names',
      tensors: [...v7, { ...v7[0]!, name: 'blocks.1.att.w1.weight' }],
      code: 'TENSOR_DUPLICATE',
      says: /w1/,
    },
  ];
  it.each(cases)('$title', ({ tensors, code, says }) => {
    expect(() => open({ tensors })).toThrow(expect.objectContaining({ code }) as Error);
    expect(() => open({ tensors })).toThrow(says);
  });

  it('notices fewer layers than a GGUF header promises', () => {
    const { tensors, metadata } = gguf7Model(randomModel(tinyConfig('7')));
    const input = {
      container: 'gguf',
      tensors,
      metadata: { ...metadata, 'rwkv7.block_count': 5 },
    } as const;
    expect(() => open(input)).toThrow(/layers 0 to 4, but nothing of layer 3/);
    const endless = { ...input, metadata: { ...metadata, 'rwkv7.block_count': 2 ** 40 } };
    expect(() => open(endless)).toThrow(/nothing of layer 3/);
  });
  it('wants the head size that a GGUF file only tells in metadata', () => {
    const { tensors, metadata } = gguf7Model(randomModel(tinyConfig('7')));
    const input = {
      container: 'gguf',
      tensors,
      metadata: { ...metadata, 'rwkv7.wkv.head_size': 7 },
    } as const;
    expect(() => open(input)).toThrow(/head_size must be a divisor of the 32 channels, got 7/);
  });
  it('does not choke on names and shapes made to confuse', () => {
    const hostile = [
      tensor('emb.weight', [0, 0]),
      tensor('blocks.9999.ln1.weight'),
      tensor('__proto__', []),
      tensor('blocks.0.att.time_maa_w2', []),
    ];
    for (const tensors of [
      hostile,
      [tensor('emb.weight', [])],
      [tensor('emb.weight', [1, 1]), tensor('blocks.0.ffn.key.weight', [1, 1])],
    ]) {
      expect(() => open({ tensors })).toThrow(
        expect.objectContaining({ code: expect.any(String) as string }) as Error,
      );
    }
  });
});

describe('tensors beside a model', () => {
  const counter: RawDense = {
    ...tensor('blocks.0.ln1.num_batches_tracked', []),
    raw: { format: 'i64', bytes: new Uint8Array(8) },
  };
  const mask: RawDense = {
    ...tensor('causal_mask'),
    raw: { format: 'bool', bytes: new Uint8Array(4) },
  };

  it('are ignored, with a note, where they are integers', () => {
    const model = modelOfRawFile(fakeRawFile({ tensors: [...v7, counter, mask] }));
    expect(model.notes.join()).toMatch(/ignored.*num_batches_tracked, causal_mask/);
  });
  it('do not stand in for weights', () => {
    const named = { ...counter, name: 'blocks.1.att.k_a' };
    const rest = v7.filter(({ name }) => name !== named.name);
    expect(() => open({ tensors: [...rest, named] })).toThrow(
      expect.objectContaining({ code: 'TENSOR_SHAPE' }) as Error,
    );
  });
});

describe('a head tied to the embedding', () => {
  const headless = v7.filter(({ name }) => name !== 'head.weight');

  it('is taken from there where config.json says so', async () => {
    const options = { configJson: { tie_word_embeddings: true } };
    const numbers = await numbersOf(modelOfRawFile(fakeRawFile({ tensors: headless }), options));
    expect(numbers.get('head.weight')).toEqual(numbers.get('emb.weight'));
    const own = modelOfRawFile(fakeRawFile({ tensors: v7 }), options);
    expect((await numbersOf(own)).get('head.weight')).not.toEqual(numbers.get('emb.weight'));
  });
  it('is missing otherwise', () => {
    expect(() => open({ tensors: headless })).toThrow(
      expect.objectContaining({ code: 'TENSOR_MISSING' }) as Error,
    );
  });
});

describe('numbers that are none', () => {
  const spoilt = (bad: number, format: RawDense['format']): RawDense[] =>
    v7.map((each) => {
      if (each.name !== 'blocks.1.ffn.value.weight') return each;
      const values = each.values.slice();
      values[77] = bad;
      return { ...each, values, ...(format ? { format } : {}) };
    });
  const cases = (['f32', 'f16', 'bf16'] as const).flatMap((format) =>
    [NaN, Infinity, -Infinity].map((bad) => ({ format, bad })),
  );
  it.each(cases)('$bad in $format', async ({ format, bad }) => {
    const model = modelOfRawFile(fakeRawFile({ tensors: spoilt(bad, format) }));
    await expect(numbersOf(model)).rejects.toMatchObject({ code: 'TENSOR_VALUES', got: 77 });
  });
});
