/** The bytes of arguments against what the structs of native/kernels have where. */
import { BackendError, type Program } from '@rwkv-ts/backend';
import { describe, expect, test } from 'vitest';
import { OpScope } from '../../../backend-kit/conformance/op-scope.js';
import { tinyModel } from '../../../backend-kit/conformance/tiny-models.js';
import { normal } from '../../../backend-kit/src/random.js';
import { kernelIndex } from '../kernels/all.js';
import { addKernel, scaleKernel } from '../kernels/elementwise.js';
import { argumentsLayout } from '../kernels/kernel.js';
import { linearVariants } from '../kernels/linear.js';
import { placeMatrix, type StoredMatrix } from '../weights/layout.js';
import { encodeLaunches, type KernelLaunch } from './arguments.js';
import { addressesFor, base, launches, plan, storedAs } from '../../test/planned.js';
import { requireSizes } from './require-sizes.js';

const limits = { tokens: 4, sequences: 2, wanted: 3 };
const bucket = { tokens: 3, sequences: 1, wanted: 2 };

const named = (all: readonly KernelLaunch[], name: string) =>
  all.filter(({ kernel }) => kernel.name === name);

function viewOf(launch: KernelLaunch): DataView {
  const { bytes } = encodeLaunches([launch]);
  return new DataView(bytes.buffer);
}
const addressAt = (view: DataView, at: number) => Number(view.getBigUint64(at, true));

test('a scaled row: address, stride, address, stride, kind of rows, width, factor', () => {
  const values = {
    x: { address: 0x7f12_3456_789a, stride: 40 },
    out: { address: 0x1_0000_0000, stride: 24 },
    rows: 1,
    width: 24,
    factor: 0.5,
  };
  const launch = { kernel: scaleKernel, index: 7, grid: [3, 2], values } as const;
  const { words, bytes } = encodeLaunches([launch]);
  expect([...words]).toEqual([7, 3, 2, 1, 256, 0, 0, 48]);
  expect(Buffer.from(bytes).toString('hex').match(/.{8}/g)).toEqual([
    ...['9a785634', '127f0000', '28000000', '00000000'],
    ...['00000000', '01000000', '18000000', '00000000'],
    ...['01000000', '18000000', '0000003f', '00000000'],
  ]);
});

test('launches lie one after the other', () => {
  const rows = { address: 16, stride: 1 };
  const first: KernelLaunch = {
    kernel: scaleKernel,
    index: kernelIndex(scaleKernel),
    grid: [1, 1],
    values: { x: rows },
  };
  const second: KernelLaunch = {
    kernel: addKernel,
    index: kernelIndex(addKernel),
    grid: [5, 1],
    values: { y: rows },
  };
  const { words, bytes } = encodeLaunches([first, second]);
  expect([...words.subarray(6, 8)]).toEqual([0, 48]);
  expect([...words.subarray(8)]).toEqual([second.index, 5, 1, 1, 256, 0, 48, 56]);
  expect(bytes.length).toBe(104);
  expect(addressAt(new DataView(bytes.buffer), 48 + 16)).toBe(16);
});

test('what a field does not hold is refused', () => {
  const launch = { kernel: scaleKernel, index: 0, grid: [1, 1] } as const;
  const encode = (values: KernelLaunch['values']) => () => encodeLaunches([{ ...launch, values }]);
  expect(encode({ y: 1 })).toThrow('no field y');
  expect(encode({ x: 1 })).toThrow('kind rows');
  expect(encode({ rows: { address: 1, stride: 1 } })).toThrow('kind count');
});

