/** What the addon makes of arguments that src/ never sends, and of sizes that few models have. */
import { afterAll, describe, expect, test } from 'vitest';
import { loadNative } from '../src/load-native.js';
import { type NativeHandle, weightFormats } from '../src/native.js';

const addon = loadNative();
const engine = addon.createEngine(addon.instructions()[0]!, 2, false, 0);

afterAll(() => {
  addon.stopEngine(engine);
});

const random = (count: number) =>
  Uint8Array.from({ length: count }, (_, index) => (index * 2654435761) >>> 13);

const createStates = async (
  sizes: readonly number[],
  initial: readonly number[],
  { slots, repeats }: { slots: number; repeats?: readonly number[] },
): Promise<NativeHandle> => {
  const counts = repeats === undefined ? undefined : Float64Array.from(repeats);
  const states = addon.createStates(
    Float64Array.from(sizes),
    Float32Array.from(initial),
    slots,
    counts,
  );
  await addon.allocateStates(engine, states);
  return states;
};

describe('a vector', () => {
  const upload = async (
    format: string,
    { shape, bytes }: { shape: [number, number]; bytes: Uint8Array },
  ) => {
    const weights = addon.createWeights();
    const code = weightFormats.findIndex((name) => name === format);
    const index = await addon.addWeight(engine, weights, code, ...shape, true, 0, bytes);
    const out = new Uint8Array(shape[0] * shape[1] * 4);
    return new Float32Array(
      (await addon.readPacked(engine, weights, index, 0, out)).slice().buffer,
    );
  };

  /** Every finite half-precision number there is, in an order that has all of them in each piece sooner or later. */
  const halves = (count: number) =>
    Uint16Array.from(
      { length: count },
      (_, index) => ((index * 40503) % 31744) | ((index & 1) << 15),
    );
  const valueOf = (half: number) => {
    const [exponent, fraction] = [(half >> 10) & 31, half & 1023];
    const size = exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25);
    return half >> 15 ? -size : size;
  };

  test.each([
    { rows: 1, columns: 3 * 4096 + 1234 },
    { rows: 3, columns: 4096 + 7 },
    { rows: 5, columns: 4096 },
    { rows: 2, columns: 5 },
  ])('of f16, $rows times $columns, is what it was', async ({ rows, columns }) => {
    const numbers = halves(rows * columns);
    const bytes = new Uint8Array(numbers.buffer);
    const got = await upload('f16', { shape: [rows, columns], bytes });
    expect(got).toEqual(Float32Array.from(numbers, valueOf));
  });

  test.each(['q8_0', 'q5_1', 'q6_k'])(
    'of %s is the same in pieces of any length',
    async (format) => {
      const blocks = { q8_0: [32, 34], q5_1: [32, 24], q6_k: [256, 210] }[format]!;
      const [columns, perBlock] = [blocks[0]! * 160, blocks[1]!];
      const bytes = random(160 * perBlock);
      const whole = await upload(format, { shape: [1, columns], bytes });
      // Rows shorter than a piece are unpacked one by one.
      const rows = await upload(format, { shape: [160, blocks[0]!], bytes });
      expect(new Uint8Array(whole.buffer)).toEqual(new Uint8Array(rows.buffer));
    },
  );
});

