import { decode } from '@rwkv-ts/formats';
import { describe, expect, it } from 'vitest';
import type { RawDense } from '../../test/fake-raw-file.js';
import {
  encoded,
  officialPth,
  officialTensors,
  rwkvCppBin,
  rwkvCppTensors,
} from '../../test/layout-writers/index.js';
import { firstDifference, numbersOf, numbersOfDense, openBytes } from '../../test/open.js';
import {
  type Dense,
  randomDense,
  randomModel,
  randomNumbers,
  tinyConfig,
} from '../../test/random-model.js';
import { writePth, writeRwkvCppBin, writeSafetensorsRaw } from '../../test/writers/index.js';
import { memorySource } from '../sources/index.js';
import type { AdapterSpec } from './load-adapter.js';

const model = randomModel(tinyConfig('7'));
const base = officialPth(model);
const random = randomNumbers(11);
const [key, ffn] = ['blocks.1.att.key', 'blocks.2.ffn.key'];

function spec(tensors: readonly RawDense[], rest: Partial<AdapterSpec> = {}): AdapterSpec {
  return {
    source: memorySource(writePth({ tensors: encoded(tensors) }), { name: 'adapter.pth' }),
    ...rest,
  };
}

function named(name: string, dense: Dense): RawDense {
  return { name, ...dense };
}

/** W [out, in] + Σ_k f(o, k, c), in plain f64. */
function plus(
  name: string,
  addend: (row: number, column: number, value: number) => number,
): Float32Array {
  const { shape, values } = model.weights.get(`${name}.weight`)!;
  const width = shape[1]!;
  return values.map((value, i) => value + addend(Math.floor(i / width), i % width, value));
}

async function adapted(adapters: AdapterSpec[]): Promise<Map<string, Float32Array>> {
  await using file = await openBytes(base, { adapters });
  return await numbersOf(file);
}

function expectOnly(
  got: ReadonlyMap<string, Float32Array>,
  changes: Readonly<Record<string, Float32Array>>,
): void {
  for (const [name, values] of numbersOfDense(model)) {
    const expected = changes[name];
    if (!expected) expect(firstDifference(got.get(name), values), name).toBe(-1);
    else
      for (const [i, value] of expected.entries())
        expect(got.get(name)![i], `${name} ${i}`).toBeCloseTo(value, 5);
  }
}

