import type { RwkvConfig } from '@rwkv-ts/model';
import { buildProgram } from '@rwkv-ts/model';
import { describe, expect, it } from 'vitest';
import { encoded, officialPth, officialTensors } from '../test/layout-writers/index.js';
import { openBytes } from '../test/open.js';
import {
  type Dense,
  randomDense,
  randomModel,
  randomNumbers,
  tinyConfig,
} from '../test/random-model.js';
import { writePth, writeSafetensorsRaw } from '../test/writers/index.js';
import { memorySource } from './sources/index.js';
import { openStateFile, type OpenStateFileOptions } from './state-file.js';

const [layers, heads, size] = [3, 4, 8];
const random = randomNumbers(5);
/** As official trainers store them: [head][value][key]. */
const stored = Array.from({ length: layers }, () => randomDense([heads, size, size], random));
const tensors = (states: readonly Dense[] = stored) =>
  states.map((state, layer) => ({ name: `blocks.${layer}.att.time_state`, ...state }));
const pth = writePth({ tensors: encoded(tensors()) });

function at(dense: Dense, head: number, row: number, column: number): number {
  return dense.values[(head * size + row) * size + column]!;
}

function open(bytes: Uint8Array, options: OpenStateFileOptions, name = 'state.pth') {
  return openStateFile(memorySource(bytes, { name }), options);
}

/** Whether S[h][first][second] of the program is the file's [h][value][key] with (value, key) = `order`. */
function expectOrder(
  states: ReadonlyMap<string, Float32Array>,
  order: 'value-key' | 'key-value',
): void {
  for (let layer = 0; layer < layers; layer++) {
    const wkv = states.get(`blocks.${layer}.att.wkv`)!;
    for (const [head, value, key] of [
      [0, 1, 2],
      [3, 7, 0],
      [2, 4, 5],
    ] as const) {
      const [first, second] = order === 'value-key' ? [value, key] : [key, value];
      expect(wkv[(head * size + first) * size + second]).toBe(at(stored[layer]!, head, value, key));
    }
  }
}

