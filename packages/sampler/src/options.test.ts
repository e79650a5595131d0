import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import {
  SamplerError,
  createSampler,
  restoreSampler,
  samplerPresets,
  type SamplerOptions,
  type SamplerState,
} from './index.js';

function codeOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    return error instanceof SamplerError ? error.code : (error as Error).name;
  }
  return 'none';
}

describe('what the door refuses', () => {
  const wrong: SamplerOptions[] = [
    { temperature: -1 },
    { temperature: 1e-7 },
    { temperature: NaN },
    { topK: 1.5 },
    { topK: -1 },
    { topP: 1.01 },
    { minP: -0.1 },
    { typicalP: 0 },
    { mirostat: { targetSurprise: -1, learningRate: 0.1 } },
    { mirostat: { targetSurprise: 3, learningRate: 2 } },
    { presencePenalty: Infinity },
    { frequencyPenalty: 101 },
    { penaltyDecay: 1.1 },
    { repetitionPenalty: 0 },
    { repetitionWindow: 70000 },
    { logitBias: { 1: NaN } },
    { logitBias: new Map([[1, Infinity]]) },
    { seed: 0.5 },
    { seed: 1n << 64n },
    { topLogprobs: 2000 },
  ];
  for (const options of wrong) {
    const name = Object.keys(options)[0]!;
    const value = inspect(Object.values(options)[0]);
    it(`option ${name}: ${value}`, () => {
      expect(codeOf(() => createSampler(10, options))).toBe('OPTION_INVALID');
    });
  }

  it('names the range and the value', () => {
    expect(() => createSampler(10, { topP: 3 })).toThrow('expected topP to be from 0 to 1, got 3');
  });

  it('tokens outside the vocabulary, sizes, and wrong types', () => {
    expect(codeOf(() => createSampler(10, { bannedTokens: [10] }))).toBe('TOKEN_INVALID');
    expect(codeOf(() => createSampler(10, { logitBias: { 12: 1 } }))).toBe('TOKEN_INVALID');
    expect(codeOf(() => createSampler(10, { penaltyExempt: new Set([-1]) }))).toBe('TOKEN_INVALID');
    const accepting = (): void => {
      createSampler(10).accept(3.5);
    };
    expect(codeOf(accepting)).toBe('TOKEN_INVALID');
    expect(codeOf(() => createSampler(0))).toBe('OPTION_INVALID');
    expect(codeOf(() => createSampler(2 ** 21))).toBe('OPTION_INVALID');
    expect(codeOf(() => createSampler(10, { topP: '1' as unknown as number }))).toBe('TypeError');
  });

  it('rows that are none, and leaves the sampler as it was', () => {
    const sampler = createSampler(3, { seed: 1, presencePenalty: 1 });
    const before = JSON.stringify(sampler.save());
    const row =
      (...logits: number[]) =>
      () =>
        sampler.sample(Float32Array.from(logits));
    expect(codeOf(row(1, 2))).toBe('LOGITS_LENGTH');
    expect(row(1, NaN, 0)).toThrow('logit 1 of 3 is NaN');
    expect(row(1, 2, Infinity)).toThrow('logit 2 of 3 is Infinity');
    expect(row(-Infinity, -Infinity, -Infinity)).toThrow('all of them are -Infinity');
    expect(codeOf(() => sampler.sample([1, 2, 3] as unknown as Float32Array))).toBe('TypeError');
    expect(JSON.stringify(sampler.save())).toBe(before);
    const banned = createSampler(2, { bannedTokens: [0, 1] });
    expect(codeOf(() => banned.sample(Float32Array.of(1, 2)))).toBe('NO_TOKEN_LEFT');
    // A token with a penalty is measured apart, and checked all the same.
    sampler.accept(1);
    expect(codeOf(row(1, NaN, 0))).toBe('LOGITS_INVALID');
  });

  it('damaged states', () => {
    const options = { presencePenalty: 1, repetitionPenalty: 2, repetitionWindow: 2 };
    const sampler = createSampler(5, { ...options, logitBias: { 1: 2 }, bannedTokens: [3] });
    sampler.accept(2);
    const good = sampler.save();
    expect(codeOf(() => restoreSampler(good))).toBe('none');
    const { penalties } = good;
    const bad: unknown[] = [
      null,
      {},
      { ...good, version: 2 },
      { ...good, vocabularySize: 1e9 },
      { ...good, vocabularySize: 2 },
      { ...good, seed: '-1' },
      { ...good, seed: '99999999999999999999' },
      { ...good, random: [0, 0, 0, 0] },
      { ...good, random: [1, 2, 3] },
      { ...good, random: [1, 2, 3, 2 ** 32] },
      { ...good, mirostatBound: null },
      { ...good, options: { ...good.options, topP: 7 } },
      { ...good, options: { ...good.options, logitBias: 'no' } },
      { ...good, penalties: { ...penalties, tokens: [2, 2], counts: [1, 1] } },
      { ...good, penalties: { ...penalties, counts: [] } },
      { ...good, penalties: { ...penalties, counts: [NaN] } },
      { ...good, penalties: { ...penalties, factor: 0 } },
      { ...good, penalties: { ...penalties, window: [1, 2, 3] } },
      { ...good, penalties: { ...penalties, window: [9] } },
    ];
    for (const state of bad) {
      expect(
        codeOf(() => restoreSampler(state as SamplerState)),
        JSON.stringify(state),
      ).toBe('STATE_INVALID');
    }
  });
});

describe('presets', () => {
  it('are all accepted', () => {
    for (const [name, preset] of Object.entries(samplerPresets)) {
      expect(
        codeOf(() => createSampler(65536, preset)),
        name,
      ).toBe('none');
    }
    expect(Object.keys(samplerPresets)).toContain('rwkv-chat');
  });

  it('have no names by inheritance', () => {
    expect(samplerPresets['constructor']).toBeUndefined();
  });
});
