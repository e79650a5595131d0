/** Shortcuts of tests: a model from bytes, and its weights as numbers. */
import { decode } from '@rwkv-ts/formats';
import { canonicalWeights, type RwkvConfig } from '@rwkv-ts/model';
import type { ModelFile, WeightsOptions } from '../src/model-file.js';
import { openModel, type OpenModelOptions } from '../src/open-model.js';
import { memorySource } from '../src/sources/index.js';
import type { WritableModel } from '../src/writers/targets.js';
import { encode } from '@rwkv-ts/formats';
import type { DenseModel } from './random-model.js';

export function openBytes(
  bytes: Uint8Array,
  { name = 'model.test', ...options }: OpenModelOptions & { readonly name?: string } = {},
): Promise<ModelFile> {
  return openModel(memorySource(bytes, { name }), options);
}

export async function numbersOf(
  model: Pick<ModelFile, 'weights'>,
  options: WeightsOptions = {},
): Promise<Map<string, Float32Array>> {
  const numbers = new Map<string, Float32Array>();
  for await (const { name, format, bytes } of model.weights(options)) {
    if (numbers.has(name)) throw new Error(`${name} came twice.`);
    numbers.set(name, decode(format, bytes));
  }
  return numbers;
}

export function numbersOfDense({ weights }: DenseModel): Map<string, Float32Array> {
  return new Map([...weights].map(([name, { values }]) => [name, values]));
}

/** A dense model as writers take it. */
export function writable(
  model: DenseModel,
  { format = 'f32' }: { format?: 'f32' | 'f16' | 'bf16' } = {},
): WritableModel {
  const tensors = canonicalWeights(model.config).map(({ name, shape }) => ({
    name,
    shape,
    format,
  }));
  return {
    config: model.config,
    tensors,
    weights: async function* () {
      for (const { name, shape } of tensors) {
        yield { name, shape, format, bytes: encode(format, model.weights.get(name)!.values) };
      }
    },
  };
}

export function withConfig(model: DenseModel, config: Partial<RwkvConfig>): DenseModel {
  return { ...model, config: { ...model.config, ...config } as RwkvConfig };
}

/** Where two arrays first differ, 0 and -0 apart; -1 where they do not. Much faster than `toEqual` on long arrays. */
export function firstDifference(
  left: ArrayLike<number> | undefined,
  right: ArrayLike<number> | undefined,
): number {
  if (!left || !right) return left === right ? -1 : 0;
  const length = Math.max(left.length, right.length);
  for (let i = 0; i < length; i++) if (!Object.is(left[i], right[i])) return i;
  return -1;
}

/** `name@index` of every weight that differs between two models. */
export function differences(
  left: ReadonlyMap<string, Float32Array>,
  right: ReadonlyMap<string, Float32Array>,
): string[] {
  const names = new Set([...left.keys(), ...right.keys()]);
  return [...names].flatMap((name) => {
    if (!left.has(name) || !right.has(name)) return [`${name} only once`];
    const at = firstDifference(left.get(name), right.get(name));
    return at < 0 ? [] : [`${name}@${at}`];
  });
}