describe('LoRA', () => {
  const rank = 3;
  const pair = (name: string, out: number, width: number) => ({
    a: named(`${name}.lora_A`, randomDense([rank, width], random)),
    b: named(`${name}.lora_B`, randomDense([out, rank], random)),
  });
  const [one, two] = [pair(key, 32, 32), pair(ffn, 64, 32)];
  const product =
    ({ a, b }: { a: Dense; b: Dense }, factor: number) =>
    (row: number, column: number) => {
      let sum = 0;
      for (let k = 0; k < rank; k++)
        sum += b.values[row * rank + k]! * a.values[k * a.shape[1]! + column]!;
      return factor * sum;
    };

  it.each([undefined, 32])('adds (α / r) B A with α %s', async (alpha) => {
    const rest = alpha === undefined ? {} : { alpha };
    const got = await adapted([spec([one.a, one.b, two.a, two.b], rest)]);
    const factor = (alpha ?? 16) / rank;
    expectOnly(got, {
      [`${key}.weight`]: plus(key, product(one, factor)),
      [`${ffn}.weight`]: plus(ffn, product(two, factor)),
    });
  });

  it('is told as f32, also on an f16 base, and unadapted tensors keep their format', async () => {
    const half = writePth({
      tensors: encoded(officialTensors(model).map((each) => ({ ...each, format: 'f16' }))),
    });
    await using file = await openBytes(half, { adapters: [spec([one.a, one.b])] });
    const formats = new Map(file.tensors.map(({ name, format }) => [name, format]));
    expect(formats.get(`${key}.weight`)).toBe('f32');
    expect(formats.get(`${ffn}.weight`)).toBe('f16');
    for await (const { name, format } of file.weights()) expect(format).toBe(formats.get(name));
    expect(file.notes.join()).toContain('1 weights adapted (they become f32)');
  });

  it('may carry a trainer prefix, and web-rwkv its own names and orientation', async () => {
    const prefixed = [one.a, one.b].map((each) => ({ ...each, name: `model.${each.name}` }));
    expectOnly(await adapted([spec(prefixed)]), {
      [`${key}.weight`]: plus(key, product(one, 16 / rank)),
    });
    const turned = randomDense([32, rank], random);
    const a: Dense = {
      shape: [rank, 32],
      values: Float32Array.from(
        { length: rank * 32 },
        (_, i) => turned.values[(i % 32) * rank + Math.floor(i / 32)]!,
      ),
    };
    const st = writeSafetensorsRaw({
      tensors: encoded([named(`${key}.lora.0`, turned), { ...one.b, name: `${key}.lora.1` }]),
    });
    const got = await adapted([{ source: memorySource(st) }]);
    expectOnly(got, { [`${key}.weight`]: plus(key, product({ a, b: one.b }, 16 / rank)) });
  });

  it.each(['.weight', '.default.weight'])('may have names of the PEFT library: %s', async (end) => {
    const renamed = [one.a, one.b].map((each) => ({
      ...each,
      name: `base_model.model.${each.name}${end}`,
    }));
    expectOnly(await adapted([spec(renamed)]), {
      [`${key}.weight`]: plus(key, product(one, 16 / rank)),
    });
  });

  it('several add up, in order', async () => {
    const got = await adapted([spec([one.a, one.b]), spec([one.a, one.b], { alpha: 8 })]);
    expectOnly(got, { [`${key}.weight`]: plus(key, product(one, 24 / rank)) });
  });

  it('PiSSA takes away what it started from', async () => {
    const start = pair(key, 32, 32);
    const initTensors = [
      { ...start.a, name: `model.${key}.init_lora_A` },
      { ...start.b, name: `model.${key}.init_lora_B` },
    ];
    const initSource = memorySource(writePth({ tensors: encoded(initTensors) }));
    const got = await adapted([spec([one.a, one.b], { initSource })]);
    const [after, before] = [product(one, 1), product(start, 1)];
    expectOnly(got, {
      [`${key}.weight`]: plus(key, (row, column) => after(row, column) - before(row, column)),
    });
  });

  const wrong: { title: string; tensors: RawDense[]; says: RegExp }[] = [
    { title: 'half a pair', tensors: [one.a], says: /only one of lora_A and lora_B/ },
    {
      title: 'a wrong rank',
      tensors: [one.a, named(`${key}.lora_B`, randomDense([32, 4], random))],
      says: /\[3, 32\].*\[32, 4\].*\[r, 32\]/,
    },
    {
      title: 'a wrong width',
      tensors: [named(`${key}.lora_A`, randomDense([3, 31], random)), one.b],
      says: /do not fit blocks\.1\.att\.key\.weight \[32, 32\]/,
    },
    {
      title: 'a layer that is not there',
      tensors: [
        { ...one.a, name: 'blocks.9.att.key.lora_A' },
        { ...one.b, name: 'blocks.9.att.key.lora_B' },
      ],
      says: /has no matrix blocks\.9/,
    },
    {
      title: 'a foreign tensor',
      tensors: [named('vision.proj', randomDense([4], random))],
      says: /neither an adapter nor/,
    },
    {
      title: 'a replacement of another size',
      tensors: [named('blocks.0.ffn.x_k', randomDense([1, 1, 16], random))],
      says: /cannot replace blocks\.0\.ffn\.x_k \[32\]/,
    },
  ];
  it.each(wrong)('refuses $title', async ({ tensors, says }) => {
    await expect(openBytes(base, { adapters: [spec(tensors)] })).rejects.toMatchObject({
      code: 'ADAPTER_INVALID',
    });
    await expect(openBytes(base, { adapters: [spec(tensors)] })).rejects.toThrow(says);
  });
  it('refuses NaN when it streams', async () => {
    const values = one.a.values.slice();
    values[3] = NaN;
    await expect(adapted([spec([{ ...one.a, values }, one.b])])).rejects.toMatchObject({
      code: 'TENSOR_VALUES',
    });
  });
});

