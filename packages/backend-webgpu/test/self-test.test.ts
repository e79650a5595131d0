/** Kernels pass their self-tests here, and wrong ones do not: another form stands in, and the backend says so. */
import { describe, expect, test, vi } from 'vitest';
import { deviceContext } from '../src/device/device-context.js';
import { linearTileShader, linearVectorShader } from '../src/kernels/linear.js';
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

  test.each(weightFormats)('products of %s', async (format) => {
    for (const tokens of [1, 4]) {
      for (const each of subgroups ? [true, false] : [false]) {
        const shader = linearVectorShader({ format, tokens, subgroups: each });
        expect((await (await context()).choose([shader])).index).toBe(0);
      }
    }
    expect((await (await context()).choose([linearTileShader({ format })])).index).toBe(0);
  });

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
    ['the gate', 'value *= arena', 'value += arena'],
    ['zeros beside the width', 'select(vec4f(0.0), value, rows', 'select(vec4f(1.0), value, rows'],
  ])('a product that gets %s wrong is found', async (_, right, wrong) => {
    const own = await context();
    const good = linearVectorShader({ format: 'q5_1', tokens: 1, subgroups: false });
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
