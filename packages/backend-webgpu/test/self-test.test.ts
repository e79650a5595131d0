/** Kernels pass their self-tests here, and wrong ones do not: another form stands in, and the backend says so. */
import type { WeightFormat } from '@rwkv-ts/backend';
import { describe, expect, test, vi } from 'vitest';
import { deviceContext } from '../src/device/device-context.js';
import { embedShader } from '../src/kernels/embed.js';
import { linearColumnsShader } from '../src/kernels/linear-columns.js';
import { linearTileIntegersShader } from '../src/kernels/linear-tile-integers.js';
import { linearTileShader } from '../src/kernels/linear-tile.js';
import { linearVectorShader } from '../src/kernels/linear-vector.js';
import { type Halves, hasHalves } from '../src/kernels/weight-formats.js';
import { parameterShader } from '../src/kernels/parameter.js';
import type { Shader } from '../src/kernels/shader.js';
import { wkv7Shader } from '../src/kernels/wkv7.js';
import { weightFormats } from '../src/weights/layout.js';
import { adapter, missing, tierDevice, tiers } from './adapter.js';
import { spoil } from './spoil.js';

// Software drivers translate a kernel when it first runs, which takes seconds on a busy machine.
vi.setConfig({ testTimeout: 120_000 });

describe.skipIf(!adapter)(`on ${adapter ? 'the adapter' : missing}`, () => {
  const device = tierDevice(tiers[0]!);
  const context = async () => deviceContext(await device());
  const subgroups = tiers.includes('subgroups');
  const hasF16 = adapter?.features.has('shader-f16') ?? false;

  const ways = (format: WeightFormat): Halves[] =>
    hasHalves(format) ? [...(hasF16 ? (['native'] as const) : []), 'unpacked', 'exact'] : ['exact'];

  test.each(weightFormats)('products of %s', async (format) => {
    const own = await context();
    const right = async (shader: Shader) => {
      expect((await own.choose([shader])).index).toBe(0);
    };
    for (const halves of ways(format)) {
      await right(linearVectorShader({ format, halves, tokens: 1, subgroups: false }));
    }
    const options = { format, halves: ways(format)[0]! };
    for (const tokens of [1, 4]) {
      for (const each of subgroups ? [true, false] : [false]) {
        await right(linearVectorShader({ ...options, tokens, subgroups: each }));
      }
    }
    await right(linearTileShader(options));
  });

  // The conformance suite tries the others.
  test.each(['q4_1', 'q6_k'] as const)('products of integers of %s', async (format) => {
    const own = await context();
    for (const halves of ways(format)) {
      const options = { format, halves, tokens: 4, subgroups: false, integers: true };
      expect(await own.works(linearVectorShader(options))).toBe(true);
    }
    expect(await own.works(linearTileIntegersShader({ format, halves: 'exact' }))).toBe(true);
  });

  test.each(['f32', 'f16', 'bf16'] as const)('products of %s in columns', async (format) => {
    const own = await context();
    const layout = 'columns';
    for (const halves of ways(format)) {
      for (const tokens of [1, 4] as const) {
        expect(await own.works(linearColumnsShader({ format, halves, tokens }))).toBe(true);
      }
      expect(await own.works(linearTileShader({ format, halves, layout }))).toBe(true);
    }
    const rows = { format, halves: 'exact', layout, tokens: 4, subgroups: false } as const;
    expect(await own.works(linearVectorShader(rows))).toBe(true);
    expect(await own.works(embedShader(format, layout))).toBe(true);
    expect(await own.works(parameterShader(format, layout))).toBe(true);
  });

  test('mistakes in columns are found', async () => {
    const own = await context();
    const [one, four] = ([1, 4] as const).map((tokens) =>
      linearColumnsShader({ format: 'f16', halves: 'exact', tokens }),
    ) as [Shader, Shader];
    const tile = linearTileShader({ format: 'f16', halves: 'exact', layout: 'columns' });
    const bad = [
      spoil(one, 'x[e] != 0.0', 'x[e] > 0.0'),
      spoil(one, 'i < (lane >> 4u)', 'i <= (lane >> 4u)'),
      spoil(four, 'own[n][3]', 'own[n][2]'),
      spoil(tile, 'eight_rows + 1u] = w.b', 'eight_rows + 1u] = w.a'),
    ];
    for (const each of bad) expect(await own.works(each)).toBe(false);
  });

  test.each(['q4_1', 'q6_k'] as const)('mistakes in integers of %s are found', async (format) => {
    const own = await context();
    const [vector, tile] = [
      linearVectorShader({ format, halves: 'exact', tokens: 1, subgroups: false, integers: true }),
      linearTileIntegersShader({ format, halves: 'exact' }),
    ];
    const bad = [
      spoil(vector, 'scales * products', '1.001 * scales * products'),
      spoil(vector, '+ offsets * total', ''),
      spoil(tile, '+ x.y * offsets', ''),
    ];
    for (const each of bad) {
      expect(await own.works(each)).toBe(false);
      expect(own.fallbacks.get(each.label)!.reason).toMatch(/wrongly/);
    }
  });

  test.each(['f16', 'q8_0', 'q5_k'] as const)(
    'half precision of %s that takes the smallest numbers for zero is read by integers',
    async (format) => {
      const own = await context();
      const options = { format, tokens: 1, subgroups: false };
      const exact = linearVectorShader({ ...options, halves: 'exact' });
      const spoiled = spoil(
        linearVectorShader({ ...options, halves: 'unpacked' }),
        'unpack2x16float',
        'flushed',
      );
      const flushed = `fn flushed(word: u32) -> vec2f {
  let x = unpack2x16float(word);
  return select(x, vec2f(0.0), abs(x) < vec2f(6.103515625e-5));
}`;
      const bad = { ...spoiled, code: `${spoiled.code}\n${flushed}` };
      expect((await own.choose([bad, exact])).index).toBe(1);
      expect(own.fallbacks.get(bad.label)!.reason).toMatch(/wrongly/);
    },
  );

  test.each([5, 16, 64, 100])('the recurrence of v7 with heads of %d', async (size) => {
    for (const preparation of ['none', 'own value', 'residual value'] as const) {
      for (const hasTail of [false, true]) {
        const shader = wkv7Shader({ size, hasTail, preparation });
        expect((await (await context()).choose([shader])).index).toBe(0);
      }
    }
  });

  test.each([
    ['a slope', 'exp(2.0 * min(a, 20.0))', 'exp(2.1 * min(a, 20.0))'],
    ['a minimum of blocks', 'scale * b + offset', 'scale * b'],
    ['the gate', 'value *= load4', 'value += load4'],
    ['zeros beside the width', 'select(vec4f(0.0), value, rows', 'select(vec4f(1.0), value, rows'],
  ])('a product that gets %s wrong is found', async (_, right, wrong) => {
    const own = await context();
    const good = linearVectorShader({
      format: 'q5_1',
      halves: 'exact',
      tokens: 1,
      subgroups: false,
    });
    const bad = spoil(good, right, wrong);
    expect((await own.choose([bad, good])).index).toBe(1);
    expect([...own.fallbacks.keys()]).toContain(bad.label);
    expect(own.fallbacks.get(bad.label)!.reason).toMatch(
      /wrongly: \d+ of \d+ numbers are off, worst/,
    );
    await expect(own.choose([bad])).rejects.toMatchObject({ code: 'DEVICE_UNAVAILABLE' });
  });

  test('so is a kernel that does not compile, and a recurrence that forgets its state', async () => {
    const own = await context();
    const good = wkv7Shader({ size: 16, hasTail: true, preparation: 'own value' });
    const bad = [
      spoil(good, 'state[at + quad] = line[n];', ''),
      spoil(good, '+ z * token_b[quad]', ''),
      spoil(good, 'var part = 0.0;', 'var part = nothing;'),
    ];
    expect((await own.choose([...bad, good])).index).toBe(3);
    for (const { label } of bad) expect(own.fallbacks.has(label)).toBe(true);
  });
});