describe('DiSHA', () => {
  it('bone adds D[c mod r, o]', async () => {
    const d = randomDense([4, 64], random);
    const got = await adapted([spec([named(`${ffn}.disha`, d)])]);
    expectOnly(got, {
      [`${ffn}.weight`]: plus(ffn, (row, column) => d.values[(column % 4) * 64 + row]!),
    });
  });
  it('bat multiplies block by block', async () => {
    const r = 4;
    const d = randomDense([32 / r, r, r], random);
    const got = await adapted([spec([named(`${ffn}.disha`, d)])]);
    const w = model.weights.get(`${ffn}.weight`)!.values;
    // Block (a, b): rows a r … , columns b r …; w_ab += w_ab D_b + D_b.
    const addend = (row: number, column: number): number => {
      const [block, j, i] = [Math.floor(column / r), column % r, row % r];
      const own = (p: number, q: number): number => d.values[(block * r + p) * r + q]!;
      let sum = own(i, j);
      for (let k = 0; k < r; k++) sum += w[row * 32 + block * r + k]! * own(k, j);
      return sum;
    };
    expectOnly(got, { [`${ffn}.weight`]: plus(ffn, addend) });
  });
  it.each([[[3, 64]], [[4, 32]], [[8, 4, 3]], [[7, 4, 4]]])('refuses %o', async (shape) => {
    const tensors = [named(`${ffn}.disha`, randomDense(shape, random))];
    await expect(openBytes(base, { adapters: [spec(tensors)] })).rejects.toMatchObject({
      code: 'ADAPTER_INVALID',
    });
  });
});

describe('other tensors in an adapter', () => {
  it('replace those of the base, pairs in official orientation', async () => {
    const [bias, w1] = [randomDense([32], random), randomDense([32, 5], random)];
    const got = await adapted([spec([named('ln_out.bias', bias), named('blocks.1.att.w1', w1)])]);
    expect(got.get('ln_out.bias')).toEqual(bias.values);
    expect(got.get('blocks.1.att.w1.weight')![2 * 32 + 7]).toBe(w1.values[7 * 5 + 2]);
  });
  it('do not replace a decay that the base stores in another form', async () => {
    const bin = rwkvCppBin(randomModel(tinyConfig('5.2')));
    const adapters = [spec([named('blocks.1.att.time_decay', randomDense([4, 8], random))])];
    await expect(openBytes(bin, { adapters })).rejects.toMatchObject({ code: 'ADAPTER_INVALID' });
  });
  it('may be initial states', async () => {
    const states = [0, 1, 2].map((layer) =>
      named(`blocks.${layer}.att.time_state`, randomDense([4, 8, 8], random)),
    );
    await using file = await openBytes(base, { adapters: [spec(states)] });
    expect((await file.initialStates!()).get('blocks.2.att.wkv')).toEqual(states[2]!.values);
  });
  it('work on a quantised base, which is decoded first', async () => {
    const tensors = rwkvCppTensors(randomModel(tinyConfig('4'))).map((each) =>
      /ffn\.key\.weight/.test(each.name) ? { ...each, format: 'q8_0' as const } : each,
    );
    const bytes = writeRwkvCppBin({
      tensors: encoded(tensors),
      vocabulary: 48,
      width: 32,
      layers: 3,
      format: 'q8_0',
    });
    const d = randomDense([4, 64], random);
    await using plain = await openBytes(bytes);
    await using file = await openBytes(bytes, { adapters: [spec([named(`${ffn}.disha`, d)])] });
    const before = (await numbersOf(plain)).get(`${ffn}.weight`)!;
    for await (const { name, format, bytes: weight } of file.weights()) {
      if (name !== `${ffn}.weight`) continue;
      expect(format).toBe('f32');
      const expected = before.map(
        (value, i) => value + d.values[((i % 32) % 4) * 64 + Math.floor(i / 32)]!,
      );
      expect(decode(format, weight)).toEqual(expected);
    }
  });
});
