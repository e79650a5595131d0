/** A tiny model and a little language, for tests of training. */
import { memoryTokens } from '../src/data/token-data.js';
import { createWindowStream, type WindowPosition } from '../src/data/windows.js';
import { newConfig, officialRanks } from '../src/initialise/new-config.js';
import { newModel } from '../src/modes/full.js';
import type { Sample, SampleStream } from '../src/trainer/samples.js';
import type { Backend } from '@rwkv-ts/backend';
import type { RwkvConfig } from '@rwkv-ts/model';
import { decode } from '@rwkv-ts/formats';
import type { WritableModel } from '@rwkv-ts/weights';

export const vocabularySize = 12;

export function tinyConfig(version: '4' | '5.2' | '6' | '7' = '7', layers = 2): RwkvConfig {
  const small = (names: readonly string[]) => Object.fromEntries(names.map((name) => [name, 4]));
  const ranks = small(Object.keys(officialRanks(version, 16)));
  return newConfig({
    version,
    layers,
    channels: 16,
    headSize: 8,
    vocabularySize,
    channelMixSize: 32,
    ranks,
  });
}

export const tinyModel = (version: '4' | '5.2' | '6' | '7' = '7', layers = 2): WritableModel =>
  newModel(tinyConfig(version, layers), { seed: 5 });

/** Counts up, with a hop now and then: easy to learn, and not of one period. */
export const text = Uint32Array.from(
  { length: 600 },
  (_, index) => (index + 3 * Math.floor(index / 17)) % vocabularySize,
);

export function windows(context = 16, position?: unknown): SampleStream {
  return createWindowStream(memoryTokens(text), {
    order: 'permuted',
    context,
    ...(position === undefined ? {} : { position: position as WindowPosition }),
  });
}

/** The same few samples again and again. */
export function cycle(samples: readonly Sample[], from = 0): SampleStream {
  let index = from;
  const places = new WeakMap<Sample, number>();
  return {
    next: async () => {
      const next = { ...samples[index % samples.length]! };
      places.set(next, ++index);
      return next;
    },
    position: (sample) => (sample === undefined ? index : places.get(sample)),
  };
}

export function sample(length: number, begin = 0, more: Partial<Sample> = {}): Sample {
  return {
    tokens: text.slice(begin, begin + length),
    targets: text.slice(begin + 1, begin + length + 1),
    ...more,
  };
}

export async function numbersOf(model: WritableModel): Promise<Map<string, Float32Array>> {
  const result = new Map<string, Float32Array>();
  for await (const { name, format, bytes } of model.weights()) {
    result.set(name, decode(format, bytes));
  }
  return result;
}

/** A backend whose trainings are changed on their way out. */
export function wrapTraining(
  backend: Backend,
  wrap: (
    training: Awaited<ReturnType<NonNullable<Backend['createTraining']>>>,
  ) => Partial<typeof training>,
): Backend {
  return new Proxy(backend, {
    get(target, key) {
      if (key !== 'createTraining') {
        const value = Reflect.get(target, key, target) as unknown;
        return typeof value === 'function' ? (value.bind(target) as unknown) : value;
      }
      return async (...given: Parameters<NonNullable<Backend['createTraining']>>) => {
        const training = await target.createTraining!(...given);
        const changed = wrap(training) as Record<PropertyKey, unknown>;
        return new Proxy(training, {
          get(inner, name) {
            if (name in changed) return changed[name];
            const value = Reflect.get(inner, name, inner) as unknown;
            return typeof value === 'function' ? (value.bind(inner) as unknown) : value;
          },
        });
      };
    },
  });
}
