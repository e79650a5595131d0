import type { HostWeight } from '@rwkv-ts/backend';
import { encode } from '@rwkv-ts/formats';
import { describe, expect, it } from 'vitest';
import { gguf6Model, ggufFile, officialPth, webRwkvSt } from '../test/layout-writers/index.js';
import { openBytes, withConfig, writable } from '../test/open.js';
import { type DenseModel, randomModel, tinyConfig } from '../test/random-model.js';
import { createFingerprint } from './fingerprint.js';
import type { ModelFile, WeightsOptions } from './model-file.js';

// Wide enough that emb and head (128 × 64) are sampled, not hashed whole.
const config = tinyConfig('6', {
  channels: 64,
  headSize: 16,
  vocabularySize: 128,
});
const model = randomModel(config);

async function fingerprint(
  { config: of, weights }: Pick<ModelFile, 'config' | 'weights'>,
  options: WeightsOptions = {},
): Promise<string> {
  const print = createFingerprint(of);
  for await (const weight of weights(options)) print.add(weight);
  return print.digest();
}

function changed(name: string, index: number): DenseModel {
  const weights = new Map(model.weights);
  const { shape, values } = weights.get(name)!;
  const copy = values.slice();
  copy[index] = copy[index]! + 1;
  weights.set(name, { shape, values: copy });
  return { config, weights };
}

describe('createFingerprint', () => {
  it('is the same in every layout and container, and after lossless conversion', async () => {
    const prints = new Set<string>();
    for (const bytes of [
      officialPth(model),
      webRwkvSt(model),
      ggufFile(gguf6Model(model, { every: 2 })),
    ]) {
      await using file = await openBytes(bytes);
      prints.add(await fingerprint(file));
      prints.add(await fingerprint(file, { claimed: new Set(['f32']) }));
    }
    prints.add(await fingerprint(writable(model, { format: 'f16' })));
    expect(prints.size).toBe(1);
    expect([...prints][0]).toMatch(/^[0-9a-f]{64}$/);
  });

  it('does not depend on the order of streaming', async () => {
    const source = writable(model);
    const all: HostWeight[] = [];
    for await (const weight of source.weights()) all.push(weight);
    const reversed = createFingerprint(config);
    for (const weight of all.reverse()) reversed.add(weight);
    expect(reversed.digest()).toBe(await fingerprint(source));
    expect(all.length).toBe(source.tensors.length);
  });

  it('notices another number, name, or configuration', async () => {
    const own = await fingerprint(writable(model));
    const others = [
      changed('blocks.2.att.time_maa_w2.g.weight', 5),
      changed('emb.weight', 0),
      changed('emb.weight', 128 * 64 - 1),
      withConfig(model, { headNormEpsilon: 1e-5 }),
      randomModel(config, 2),
    ];
    const prints = await Promise.all(others.map((other) => fingerprint(writable(other))));
    expect(new Set([own, ...prints]).size).toBe(others.length + 1);
  });

  it('samples blocks as it samples plain numbers', () => {
    const values = model.weights.get('emb.weight')!.values;
    const bytes = encode('q8_0', values);
    const small = tinyConfig('4', { channels: 64, vocabularySize: 128 });
    const prints = (['q8_0', 'f32'] as const).map((format) => {
      const print = createFingerprint(small);
      for (const { name, shape } of writable(randomModel(small)).tensors) {
        const weight = randomModel(small).weights.get(name)!;
        if (name !== 'emb.weight') {
          print.add({ name, shape, format: 'f32', bytes: encode('f32', weight.values) });
        } else if (format === 'q8_0') print.add({ name, shape, format, bytes });
        else print.add({ name, shape, format, bytes: encode('f32', decodeQ8(bytes)) });
      }
      return print.digest();
    });
    expect(prints[0]).toBe(prints[1]);
  });

  it('wants every weight once', () => {
    const print = createFingerprint(config);
    const { shape, values } = model.weights.get('ln_out.bias')!;
    const weight = {
      name: 'ln_out.bias',
      shape,
      format: 'f32',
      bytes: encode('f32', values),
    } as const;
    print.add(weight);
    expect(() => print.digest()).toThrow(
      expect.objectContaining({ code: 'TENSOR_MISSING' }) as Error,
    );
    expect(() => {
      print.add(weight);
    }).toThrow(TypeError);
    expect(() => {
      print.add({ ...weight, name: 'ln_out.weight', bytes: new Uint8Array(3) });
    }).toThrow(expect.objectContaining({ code: 'TENSOR_SHAPE' }) as Error);
  });
});

/** q8_0 by hand: an f16 scale and 32 signed bytes. */
function decodeQ8(bytes: Uint8Array): Float32Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const result = new Float32Array((bytes.length / 34) * 32);
  for (let block = 0; block < bytes.length / 34; block++) {
    const half = view.getUint16(34 * block, true);
    const exponent = (half >> 10) & 31;
    const scale =
      exponent === 0 ? (half & 1023) * 2 ** -24 : (1 + (half & 1023) / 1024) * 2 ** (exponent - 15);
    for (let i = 0; i < 32; i++) result[32 * block + i] = scale * view.getInt8(34 * block + 2 + i);
  }
  return result;
}
