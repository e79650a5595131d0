import { byteTokenizer } from '@rwkv-ts/tokenizer';
import { samplerPresets } from '@rwkv-ts/sampler';
import { describe, expect, it } from 'vitest';
import { testTokenizer } from '../test/test-tokenizer.js';
import { GenerateError } from './errors.js';
import { type GenerateOptions, presetFor, resolveGenerateOptions } from './options.js';

const resolve = (options: GenerateOptions) =>
  resolveGenerateOptions(options, { vocabularySize: 10, defaultPreset: 'pipeline' });

describe('presets', () => {
  it('byte-level models have their own default, as penalties would fall on the letters of words', () => {
    expect(presetFor(byteTokenizer(), 'pipeline')).toBe('bytes');
    expect(presetFor(testTokenizer(), 'rwkv-chat')).toBe('rwkv-chat');
    expect(presetFor(undefined, 'pipeline')).toBe('pipeline');
  });

  it('options override the preset one by one; undefined overrides nothing', () => {
    const { sampling } = resolve({ topP: 0.5, ...({ temperature: undefined } as object) });
    expect(sampling).toEqual({ ...samplerPresets['pipeline'], topP: 0.5 });
    expect(resolve({ preset: 'greedy' }).sampling).toEqual({ temperature: 0 });
  });
});

it.each([
  [{ maxTokens: 0 }, /maxTokens.*positive integer/],
  [{ maxTokens: 1.5 }, /maxTokens/],
  [{ stopTokens: [10] }, /stopTokens.*0 to 9/],
  [{ preset: 'nonsense' }, /preset.*pipeline/],
] as [GenerateOptions, RegExp][])('refuses %j', (options, message) => {
  expect(() => resolve(options)).toThrow(message);
  expect(() => resolve(options)).toThrow(GenerateError);
});
