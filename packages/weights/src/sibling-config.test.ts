import { RwkvError } from '@rwkv-ts/backend';
import { describe, expect, it } from 'vitest';
import type { ByteSource } from './byte-source.js';
import { WeightsError } from './errors.js';
import type { RawFile } from './raw-file.js';
import { siblingConfig } from './sibling-config.js';
import { memorySource } from './sources/index.js';

const file = (name: string, container: RawFile['container'] = 'safetensors'): RawFile => ({
  container,
  name,
  tensors: new Map(),
  metadata: new Map(),
  [Symbol.asyncDispose]: async () => undefined,
});
const folderWith = (text: string) => {
  const asked: string[] = [];
  const siblings = async (name: string): Promise<ByteSource> => {
    asked.push(name);
    return memorySource(new TextEncoder().encode(text), { name });
  };
  return { asked, siblings };
};
const find = (name: string, text: string, container?: RawFile['container']) =>
  siblingConfig(file(name, container), { siblings: folderWith(text).siblings, signal: undefined });

describe('siblingConfig', () => {
  it.each([
    '{"model_type":"rwkv7","norm_eps":1e-5}',
    '{"architectures":["RWKV7ForCausalLM"],"embedding_layer_norm_fused":true}',
  ])('finds %s', async (text) => {
    const expected = { configJson: JSON.parse(text) as unknown };
    expect(await find('model.safetensors', text)).toEqual(expected);
    expect(await find('https://host/a/model-00001-of-00002.bin?download=1', text, 'pth')).toEqual(
      expected,
    );
  });

  it.each([
    ['of another program', '{"name":"my-app","version":"1.0.0"}'],
    ['of another architecture', '{"architectures":["LlamaForCausalLM"],"model_type":"llama"}'],
    ['no object', '["rwkv"]'],
    ['absurdly long', JSON.stringify({ model_type: 'rwkv7', junk: 'x'.repeat(1 << 20) })],
  ])('a config.json %s is as none', async (_, text) => {
    expect(await find('model.safetensors', text)).toEqual({});
  });

  it.each([
    ['model.gguf', 'gguf'],
    ['model.pth', 'pth'],
  ] as const)('%s has none, so nothing is asked for', async (name, container) => {
    const { asked, siblings } = folderWith('{"model_type":"rwkv7"}');
    expect(await siblingConfig(file(name, container), { siblings, signal: undefined })).toEqual({});
    expect(asked).toEqual([]);
  });

  it('a folder without one is the normal case; an abort is an abort', async () => {
    const failing = (error: Error) => ({
      siblings: () => Promise.reject(error),
      signal: undefined,
    });
    const missing = Object.assign(new Error('no such file'), { code: 'ENOENT' });
    expect(await siblingConfig(file('model.safetensors'), failing(missing))).toEqual({});
    const aborted = new WeightsError({ code: 'ABORTED', message: 'aborted' });
    await expect(siblingConfig(file('model.safetensors'), failing(aborted))).rejects.toBeInstanceOf(
      RwkvError,
    );
  });

  it('one that is there and cannot be read is told, not passed over', async () => {
    const broken = await find('model.safetensors', '{"model_type":"rwkv7",');
    expect(broken.note).toMatch(/config\.json was not used, only the tensors/);
    const siblings = () =>
      Promise.reject(new WeightsError({ code: 'SOURCE_FAILED', message: 'HTTP 500', got: 500 }));
    const failed = await siblingConfig(file('model.safetensors'), { siblings, signal: undefined });
    expect(failed).toEqual({ note: expect.stringContaining('HTTP 500') as string });
  });
});
