/**
 * Files that PyTorch, safetensors and rwkv.cpp wrote. Names and shapes are checked against the manifests, numbers against
 * each other: the same weights are there in two precisions, read by independent paths.
 */
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { decode, f32ToBf16, f32ToF16 } from '@rwkv-ts/formats';
import { describe, expect, it } from 'vitest';
import { openRawFile } from './open-raw-file.js';
import type { RawFile, RawTensor } from './raw-file.js';
import { fileSource } from './sources/file-source.node.js';

const golden =
  process.env['RWKV_GOLDEN'] ??
  fileURLToPath(new URL('../../../../shared/golden', import.meta.url));
const present = existsSync(golden);
const title = (what: string) => (present ? what : `${what}: golden vectors not found at ${golden}`);

interface ManifestTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly dtype: string;
}
interface ManifestModel {
  readonly pth: string;
  readonly tensors: readonly ManifestTensor[];
}
interface RwkvCppModel {
  readonly hyper: Readonly<Record<'n_embd' | 'n_layer' | 'dim_ffn' | 'vocab', number>>;
  readonly files: readonly {
    readonly file: string;
    readonly format: string;
    readonly header_version: number;
    readonly header_data_type: number;
  }[];
}

const folders = ['v4', 'v5.0', 'v5.1', 'v5.2', 'v6', 'v7'];
const formatOf: Readonly<Record<string, string>> = { fp32: 'f32', bf16: 'bf16', fp16: 'f16' };
const manifest = <Model>(folder: string) =>
  (JSON.parse(readFileSync(`${golden}/${folder}/manifest.json`, 'utf8')) as { models: Model[] })
    .models;
const open = async (path: string) => openRawFile(await fileSource(`${golden}/${path}`));

async function floatsOf(file: RawFile, name: string): Promise<Float32Array> {
  const tensor = file.tensors.get(name)!;
  return decode(tensor.format, await tensor.read());
}

async function wordsOf(tensor: RawTensor): Promise<number[]> {
  const bytes = await tensor.read();
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Array.from({ length: bytes.length / 2 }, (_, i) => view.getUint16(i * 2, true));
}

describe.skipIf(!present)(title('golden .pth files'), () => {
  it.each(present ? folders : [])(
    '%s has the names, shapes and types of its manifest',
    async (folder) => {
      for (const { pth, tensors } of manifest<ManifestModel>(folder)) {
        await using file = await open(`${folder}/${pth}`);
        expect(file.container).toBe('pth');
        const got = [...file.tensors.values()].map(({ name, shape, format }) => ({
          name,
          shape,
          format,
        }));
        expect(got).toEqual(
          tensors.map(({ name, shape, dtype }) => ({ name, shape, format: formatOf[dtype] })),
        );
        for (const name of file.tensors.keys()) {
          expect((await floatsOf(file, name)).every(Number.isFinite), name).toBe(true);
        }
      }
    },
  );

  it.each(['v4', 'v7'])('%s in bf16 is the same in f32, rounded', async (folder) => {
    await using exact = await open(`${folder}/model.fp32.pth`);
    await using rounded = await open(`${folder}/model.bf16.pth`);
    expect(rounded.tensors.size).toBeGreaterThan(50);
    for (const [name, tensor] of rounded.tensors) {
      const expected = Array.from(await floatsOf(exact, name), f32ToBf16);
      expect(await wordsOf(tensor), name).toEqual(expected);
    }
  });
});

describe.skipIf(!present)(title('golden safetensors files'), () => {
  it('agree with a direct look into the file', async () => {
    const path = 'v7/expected.fp32.safetensors';
    const bytes = readFileSync(`${golden}/${path}`);
    const length = Number(bytes.readBigUInt64LE(0));
    const header = JSON.parse(bytes.toString('utf8', 8, 8 + length)) as Record<
      string,
      { readonly shape: number[]; readonly data_offsets: [number, number] }
    >;
    await using file = await open(path);
    expect([...file.tensors.keys()].sort()).toEqual(
      Object.keys(header)
        .filter((name) => name !== '__metadata__')
        .sort(),
    );
    for (const [name, tensor] of file.tensors) {
      const { shape, data_offsets } = header[name]!;
      expect(tensor.shape).toEqual(shape);
      const [begin, end] = data_offsets;
      expect(
        Buffer.from(await tensor.read()).equals(
          bytes.subarray(8 + length + begin, 8 + length + end),
        ),
      ).toBe(true);
    }
  });

  it('hold the same logits in f64 and f32', async () => {
    await using file = await open('v6/expected.fp32.safetensors');
    const exact = await floatsOf(file, 's17.logits');
    const rounded = await floatsOf(file, 's17.logits.f32');
    expect(exact).toHaveLength(17 * 512);
    expect(Math.max(...exact.map((value, i) => Math.abs(value - rounded[i]!)))).toBeLessThan(4e-5);
  });
});

describe.skipIf(!present)(title('golden rwkv.cpp files'), () => {
  const models = present ? manifest<RwkvCppModel>('rwkv-cpp-tiny') : [];

  it('have the header and the sizes of the manifest', async () => {
    for (const { hyper, files } of models) {
      for (const { file: name, header_version, header_data_type } of files) {
        await using file = await open(`rwkv-cpp-tiny/${name}`);
        expect(Object.fromEntries(file.metadata)).toEqual({
          version: header_version,
          n_vocab: hyper.vocab,
          n_embed: hyper.n_embd,
          n_layer: hyper.n_layer,
          data_type: header_data_type,
        });
        expect(file.tensors.get('emb.weight')!.shape).toEqual([hyper.vocab, hyper.n_embd]);
        const last = `blocks.${hyper.n_layer - 1}.ffn.key.weight`;
        expect(file.tensors.get(last)!.shape).toEqual([hyper.dim_ffn, hyper.n_embd]);
      }
    }
  });

  it('hold the same weights in f32, f16, q5_0 and q5_1', async () => {
    for (const { files } of models) {
      const fileOf = (format: string) =>
        `rwkv-cpp-tiny/${files.find((f) => f.format === format)!.file}`;
      await using exact = await open(fileOf('FP32'));
      await using half = await open(fileOf('FP16'));
      expect([...half.tensors.keys()]).toEqual([...exact.tensors.keys()]);
      for (const [name, tensor] of half.tensors) {
        const values = await floatsOf(exact, name);
        if (tensor.format === 'f32') expect(await floatsOf(half, name), name).toEqual(values);
        else expect(await wordsOf(tensor), name).toEqual(Array.from(values, f32ToF16));
      }
      for (const quantised of ['Q5_0', 'Q5_1']) await expectClose(exact, fileOf(quantised));
    }
  });

  /** Five bits a number: each within a sixteenth of the largest of its tensor. Weights of 4v0 are too small for f16 scales. */
  async function expectClose(exact: RawFile, path: string): Promise<void> {
    await using file = await open(path);
    expect([...file.tensors.keys()]).toEqual([...exact.tensors.keys()]);
    for (const name of file.tensors.keys()) {
      const values = await floatsOf(exact, name);
      const got = await floatsOf(file, name);
      const largest = Math.max(...values.map(Math.abs), 1e-3);
      const error = Math.max(...values.map((value, i) => Math.abs(value - got[i]!)));
      expect(error / largest, `${path} ${name}`).toBeLessThan(1 / 16);
    }
  }
});
