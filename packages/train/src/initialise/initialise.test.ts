import { decode } from '@rwkv-ts/formats';
import { canonicalWeights, type RwkvConfig } from '@rwkv-ts/model';
import { describe, expect, test } from 'vitest';
import { initialWeights } from './initialise.js';
import { newConfig, officialRanks } from './new-config.js';

const versions = ['4', '5.0', '5.1', '5.2', '6', '7'] as const;
const tiny = (version: (typeof versions)[number]): RwkvConfig =>
  newConfig({ version, layers: 3, channels: 64, vocabularySize: 80, headSize: 32 });

async function numbersOf(config: RwkvConfig, seed = 1): Promise<Map<string, Float32Array>> {
  const result = new Map<string, Float32Array>();
  for await (const { name, format, bytes } of initialWeights(config, { seed })) {
    result.set(name, decode(format, bytes));
  }
  return result;
}

describe.each(versions)('RWKV-%s', (version) => {
  const config = tiny(version);

  test('has every weight, in its size, and finite', async () => {
    const numbers = await numbersOf(config);
    const specs = canonicalWeights(config);
    expect([...numbers.keys()]).toEqual(specs.map(({ name }) => name));
    for (const { name, shape } of specs) {
      const values = numbers.get(name)!;
      expect(values.length, name).toBe(shape.reduce((a, b) => a * b, 1));
      expect(values.every(Number.isFinite), name).toBe(true);
    }
  });

  test('ends every branch with zeros, and the norms are neutral', async () => {
    const numbers = await numbersOf(config);
    const isZero = (name: string): boolean => numbers.get(name)!.every((value) => value === 0);
    expect(isZero('blocks.1.att.output.weight')).toBe(true);
    expect(isZero('blocks.2.ffn.value.weight')).toBe(true);
    expect(isZero('blocks.1.ffn.key.weight')).toBe(false);
    expect(numbers.get('ln_out.weight')!.every((value) => value === 1)).toBe(true);
    const largest = Math.max(...numbers.get('emb.weight')!.map(Math.abs));
    expect(largest).toBeLessThanOrEqual(Math.fround(1e-4));
    expect(largest).toBeGreaterThan(0.9e-4);
    if (version === '4') return;
    const share = numbers.get('blocks.1.att.ln_x.weight')!;
    expect(share.every((value) => Math.abs(value - (2 / 3) ** 0.7) < 1e-6)).toBe(true);
  });

  test('is the same for a seed, and other for another', async () => {
    const [one, same, other] = [
      await numbersOf(config, 7),
      await numbersOf(config, 7),
      await numbersOf(config, 8),
    ];
    expect(one).toEqual(same);
    expect(one.get('head.weight')).not.toEqual(other.get('head.weight'));
    expect(one.get('blocks.0.ffn.key.weight')).not.toEqual(one.get('blocks.1.ffn.key.weight'));
  });
});

test('numbers never change: the first of the head, for seed 1', async () => {
  const head = (await numbersOf(tiny('7'))).get('head.weight')!;
  expect([...head.slice(0, 4)]).toMatchInlineSnapshot(`
    [
      -0.022903187200427055,
      0.059665095061063766,
      0.0012110474053770304,
      -0.03223218023777008,
    ]
  `);
});