describe('in a program', () => {
  const scope = new OpScope({ seed: 1 });
  const x = scope.input(24);
  const [gate, part] = [scope.value(8), scope.value(8)];
  const product = scope.value(8);
  const matrix = scope.matrix(8, 24);
  const sum = scope.value(8, 'R');
  const wanted = scope.value(8, 'R');
  const by = scope.vector([8], normal());
  scope.emit({ kind: 'slice', out: part, x, start: 10 });
  scope.emit({ kind: 'activate', out: gate, x: part, activation: 'sigmoid' });
  scope.emit({ kind: 'linear', out: product, x, weight: matrix, activation: 'relu2', gate });
  scope.emit({ kind: 'select-rows', out: wanted, x: product });
  scope.emit({ kind: 'add', out: sum, x: wanted, y: { weight: by } });
  const program = scope.program(sum);
  const planned = plan(program, { limits });
  const all = launches(program, { limits, bucket });
  const written = (name: string) => {
    const node = planned.nodes.find((each) => each.name === name)!;
    return base.arena + planned.arena.offsets.get(node.writes[0]!)!;
  };

  test('a slice is columns of the wider rows', () => {
    const [launch] = named(all, 'activate');
    expect(launch!.grid).toEqual([3, 1]);
    const view = viewOf(launch!);
    expect(addressAt(view, 0)).toBe(written('embed') + 40);
    expect(view.getUint32(8, true)).toBe(24);
    expect(view.getUint32(32, true)).toBe(0);
    expect(view.getUint32(36, true)).toBe(8);
    // native/kernels/math.cuh calls it so.
    expect(view.getUint32(40, true)).toBe(2);
  });

  test('a parameter is rows 0 apart; wanted rows are of kind 1', () => {
    const [launch] = named(all, 'add');
    expect(launch!.grid).toEqual([2, 1]);
    const view = viewOf(launch!);
    expect(addressAt(view, 16)).toBe(base.parameters);
    expect(view.getUint32(24, true)).toBe(0);
    expect(addressAt(view, 32)).toBe(base.arena + planned.output!.offset);
    expect(view.getUint32(48, true)).toBe(1);
    expect(planned.parameters.placed.map(({ parameter }) => parameter.weight)).toEqual([by]);
  });

  test('a product has its matrix, rows, and what comes after it', () => {
    const [launch] = all.filter(({ kernel }) => kernel.name.startsWith('linear_'));
    const stored = storedAs(program, 'f16')(matrix);
    const [, , variant] = linearVariants({ ...stored, features: { tensorCores: 'all' } });
    expect(launch!.kernel).toEqual(variant!.kernel);
    const view = viewOf(launch!);
    expect(view.byteLength).toBe(8 + 8 * 176);
    expect([view.getUint32(0, true), view.getUint32(4, true)]).toEqual([0, 1]);
    const job = (at: number) => addressAt(view, 8 + at);
    const { address } = addressesFor(program, () => stored).matrix(matrix);
    expect([job(0), job(8), job(16)]).toEqual([address, 0, 0]);
    const counts = [24, 28, 32].map((at) => view.getUint32(8 + at, true));
    expect(counts).toEqual([8, 24, 24]);
    expect(job(40)).toBe(written('embed'));
    expect([job(56), job(64)]).toEqual([0, 0]);
    expect(job(80)).toBe(written('linear'));
    expect(job(96)).toBe(0);
    expect(job(112)).toBe(written('activate'));
    expect(view.getUint32(8 + 120, true)).toBe(8);
    expect([job(128), job(144), job(152)]).toEqual([0, 0, 0]);
    const ends = [160, 164, 168, 172].map((at) => view.getUint32(8 + at, true));
    expect(ends).toEqual([4, 0, variant!.outputsPerBlock(24), 1]);
  });

  test('the table is read where it lies, as the file has it', () => {
    const [launch] = named(all, 'embed');
    const view = viewOf(launch!);
    const table = program.weights.find(({ shape }) => shape[0] === 61)!.name;
    const addresses = addressesFor(program, storedAs(program, 'f16'));
    expect(addressAt(view, 0)).toBe(addresses.table(table).address);
    expect([24, 28, 32, 36].map((at) => view.getUint32(at, true))).toEqual([24, 1, 48, 0]);
    const model = tinyModel('7').program;
    const [input] = named(launches(model, { limits, bucket }), 'embed');
    expect(viewOf(input!).getUint32(36, true)).toBe(1);
  });
});

test('a matrix of blocks has three regions', () => {
  const stored: StoredMatrix = { format: 'q5_k', layout: 'rows', rows: 3, columns: 512 };
  const [variant] = linearVariants({ ...stored, features: { tensorCores: 'none' } });
  const place = placeMatrix(stored);
  const view = viewOf({
    kernel: variant!.kernel,
    index: 0,
    grid: [1, 1],
    values: {},
    jobs: [{}, { matrix: { ...stored, address: 4096, place } }],
  });
  const at = argumentsLayout(variant!.kernel).jobsAt + 176;
  expect([0, 8, 16].map((each) => addressAt(view, at + each))).toEqual([
    4096,
    4096 + place.highsAt,
    4096 + place.scalesAt,
  ]);
  expect(place.highsAt).toBe(768);
  expect([24, 28, 32].map((each) => view.getUint32(at + each, true))).toEqual([3, 512, 512]);
});