describe('openStateFile', () => {
  it.each(['5.2', '6'] as const)(
    'turns the states of v%s, which runs [key][value]',
    async (version) => {
      expectOrder(await open(pth, { config: tinyConfig(version) }), 'key-value');
    },
  );
  it.each(['7', '7a'] as const)(
    'keeps the states of v%s, which runs [value][key]',
    async (version) => {
      expectOrder(await open(pth, { config: tinyConfig(version) }), 'value-key');
    },
  );
  it('does the opposite where told so, or where web-rwkv turned the file already', async () => {
    expectOrder(
      await open(pth, { config: tinyConfig('7'), orientation: 'key-value' }),
      'key-value',
    );
    expectOrder(
      await open(pth, { config: tinyConfig('6'), orientation: 'key-value' }),
      'value-key',
    );
    const safetensors = writeSafetensorsRaw({ tensors: encoded(tensors()) });
    for (const name of ['state.st', 'https://host/state.st?download=true'])
      expectOrder(await open(safetensors, { config: tinyConfig('6') }, name), 'value-key');
    expectOrder(
      await open(safetensors, { config: tinyConfig('6') }, 'state.safetensors'),
      'key-value',
    );
  });
  it('gives states of the names and sizes that the program has', async () => {
    const config = tinyConfig('7');
    const states = await open(pth, { config });
    const specs = new Map(buildProgram(config).states.map(({ name, shape }) => [name, shape]));
    for (const [name, values] of states) {
      expect(values.length).toBe(specs.get(name)?.reduce((product, each) => product * each, 1));
    }
    expect(states.size).toBe(layers);
  });

  it('reads states that sit inside a model file', async () => {
    const model = randomModel(tinyConfig('7'));
    const bytes = writePth({ tensors: encoded([...officialTensors(model), ...tensors()]) });
    await using file = await openBytes(bytes);
    expectOrder(await file.initialStates!(), 'value-key');
    expectOrder(await file.initialStates!({ orientation: 'key-value' }), 'key-value');
    await using plain = await openBytes(officialPth(model));
    expect(plain.initialStates).toBeUndefined();
  });

  it('refuses two states of one layer, in a state file and in a model', async () => {
    const [first] = tensors();
    const twice = [...tensors(), { ...first!, name: `model.${first!.name}` }];
    const file = writePth({ tensors: encoded(twice) });
    await expect(open(file, { config: tinyConfig('7') })).rejects.toMatchObject({
      code: 'TENSOR_DUPLICATE',
    });
    const model = officialTensors(randomModel(tinyConfig('7')));
    const other = { ...first!, name: first!.name.replace('blocks.0', 'blocks.00') };
    const inModel = writePth({ tensors: encoded([...model, ...tensors(), other]) });
    await expect(openBytes(inModel)).rejects.toMatchObject({ code: 'TENSOR_DUPLICATE' });
  });

  const wrong: { title: string; bytes: Uint8Array; config: RwkvConfig; says: RegExp }[] = [
    {
      title: 'too few layers',
      bytes: writePth({ tensors: encoded(tensors().slice(1)) }),
      config: tinyConfig('7'),
      says: /2 layers, the model has 3/,
    },
    {
      title: 'another head size',
      bytes: pth,
      config: tinyConfig('7', { heads: 2, headSize: 16 }),
      says: /\[4, 8, 8\].*\[2, 16, 16\]/,
    },
    { title: 'v4', bytes: pth, config: tinyConfig('4'), says: /RWKV-4 model has none/ },
    {
      title: 'a model',
      bytes: officialPth(randomModel(tinyConfig('4'))),
      config: tinyConfig('7'),
      says: /no blocks\.i\.att\.time_state/,
    },
  ];
  it.each(wrong)('refuses $title', async ({ bytes, config, says }) => {
    await expect(open(bytes, { config })).rejects.toMatchObject({ code: 'STATE_FILE_INVALID' });
    await expect(open(bytes, { config })).rejects.toThrow(says);
  });
  it('refuses a NaN', async () => {
    const values = stored[0]!.values.slice();
    values[9] = NaN;
    const bytes = writePth({
      tensors: encoded(tensors([{ ...stored[0]!, values }, stored[1]!, stored[2]!])),
    });
    await expect(open(bytes, { config: tinyConfig('7') })).rejects.toMatchObject({
      code: 'TENSOR_VALUES',
    });
  });
});

describe('a whole state of web-rwkv', () => {
  const channels = 32;
  const dump = randomDense([layers, size + 2, channels], random);
  const bytes = writeSafetensorsRaw({ tensors: encoded([{ name: 'state', ...dump }]) });
  const row = (layer: number, index: number) =>
    dump.values.slice(
      (layer * (size + 2) + index) * channels,
      (layer * (size + 2) + index + 1) * channels,
    );

  it.each(['6', '7'] as const)('of v%s gives shifts and S, key by row', async (version) => {
    const states = await open(bytes, { config: tinyConfig(version) });
    expect(states.size).toBe(3 * layers);
    expect(states.get('blocks.1.att.shift')).toEqual(row(1, 0));
    expect(states.get('blocks.2.ffn.shift')).toEqual(row(2, size + 1));
    const wkv = states.get('blocks.1.att.wkv')!;
    const [head, value, key] = [2, 5, 3];
    const index = version === '7' ? value * size + key : key * size + value;
    expect(wkv[head * size * size + index]).toBe(row(1, 1 + key)[head * size + value]);
  });
  it('of v4 gives the three sums', async () => {
    const own = randomDense([5 * layers, channels], random);
    const file = writeSafetensorsRaw({ tensors: encoded([{ name: 'state', ...own }]) });
    const states = await open(file, { config: tinyConfig('4') });
    expect(states.get('blocks.1.att.wkv')).toEqual(own.values.slice(6 * channels, 9 * channels));
    expect(states.get('blocks.2.ffn.shift')).toEqual(own.values.slice(14 * channels));
  });
  it('of another model is refused', async () => {
    await expect(open(bytes, { config: tinyConfig('4') })).rejects.toThrow(
      /\[3, 10, 32\].*\[3, 5, 32\]/,
    );
  });
});
