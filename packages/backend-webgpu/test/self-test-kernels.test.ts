/** Kernels that have one form pass their self-tests, and a mistake in any of them is an error that says where and how much. */
import type { BackendError } from '@rwkv-ts/backend';
import { describe, expect, test, vi } from 'vitest';
import { batchOf } from '../../backend-kit/conformance/batches.js';
import { open } from '../../backend-kit/conformance/session.js';
import { tinyModel } from '../../backend-kit/conformance/tiny-models.js';
import { deviceContext } from '../src/device/device-context.js';
import * as runs from '../src/device/run-self-tests.js';
import { createWebGpuBackend } from '../src/index.node.js';
import { activateShader } from '../src/kernels/activate.js';
import { addShader } from '../src/kernels/add.js';
import { bonus7Shader } from '../src/kernels/bonus7.js';
import { embedShader } from '../src/kernels/embed.js';
import { lerpShader } from '../src/kernels/lerp.js';
import { mulShader } from '../src/kernels/mul.js';
import { l2NormShader, normShader } from '../src/kernels/norm.js';
import { parameterShader } from '../src/kernels/parameter.js';
import { prepare7Shader } from '../src/kernels/prepare7.js';
import { quantiseShader } from '../src/kernels/quantise.js';
import { rowMatmulShader } from '../src/kernels/row-matmul.js';
import { scaleShader } from '../src/kernels/scale.js';
import { selectRowsShader } from '../src/kernels/select-rows.js';
import type { Shader } from '../src/kernels/shader.js';
import { shiftMixShader, type ShiftMixShape } from '../src/kernels/shift-mix.js';
import { sliceShader } from '../src/kernels/slice.js';
import { wkv4Shader } from '../src/kernels/wkv4.js';
import { wkv6Shader } from '../src/kernels/wkv6.js';
import { weightFormats } from '../src/weights/layout.js';
import { adapter, gpu, missing, tierDevice } from './adapter.js';
import { spoil } from './spoil.js';

// Software drivers translate a kernel when it first runs, which takes seconds on a busy machine.
vi.setConfig({ testTimeout: 120_000 });

const mixing: ShiftMixShape = { hasNorm: true, toward: 'previous', mixes: 2, extras: [] };
const shifting: ShiftMixShape = {
  hasNorm: false,
  toward: 'current',
  mixes: 1,
  extras: ['normed', 'shifted', 'difference'],
};
const heads = { size: 20, decay: 'view', hasNorm: true, hasGate: true } as const;
const plainHeads = { size: 64, decay: 'parameter', hasNorm: false, hasGate: false } as const;

/** Each kernel, and mistakes in it. */
const kernels: readonly [Shader, ...(readonly [right: string, wrong: string])[]][] = [
  [activateShader(), ['-0.6065306597126334', '-0.606'], ['a < 0.55', 'a < 2.55']],
  [addShader('view'), ['x + y', 'x - y'], ['row >= header', 'row > header']],
  [addShader('parameter'), ['parameters[node.y + column]', 'parameters[node.y]']],
  [mulShader('view'), ['x * y', 'x * x']],
  [mulShader('parameter'), ['select(vec4f(0.0)', 'select(vec4f(1.0)']],
  [lerpShader('view'), ['(y - x)', '(x - y)']],
  [lerpShader('parameter'), ['x + (y', 'y + (y']],
  [scaleShader(), ['node.factor * x', 'x']],
  [selectRowsShader(), ['header[header[header_wanted_at] + row]', 'row']],
  [sliceShader(), ['node.start +', '']],
  [rowMatmulShader(), ['a < node.inner', 'a + 1u < node.inner']],
  [normShader(), ['+ node.eps', ''], ['- mean) * scale', ') * scale']],
  [l2NormShader(), ['/ length', '* length']],
  [prepare7Shader({ hasResidual: false }), [', node.floor)', ', 1000.0)']],
  [prepare7Shader({ hasResidual: true }), ['= v + (', '= (']],
  [
    quantiseShader(),
    ['round(numbers * inverse)', 'trunc(numbers * inverse)'],
    ['largest / 127.0', 'largest / 128.0'],
    ['sums[i >> 2u]', 'sums[i & 1u]'],
    ['node.jobs[job].q_stride', 'node.jobs[job].x_stride'],
  ],
  [bonus7Shader(), ['part += ', 'part = ']],
  [shiftMixShader(mixing), ['state[slot + c] = normed', 'before = normed']],
  [shiftMixShader(shifting), ['select(node.x_stride, 0u, is_first)', '0u']],
  [wkv4Shader(), ['state[at + node.width] = b;', ''], ['p + decay', 'p - decay']],
  [wkv6Shader(heads), ['+ x.z * old', '+ old'], ['+ node.eps', '- node.eps']],
  [wkv6Shader(plainHeads), ['+ x.w * v', '']],
  ...weightFormats.map((format): [Shader, readonly [string, string]] => [
    embedShader(format),
    ['- node.first', ''],
  ]),
  ...weightFormats.map((format): [Shader, readonly [string, string]] => [
    parameterShader(format),
    ['* node.repeat', ''],
  ]),
];