describe('states', () => {
  test('begin with the numbers given, each as often as said', async () => {
    const states = await createStates([6, 1, 5], [1, -0, NaN, 7, 2], {
      slots: 3,
      repeats: [2, 1, 5, 0, 4],
    });
    const want = Float32Array.of(1, 1, -0, NaN, NaN, NaN, NaN, NaN, 2, 2, 2, 2);
    for (const slot of [0, 1, 2]) {
      const read = await addon.readState(engine, states, slot, new Uint8Array(48));
      expect(new Float32Array(read.buffer)).toEqual(want);
    }
    await addon.writeState(engine, states, 1, random(48));
    await addon.copyState(engine, states, 1, 2);
    expect(await addon.readState(engine, states, 2, new Uint8Array(48))).toEqual(random(48));
    await addon.resetState(engine, states, 2);
    const reset = await addon.readState(engine, states, 2, new Uint8Array(48));
    expect(new Float32Array(reset.buffer)).toEqual(want);
  });

  test('of nothing are states, too', async () => {
    const states = await createStates([], [], { slots: 2 });
    expect(await addon.readState(engine, states, 1, new Uint8Array(0))).toEqual(new Uint8Array(0));
  });

  test('of which nothing fits the rest are refused', () => {
    const create = (sizes: number[], initial: number, repeats?: number[]) => () =>
      addon.createStates(
        Float64Array.from(sizes),
        new Float32Array(initial),
        1,
        repeats && Float64Array.from(repeats),
      );
    for (const wrong of [
      create([4], 3),
      create([4], 2, [2, 3]),
      create([4], 2, [4]),
      create([4], 2, [2 ** 53 - 1, 5]),
      create([NaN], 0),
      create([-1], 0),
      create([1.5], 1),
    ]) {
      expect(wrong).toThrow(TypeError);
    }
  });

  test('without memory change nothing, and no program is bound to them', async () => {
    const states = addon.createStates(Float64Array.of(4), new Float32Array(4), 2);
    const calls = () => [
      addon.resetState(engine, states, 0),
      addon.copyState(engine, states, 0, 1),
      addon.writeState(engine, states, 1, new Uint8Array(16)),
      addon.readState(engine, states, 1, new Uint8Array(16)),
      addon.compile(engine, addon.createWeights(), states, Float64Array.of(0), 0, 0, 1, 1, 1),
    ];
    const refused = async () => {
      for (const call of calls()) await expect(call).rejects.toMatchObject({ code: 'RELEASED' });
    };
    await refused();
    await addon.allocateStates(engine, states);
    await Promise.all(calls());
    await expect(addon.allocateStates(engine, states)).rejects.toMatchObject({ code: 'INTERNAL' });
    await addon.releaseStates(engine, states);
    await refused();
  });
});

describe('a program', () => {
  const noOperations = Float64Array.of(0);
  const compile = async (limits: [number, number, number]) => {
    const states = await createStates([1], [0], { slots: 8 });
    const weights = addon.createWeights();
    return addon.compile(engine, weights, states, noOperations, 0, 0, ...limits);
  };
  const words = (...numbers: number[]) => Uint32Array.from(numbers);
  type Run = Required<Parameters<typeof addon.run>>;
  const batch: Run extends [unknown, unknown, ...infer Rest, boolean] ? Rest : never = [
    words(1, 2, 3),
    words(0, 2, 3),
    words(0, 1),
    words(1, 2),
    words(0),
    new Float32Array(4),
    new Float32Array(0),
  ];

  test('of limits beyond 32 bits runs', async () => {
    const { program } = await compile([2 ** 32 + 2, 2 ** 33 + 1, 2 ** 40 + 1]);
    await addon.run(engine, program, ...batch);
  });

  /** As long as it says, and of another kind than it says. */
  const disguise = <Array extends object>(given: Array, as: new (count: number) => object) =>
    Object.setPrototypeOf(new as(256), Object.getPrototypeOf(given) as object) as Array;

  test.each([0, 1, 2, 3, 4, 5, 6])('argument %d of a run in disguise is refused', async (at) => {
    const { program } = await compile([256, 256, 256]);
    await addon.run(engine, program, ...batch);
    for (const as of [Uint8Array, Float64Array]) {
      const disguised = batch.map((array, index) =>
        index === at ? disguise(array!, as) : array,
      ) as unknown as typeof batch;
      expect(() => addon.run(engine, program, ...disguised)).toThrow(/must be a/);
    }
  });

  test('other arrays in disguise are refused', async () => {
    const states = await createStates([4], [0, 0, 0, 0], { slots: 1 });
    const weights = addon.createWeights();
    const bytes = (count: number) =>
      Object.setPrototypeOf(new Float64Array(count / 8), Uint8Array.prototype) as Uint8Array;
    const doubles = Object.setPrototypeOf(
      new Uint8Array(8),
      Float64Array.prototype,
    ) as Float64Array;
    const floats = Object.setPrototypeOf(new Uint8Array(8), Float32Array.prototype) as Float32Array;
    for (const wrong of [
      () => addon.writeState(engine, states, 0, bytes(16)),
      () => addon.readState(engine, states, 0, bytes(16)),
      () => addon.addWeight(engine, weights, 0, 1, 4, true, 0, bytes(16)),
      () => addon.readPacked(engine, weights, 0, 0, bytes(16)),
      () => addon.compile(engine, weights, states, doubles, 0, 0, 1, 1, 1),
      () => addon.createStates(doubles, new Float32Array(8), 1),
      () => addon.createStates(Float64Array.of(8), floats, 1),
      () => addon.createStates(Float64Array.of(8), new Float32Array(8), 1, doubles),
    ]) {
      expect(wrong).toThrow(TypeError);
    }
  });
});
