/** Changes to the tensors of a model file, and what each must lead to. */
import { f16ToF32, f32ToF16, type FormatName } from '@rwkv-ts/formats';
import type { RawDense } from '../fake-raw-file.js';
import type { Random } from './random.js';

/**
 * `error`: it must be refused. `same`: it must load, with the unchanged numbers. `sameOrError`: if it loads, then with the
 * unchanged numbers. `spoilt`: refused for its numbers.
 */
export type Expectation = 'error' | 'same' | 'sameOrError' | 'spoilt';

export interface MutatedModel {
  readonly tensors: readonly RawDense[];
  readonly expect: Expectation;
  readonly label: string;
}

type ModelMutation = (tensors: readonly RawDense[], random: Random) => MutatedModel;

/** Tensors that files may hold and no model uses. */
const unused = /^(?:blocks|blk|model\.layers)\.0\.(?:att\.v|time_mix_v)[012](?:\.weight)?$/;

function count(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

/** One tensor replaced by what `change` makes of it; a used one. */
function withOne(
  tensors: readonly RawDense[],
  random: Random,
  change: (tensor: RawDense) => RawDense,
): { tensors: readonly RawDense[]; name: string } {
  const { name } = random.pick(tensors.filter((each) => !unused.test(each.name)));
  return { tensors: tensors.map((each) => (each.name === name ? change(each) : each)), name };
}

function resized(tensor: RawDense, shape: readonly number[]): RawDense {
  const values = new Float32Array(count(shape));
  for (let i = 0; i < values.length; i++) values[i] = tensor.values[i % tensor.values.length]!;
  return { ...tensor, shape, values };
}

const remove: ModelMutation = (tensors, random) => {
  const { name } = random.pick(tensors);
  return {
    tensors: tensors.filter((each) => each.name !== name),
    expect: unused.test(name) ? 'same' : 'error',
    label: `without ${name}`,
  };
};

const spoil: ModelMutation = (tensors, random) => {
  const bad = random.pick([NaN, Infinity, -Infinity]);
  const changed = withOne(tensors, random, (tensor) => {
    const values = tensor.values.slice();
    values[random.below(values.length)] = bad;
    return { ...tensor, values };
  });
  return { tensors: changed.tensors, expect: 'spoilt', label: `${bad} in ${changed.name}` };
};

/** A second tensor that means the same as a first, by every way that layouts spell names. */
const twin: ModelMutation = (tensors, random) => {
  const taken = new Set(tensors.map(({ name }) => name));
  const respelt = random.pick<(name: string) => string>([
    (name) => `${name}.weight`,
    (name) => `model.${name}`,
    (name) => `_forward_module.${name}`,
    (name) => name.replace(/\.(\d+)\./, '.0$1.'),
    (name) => name.replace('time_first', 'time_faaaa'),
    (name) => name.replace('time_faaaa', 'time_first'),
    (name) => name.replace(/^(?:rwkv7?|model)\./, ''),
    (name) => name.replace('blocks.', 'layers.'),
    (name) => name.replace('.att.', '.attention.').replace('.ffn.', '.feed_forward.'),
    (name) => name.toUpperCase(),
  ]);
  const candidates = tensors.filter(({ name }) => !taken.has(respelt(name)));
  if (candidates.length === 0) return remove(tensors, random);
  const tensor = random.pick(candidates);
  const name = respelt(tensor.name);
  return { tensors: [...tensors, { ...tensor, name }], expect: 'error', label: `also ${name}` };
};

const extra: ModelMutation = (tensors, random) => {
  const { name } = random.pick(tensors);
  const added = random.pick([
    'x',
    '',
    '__proto__',
    'constructor',
    name.replace(/(\.\d+\.).*/, '$1__proto__'),
    name.replace(/(\.\d+\.).*/, '$1toString'),
    `${name}.absmax`,
    name.replace(/\d+/, '9999'),
    'blocks.0.att',
    'optimizer.state',
  ]);
  if (tensors.some((each) => each.name === added)) return remove(tensors, random);
  const tensor: RawDense = { name: added, shape: [2], values: new Float32Array(2) };
  return { tensors: [...tensors, tensor], expect: 'error', label: `extra ${added}` };
};

const integers = ['bool', 'u8', 'i8', 'i16', 'i32', 'i64'] as const satisfies FormatName[];
const widths = { bool: 1, u8: 1, i8: 1, i16: 2, i32: 4, i64: 8 } as const;

const counter: ModelMutation = (tensors, random) => {
  const format = random.pick(integers);
  const raw = { format, bytes: new Uint8Array(3 * widths[format]) };
  const tensor: RawDense = { name: 'positions', shape: [3], values: new Float32Array(3), raw };
  return { tensors: [...tensors, tensor], expect: 'same', label: `positions of ${format}` };
};

const quantisedElsewhere: ModelMutation = (tensors, random) => {
  const format = random.pick(integers);
  const changed = withOne(tensors, random, (tensor) => {
    const bytes = new Uint8Array(tensor.values.length * widths[format]);
    return { ...tensor, raw: { format, bytes } };
  });
  return { tensors: changed.tensors, expect: 'error', label: `${changed.name} in ${format}` };
};

const otherFormat: ModelMutation = (tensors, random) => {
  const isHalf = (value: number): boolean => Object.is(f16ToF32(f32ToF16(value)), value);
  const changed = withOne(tensors, random, (tensor) => ({
    ...tensor,
    format: tensor.values.every(isHalf) ? 'f16' : 'f32',
  }));
  return { tensors: changed.tensors, expect: 'same', label: `${changed.name} in another format` };
};

/** The same numbers in the same order under another shape. */
const reshape: ModelMutation = (tensors, random) => {
  const changed = withOne(tensors, random, (tensor) => {
    const total = count(tensor.shape);
    const divisor = 1 + random.below(total);
    const shapes = [
      [1, ...tensor.shape],
      [1, 1, 1, ...tensor.shape],
      [...tensor.shape, 1],
      [...tensor.shape].reverse(),
      [total],
      [1, total],
      ...(total % divisor === 0 ? [[divisor, total / divisor]] : []),
    ];
    return { ...tensor, shape: random.pick(shapes) };
  });
  return { tensors: changed.tensors, expect: 'sameOrError', label: `${changed.name} reshaped` };
};

const resize: ModelMutation = (tensors, random) => {
  const changed = withOne(tensors, random, (tensor) => {
    const shape = [...tensor.shape];
    const axis = random.below(shape.length);
    const size = shape[axis]!;
    shape[axis] = random.pick([0, size + 1, 2 * size, Math.max(0, size - 1)]);
    return resized(tensor, shape);
  });
  return { tensors: changed.tensors, expect: 'error', label: `${changed.name} resized` };
};

const shuffle: ModelMutation = (tensors, random) => {
  const order = tensors.map((tensor) => ({ tensor, at: random.below(2 ** 31) }));
  order.sort((a, b) => a.at - b.at);
  return { tensors: order.map(({ tensor }) => tensor), expect: 'same', label: 'shuffled' };
};

const mutations: readonly ModelMutation[] = [
  remove,
  spoil,
  twin,
  twin,
  extra,
  counter,
  quantisedElsewhere,
  otherFormat,
  reshape,
  reshape,
  resize,
  resize,
  shuffle,
];

export function mutateModel(tensors: readonly RawDense[], random: Random): MutatedModel {
  return random.pick(mutations)(tensors, random);
}