/** Formulas of the official trainers, written again with the engine's own functions. */
describe('ladders', () => {
  const at = async (version: (typeof versions)[number], name: string) =>
    (await numbersOf(tiny(version))).get(name)!;
  const expectNear = (got: Float32Array, formula: (index: number) => number): void => {
    for (const [index, value] of got.entries()) {
      expect(Math.abs(value - formula(index)), `${index}`).toBeLessThan(1e-6);
    }
  };
  const C = 64;

  test('v4', async () => {
    expectNear(await at('4', 'blocks.1.att.time_decay'), (i) => -5 + 8 * (i / 63) ** 1.35);
    expectNear(
      await at('4', 'blocks.1.att.time_first'),
      (i) => Math.log(0.3) + 0.5 * (((i + 1) % 3) - 1),
    );
    expectNear(await at('4', 'blocks.1.att.time_mix_v'), (i) => (i / C) ** (2 / 3) + 0.15);
    expectNear(await at('4', 'blocks.2.ffn.time_mix_r'), (i) => (i / C) ** (1 / 3));
  });

  test('v5', async () => {
    expectNear(await at('5.0', 'blocks.2.att.time_decay'), (i) => -6 + 5 * i ** 2);
    expectNear(await at('5.0', 'blocks.2.att.time_faaaa'), () => -3);
    expectNear(await at('5.1', 'blocks.2.att.time_faaaa'), (i) => 1 - i);
    expectNear(await at('5.2', 'blocks.0.att.time_decay'), (i) => -6 + 5 * (i / 63) ** 0.7);
    expectNear(
      await at('5.2', 'blocks.1.att.time_faaaa'),
      (i) => 0.5 * (1 - i / 63) + 0.1 * (((i + 1) % 3) - 1),
    );
    expectNear(await at('5.2', 'blocks.1.att.time_mix_g'), (i) => (i / C) ** (1 / 3));
  });

  test('v6', async () => {
    expectNear(await at('6', 'blocks.1.att.time_maa_v'), (i) => 1 - ((i / C) ** (2 / 3) + 0.15));
    expectNear(await at('6', 'blocks.2.ffn.time_maa_k'), (i) => 1 - (i / C) ** ((1 / 3) ** 3));
    expectNear(await at('6', 'blocks.0.att.time_maa_r'), (i) => 1 - (i / C) ** 0.5);
    const up = await at('6', 'blocks.0.att.time_maa_w2.g.weight');
    expect(Math.max(...up.map(Math.abs))).toBeLessThanOrEqual(0.01);
    expect((await at('6', 'blocks.0.att.time_maa_w1.weight')).every((x) => x === 0)).toBe(true);
  });

  test('v7', async () => {
    const zigzag = (i: number): number => {
      const along = ((i % 32) - 15.5) / 15.5;
      return along * Math.abs(along);
    };
    const linear = (i: number): number => i / 63 - 0.5;
    expectNear(
      await at('7', 'blocks.1.att.w0'),
      (i) => -6 + 6 * (i / 63) ** (1 + 0.5 ** 0.3) + 0.5 + 2.5 * zigzag(i),
    );
    expectNear(await at('7', 'blocks.1.att.a0'), (i) => -0.19 + 0.3 * zigzag(i) + 0.4 * linear(i));
    expectNear(await at('7', 'blocks.1.att.v0'), (i) => 0.73 - 0.4 * linear(i));
    expectNear(await at('7', 'blocks.1.att.k_k'), (i) => 0.71 - 0.1 * linear(i));
    expectNear(await at('7', 'blocks.1.att.k_a'), () => 1.02);
    expectNear(await at('7', 'blocks.1.att.r_k'), () => -0.04);
    expectNear(await at('7', 'blocks.1.att.x_g'), (i) => 1 - (i / C) ** (0.2 * (2 / 3)));
    expectNear(await at('7', 'blocks.2.ffn.x_k'), (i) => 1 - (i / C) ** ((1 / 3) ** 4));
  });

  /** The sum of squares of an orthogonal matrix is gain² · the fewer of its rows and columns. */
  test.each([
    ['7', 'blocks.0.att.key.weight', 0.1 ** 2 * 64],
    ['7', 'blocks.0.att.receptance.weight', 64],
    ['7', 'blocks.0.ffn.key.weight', 64],
    ['7', 'blocks.0.att.w2.weight', 0.1 ** 2 * 32],
    ['7', 'head.weight', 0.5 ** 2 * (80 / 64) * 64],
    ['6', 'blocks.0.att.gate.weight', 0.1 ** 2 * 64],
    ['5.1', 'blocks.0.att.gate.weight', 64],
    ['5.0', 'blocks.0.ffn.key.weight', (224 / 64) * 64],
    ['4', 'blocks.0.ffn.key.weight', 4 * 64],
    ['4', 'blocks.0.att.value.weight', 64],
    ['4', 'blocks.0.att.key.weight', 0],
  ] as const)('gain of RWKV-%s %s', async (version, name, expected) => {
    let squares = 0;
    for (const value of await at(version, name)) squares += value * value;
    expect(squares).toBeCloseTo(expected, 4);
  });
});

test('official sizes', () => {
  expect(officialRanks('7', 768)).toEqual({ decay: 64, rate: 64, valueResidual: 32, gate: 128 });
  expect(officialRanks('7', 2048)).toEqual({ decay: 128, rate: 128, valueResidual: 64, gate: 224 });
  expect(officialRanks('6', 2048)).toEqual({ mix: 32, decay: 64 });
  const v6 = newConfig({ version: '6', layers: 24, channels: 2048, vocabularySize: 65536 });
  expect(v6).toMatchObject({ channelMixSize: 7168, heads: 32, headSize: 64 });
  const v7 = newConfig({ version: '7', layers: 1, channels: 64, vocabularySize: 9 });
  expect(v7).toMatchObject({ channelMixSize: 256, ranks: { decay: 32, valueResidual: 0 } });
});

test('what cannot be started is refused', async () => {
  const size = { layers: 2, channels: 64, vocabularySize: 9 };
  expect(() => newConfig({ version: '7a' as never, ...size })).toThrow(/7a/);
  expect(() => newConfig({ version: '7', ...size, headSize: 48 })).toThrow(/heads/);
  await expect(numbersOf(tiny('7'), 1.5)).rejects.toMatchObject({ code: 'OPTION_INVALID' });
  const applied = { ...tiny('4'), decayForm: 'applied' } as RwkvConfig;
  await expect(numbersOf(applied)).rejects.toMatchObject({ code: 'OPTION_INVALID' });
});
