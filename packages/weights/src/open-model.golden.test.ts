import { existsSync, readFileSync } from 'node:fs';
import { decode } from '@rwkv-ts/formats';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import type { ModelFile } from './model-file.js';
import { openModel } from './open-model.js';
import { memorySource } from './sources/index.js';

const folder =
  process.env['RWKV_GOLDEN'] ??
  fileURLToPath(new URL('../../../../shared/golden', import.meta.url));
const present = existsSync(folder);
const title = present ? 'golden models' : `golden models (golden vectors not found at ${folder})`;

interface Hyper {
  readonly n_embd: number;
  readonly n_layer: number;
  readonly vocab: number;
  readonly dim_ffn: number;
  readonly n_head: number | null;
  readonly head_size: number | null;
  readonly lora?: Readonly<Record<string, number>>;
}
interface GoldenModel {
  readonly id: string;
  readonly pth: string;
  readonly stored_dtype: 'fp32' | 'bf16';
  readonly hyper: Hyper;
  readonly tensors: readonly { readonly name: string; readonly shape: readonly number[] }[];
}

function manifest(version: string): readonly unknown[] {
  const text = readFileSync(`${folder}/${version}/manifest.json`, 'utf8');
  return (JSON.parse(text) as { models: readonly unknown[] }).models;
}

async function open(path: string): Promise<ModelFile> {
  return openModel(memorySource(readFileSync(`${folder}/${path}`), { name: path }));
}

function expectedConfig(version: string, { hyper, tensors }: GoldenModel): object {
  const has = (suffix: string): boolean => tensors.some(({ name }) => name.endsWith(suffix));
  const { lora } = hyper;
  const ranks = version.startsWith('v7')
    ? { decay: lora?.['w'], rate: lora?.['a'], valueResidual: lora?.['v'], gate: lora?.['g'] }
    : { mix: lora?.['time_maa'], decay: lora?.['time_decay'] };
  return {
    version: version.replace('v', '').replace('-train', ''),
    channels: hyper.n_embd,
    layers: hyper.n_layer,
    vocabularySize: hyper.vocab,
    channelMixSize: hyper.dim_ffn,
    embeddingNorm: 'separate',
    ...(hyper.n_head === null
      ? {}
      : { heads: hyper.n_head, headSize: hyper.head_size, headNormEpsilon: 64e-5 }),
    ...(lora ? { ranks } : {}),
    ...(version.startsWith('v5')
      ? { bonusForm: has('.time_first') ? 'exp' : 'plain', decayForm: 'official' }
      : {}),
  };
}

describe.skipIf(!present)(title, () => {
  const versions = ['v4', 'v5.0', 'v5.1', 'v5.2', 'v6', 'v7', 'v7-train'];
  const models = present
    ? versions.flatMap((version) =>
        (manifest(version) as readonly GoldenModel[]).map((model) => ({
          version,
          model,
          id: model.id,
        })),
      )
    : [];

  it.each(models)('$id has the configuration of its manifest', async ({ version, model }) => {
    await using file = await open(`${version}/${model.pth}`);
    expect(file.layout).toBe('official');
    expect(file.config).toMatchObject(expectedConfig(version, model));
    const format = model.stored_dtype === 'fp32' ? 'f32' : 'bf16';
    expect(new Set(file.tensors.map((tensor) => tensor.format))).toEqual(new Set([format]));
    let bytes = 0;
    for await (const weight of file.weights()) bytes += weight.bytes.length;
    expect(bytes).toBe(file.tensors.reduce((sum, { byteLength }) => sum + byteLength, 0));
  });

  it('reports the unused tensors of layer 0', async () => {
    await using file = await open('v7/model.fp32.pth');
    expect(file.notes.join()).toContain('3 unused tensors');
    await using other = await open('v7/model.bf16.pth');
    expect(other.notes).toEqual([]);
  });

  interface CppModel {
    readonly model: string;
    readonly hyper: {
      n_embd: number;
      n_layer: number;
      vocab: number;
      dim_ffn: number;
      n_head?: number;
      head_size?: number;
    };
    readonly files: readonly { file: string; format: string }[];
  }
  const files = present
    ? (manifest('rwkv-cpp-tiny') as readonly CppModel[]).flatMap((model) =>
        model.files.map((each) => ({ ...each, model })),
      )
    : [];
  const versions7 = { '4v0': '4', '5v1': '5.0', '7v0': '7' } as const;

  it.each(files)(
    '$file has the configuration of its manifest',
    async ({ file: path, format, model }) => {
      await using file = await open(`rwkv-cpp-tiny/${path}`);
      const { hyper } = model;
      const stem = model.model.slice(0, 3) as keyof typeof versions7;
      expect(file.layout).toBe('rwkv-cpp');
      expect(file.config).toMatchObject({
        version: versions7[stem],
        channels: hyper.n_embd,
        layers: hyper.n_layer,
        vocabularySize: hyper.vocab,
        channelMixSize: hyper.dim_ffn,
        ...(hyper.n_head === undefined ? {} : { heads: hyper.n_head, headSize: hyper.head_size }),
        ...(stem === '7v0' ? {} : { decayForm: 'applied' }),
      });
      const key = file.tensors.find(({ name }) => name === 'blocks.0.ffn.key.weight');
      expect(key?.format).toBe(
        ({ FP32: 'f32', FP16: 'f16', Q5_0: 'q5_0', Q5_1: 'q5_1' } as Record<string, string>)[
          format
        ],
      );
      for await (const weight of file.weights({ claimed: new Set(['f32']) }))
        expect(weight.format).toBe('f32');
    },
  );

  it('warns of the other epsilon in v5 files of rwkv.cpp, and in no others', async () => {
    for (const [path, warns] of [
      ['tiny-rwkv-4v0-660K-FP32.bin', false],
      ['tiny-rwkv-5v1-730K-FP32.bin', true],
      ['tiny-rwkv-7v0-834K-FP32.bin', false],
    ] as const) {
      await using file = await open(`rwkv-cpp-tiny/${path}`);
      expect(file.notes.join().includes('headNormEpsilon'), path).toBe(warns);
    }
  });

  it('rwkv.cpp FP16 tensors are within f16 rounding of the FP32 ones', async () => {
    await using wide = await open('rwkv-cpp-tiny/tiny-rwkv-7v0-834K-FP32.bin');
    await using narrow = await open('rwkv-cpp-tiny/tiny-rwkv-7v0-834K-FP16.bin');
    const values = new Map<string, Float32Array>();
    for await (const { name, format, bytes } of wide.weights())
      values.set(name, decode(format, bytes));
    for await (const { name, format, bytes } of narrow.weights()) {
      const expected = values.get(name)!;
      const got = decode(format, bytes);
      const worst = got.reduce(
        (most, value, i) =>
          Math.max(most, Math.abs(value - expected[i]!) / (Math.abs(expected[i]!) + 1e-4)),
        0,
      );
      expect(worst, name).toBeLessThan(1e-3);
    }
  });
});
