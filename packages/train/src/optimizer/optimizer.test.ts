import type { TrainableSpec } from '@rwkv-ts/backend';
import { buildProgram } from '@rwkv-ts/model';
import { describe, expect, test } from 'vitest';
import { newConfig } from '../initialise/new-config.js';
import { parameterGroups, stateGroup } from './parameter-groups.js';
import { learningRateAt, validateSchedule } from './schedule.js';

const config = (version: '4' | '5.0' | '5.2' | '6' | '7') =>
  newConfig({ version, layers: 2, channels: 64, vocabularySize: 80, headSize: 32 });

function grouped(version: '4' | '5.0' | '5.2' | '6' | '7') {
  const names = (wanted: (spec: TrainableSpec) => boolean): string[] =>
    parameterGroups(config(version))
      .filter(wanted)
      .map(({ name }) => name);
  return {
    decaying: names(({ weightDecayFactor }) => weightDecayFactor === 1),
    faster: Object.fromEntries(
      parameterGroups(config(version))
        .filter(({ learningRateFactor }) => learningRateFactor !== 1)
        .map(({ name, learningRateFactor }) => [name, learningRateFactor]),
    ),
  };
}

const matrices = (block: number, more: readonly string[] = []): string[] =>
  ['att.receptance', 'att.key', 'att.value', 'att.output', 'ffn.key', 'ffn.value', ...more].map(
    (name) => `blocks.${block}.${name}.weight`,
  );
const both = (more: readonly string[] = []): string[] =>
  ['emb.weight', ...matrices(0, more), ...matrices(1, more), 'head.weight'].sort();

test('v7: weight decay on the large matrices alone, w0 twice as fast', () => {
  const { decaying, faster } = grouped('7');
  expect([...decaying].sort()).toEqual(both());
  expect(faster).toEqual({ 'blocks.0.att.w0': 2, 'blocks.1.att.w0': 2 });
});

test('v6, v5 and v4: the decay twice as fast, time_first three times', () => {
  const gated = both(['att.gate', 'ffn.receptance']);
  expect([...grouped('6').decaying].sort()).toEqual(gated);
  expect([...grouped('5.2').decaying].sort()).toEqual(gated);
  expect([...grouped('4').decaying].sort()).toEqual(both(['ffn.receptance']));
  const twice = { 'blocks.0.att.time_decay': 2, 'blocks.1.att.time_decay': 2 };
  expect(grouped('6').faster).toEqual(twice);
  expect(grouped('5.2').faster).toEqual(twice);
  const [first, bonus] = ['time_first', 'time_faaaa'].map((name) => ({
    [`blocks.0.att.${name}`]: 3,
    [`blocks.1.att.${name}`]: 3,
  }));
  expect(grouped('4').faster).toEqual({ ...twice, ...first });
  expect(grouped('5.0').faster).toEqual({ ...twice, ...bonus });
});

test('the initial states that can be tuned are the matrix states', () => {
  const names = stateGroup(buildProgram(config('7'))).map(({ name }) => name);
  expect(names).toEqual(['blocks.0.att.wkv', 'blocks.1.att.wkv']);
});

describe('schedules', () => {
  const rate = (step: number, more: object = {}): number =>
    learningRateAt({ peak: 6e-4, final: 6e-5, warmupSteps: 10, ...more }, { step, steps: 110 });

  test('warm up from a hundredth', () => {
    expect(rate(0)).toBeCloseTo(6e-6, 12);
    expect(rate(5)).toBeCloseTo(6e-4 * (0.01 + 0.99 / 2), 12);
    expect(rate(10)).toBe(6e-4);
    expect(rate(0, { warmupSteps: 0 })).toBe(6e-4);
  });

  test('cosine as the official trainer writes it', () => {
    for (const step of [10, 35, 60, 100, 110, 200]) {
      const progress = Math.min((step - 10) / 100, 1);
      const factor = 0.1;
      const expected =
        6e-4 * (0.5 + factor / 2 + (0.5 - factor / 2) * Math.cos(Math.PI * progress));
      expect(rate(step)).toBeCloseTo(expected, 12);
    }
  });

  test('linear and constant', () => {
    expect(rate(60, { decay: 'linear' })).toBeCloseTo((6e-4 + 6e-5) / 2, 12);
    expect(rate(110, { decay: 'linear' })).toBeCloseTo(6e-5, 12);
    expect(rate(109, { decay: 'constant' })).toBe(6e-4);
  });

  test.each([{ peak: -1 }, { peak: Number.NaN }, { warmupSteps: 1.5 }, { decay: 'stairs' }])(
    'refuses %o',
    (wrong) => {
      expect(() => {
        validateSchedule({ peak: 1, ...wrong } as never);
      }).toThrow(expect.objectContaining({ code: 'OPTION_INVALID' }));
    },
  );
});