test('prepared rows are values, scales, and their strides', () => {
  const scope = new OpScope({ seed: 2 });
  const x = scope.wantedInput(64);
  const out = scope.value(8, 'R');
  scope.emit({ kind: 'matmul', out, x, weight: scope.matrix(8, 64) });
  const program = scope.program(out);
  const format = 'q8_0';
  const all = launches(program, { limits, bucket: { ...bucket, wanted: 1 }, format });
  const [prepare, product] = ['prepare_bytes', 'linear_blocks_q8_0_1'].map((name) =>
    viewOf(named(all, name)[0]!),
  );
  const planned = plan(program, { limits, format });
  const [node] = planned.nodes.filter(({ name }) => name === 'prepare_bytes');
  const at = base.arena + planned.arena.offsets.get(node!.writes[0]!)!;
  for (const [view, place] of [
    [prepare!, 8 + 16],
    [product!, 8 + 56],
  ] as const) {
    expect(addressAt(view, place)).toBe(at);
    // 64 bytes for each of the limit's three rows.
    expect(addressAt(view, place + 8)).toBe(at + 3 * 64);
    expect(view.getUint32(place + 16, true)).toBe(64);
    expect(view.getUint32(place + 20, true)).toBe(2);
  }
  expect(prepare!.getUint32(8 + 40, true)).toBe(64);
  // The product reads no other rows.
  expect(addressAt(product!, 8 + 40)).toBe(0);
});

describe('what kernels cannot do is refused', () => {
  const refusal = (program: Program): unknown => {
    try {
      requireSizes(program, 'cuda:0');
      return undefined;
    } catch (error) {
      return error;
    }
  };
  const recurrence = (width: number, heads: number): Program => {
    const scope = new OpScope({ seed: 1 });
    const x = scope.input(width);
    const out = scope.value(width);
    const state = scope.state([heads, width / heads, width / heads]);
    scope.emit({ kind: 'wkv7', out, r: x, w: x, k: x, v: x, a: x, b: x, heads, state });
    return scope.program(out);
  };

  test('heads of more than 256 channels', () => {
    expect(refusal(recurrence(512, 2))).toBe(undefined);
    const error = refusal(recurrence(514, 2));
    expect(error).toBeInstanceOf(BackendError);
    expect(error).toMatchObject({ code: 'UNSUPPORTED_OP', expected: 256, got: 257 });
    expect((error as Error).message).toContain('Op 1, wkv7');
  });

  test('more mixes, or more numbers to find, than a kernel has room for', () => {
    const scope = new OpScope({ seed: 1 });
    const x = scope.input(8);
    const mixes = Array.from({ length: 9 }, () => ({
      out: scope.value(8),
      by: { weight: scope.vector([8], normal()) },
    }));
    const norm = {
      weight: scope.vector([8], normal()),
      bias: scope.vector([8], normal()),
      groups: 1,
      eps: 1e-5,
    };
    const state = scope.state([8]);
    scope.emit({ kind: 'shift-mix', x, norm, state, toward: 'previous', mixes });
    expect(refusal(scope.program(mixes[0]!.out))).toMatchObject({ expected: 8, got: 9 });

    const other = new OpScope({ seed: 1 });
    const wide = other.wantedInput(5000);
    const out = other.value(2 * 3000 + 1, 'R');
    other.emit({ kind: 'top-k', out, x: wide, count: 3000 });
    expect(refusal(other.program(out))).toMatchObject({ expected: 2048, got: 3000 });
  });

  test('a matrix of more rows than a launch has blocks for', () => {
    const scope = new OpScope({ seed: 1 });
    const x = scope.wantedInput(1024);
    const out = scope.value(300_000, 'R');
    scope.emit({ kind: 'matmul', out, x, weight: 'huge' });
    const program: Program = {
      ...scope.program(out),
      weights: [...scope.program(out).weights, { name: 'huge', shape: [300_000, 1024] }],
    };
    expect(() => plan(program, { limits })).toThrow(
      expect.objectContaining({ code: 'UNSUPPORTED_OP', expected: 65_535, got: 75_000 }),
    );
  });
});