describe.skipIf(!adapter)(`on ${adapter ? 'the adapter' : missing}`, () => {
  const device = tierDevice('plain');
  const context = async () => deviceContext(await device());

  test.each(kernels.map(([shader, ...mistakes]) => ({ label: shader.label, shader, mistakes })))(
    '$label',
    async ({ shader, mistakes }) => {
      const own = await context();
      expect((await own.choose([shader])).index).toBe(0);
      for (const [right, wrong] of mistakes) {
        const spoiled = spoil(shader, right, wrong);
        const error = await own.choose([spoiled]).catch((reason: unknown) => reason);
        expect(error).toMatchObject({ name: 'BackendError', code: 'DEVICE_UNAVAILABLE' });
        const { message, got } = error as BackendError;
        expect(message).toContain(`computes the kernel ${spoiled.label} wrongly`);
        expect(message).toMatch(/\d+ of \d+ numbers are off, worst of all number \d+ must be/);
        expect(typeof got).toBe('number');
      }
      expect(own.fallbacks.size).toBe(0);
    },
  );

  test('what waits is tested together, and once', async () => {
    const spy = vi.spyOn(runs, 'runSelfTests');
    await using backend = await createWebGpuBackend({ gpu, tier: 'plain' });
    {
      await using session = await open(backend, tinyModel('7'));
      const rows = await session.run(batchOf([{ slot: 0, tokens: [1, 2] }]));
      expect(rows.length).toBeGreaterThan(0);
    }
    const tested = spy.mock.calls.flatMap(([, each]) => each.map(({ shader }) => shader.label));
    expect(tested.length).toBeGreaterThan(5);
    expect(new Set(tested).size).toBe(tested.length);
    expect(spy.mock.calls.length).toBeLessThan(tested.length);
    spy.mockClear();
    await using again = await createWebGpuBackend({ device: backend.device, tier: 'plain' });
    await using session = await open(again, tinyModel('7'));
    await session.run(batchOf([{ slot: 0, tokens: [1, 2] }]));
    expect(spy).not.toHaveBeenCalled();
    spy.mockRestore();
  });

  test('on a device that gets a kernel wrong nothing compiles, and nothing is left behind', async () => {
    const wrong = await (await gpu.requestAdapter())!.requestDevice();
    const create = wrong.createShaderModule.bind(wrong);
    wrong.createShaderModule = ({ code, ...rest }) =>
      create({ ...rest, code: code.replace('state[slot + c] = normed(last, c, other);', '') });
    await using backend = await createWebGpuBackend({ device: wrong });
    const error = await open(backend, tinyModel('7')).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ name: 'BackendError', code: 'DEVICE_UNAVAILABLE' });
    expect((error as BackendError).message).toMatch(/the kernel shift-mix of \d+ .* wrongly/);
    expect(backend.fallbacks).toEqual([]);
  });
});
