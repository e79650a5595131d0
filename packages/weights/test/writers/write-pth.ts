import * as p from './pickle.js';
import type { TestTensor } from './tensor.js';
import { writeZip } from './zip.js';
import type { ZipFile, ZipOptions } from './zip.js';

/** Where a tensor lies in a storage of its own choice; by default it has one for itself and is contiguous. */
export interface PthView {
  /** Tensors that name the same storage share it. */
  readonly storage: string;
  /** In numbers. */
  readonly offset: number;
  readonly strides: readonly number[];
}

export interface PthTensor extends TestTensor {
  readonly view?: PthView;
  /** Saved as `torch.nn.Parameter`. */
  readonly as?: 'tensor' | 'parameter';
}

export interface PthContents {
  readonly tensors: readonly PthTensor[];
  /** Bytes of the storages that views name. */
  readonly storages?: ReadonlyMap<string, Uint8Array>;
  /** Scalars beside the tensors. */
  readonly scalars?: Readonly<Record<string, string | number | boolean>>;
  readonly dict?: 'dict' | 'OrderedDict';
  /** Wraps the dict: `{"state_dict": …, "epoch": 3}`. */
  readonly wrapper?: string;
  /** Tensors beside the wrapped dict: the state of a random generator, for example. */
  readonly beside?: readonly TestTensor[];
  readonly protocol?: 2 | 3 | 4 | 5;
  /** The folder in the archive. Default `archive`. */
  readonly prefix?: string;
  readonly method?: 'stored' | 'deflated';
  readonly byteOrder?: string;
  readonly extraFiles?: readonly ZipFile[];
  readonly zip?: ZipOptions;
}

const storageClasses: Readonly<Record<string, string>> = {
  bf16: 'BFloat16Storage',
  f16: 'HalfStorage',
  f32: 'FloatStorage',
  f64: 'DoubleStorage',
  i64: 'LongStorage',
  i32: 'IntStorage',
  i16: 'ShortStorage',
  i8: 'CharStorage',
  u8: 'ByteStorage',
  bool: 'BoolStorage',
};
const itemBytes: Readonly<Record<string, number>> = {
  bf16: 2,
  f16: 2,
  f32: 4,
  f64: 8,
  i64: 8,
  i32: 4,
  i16: 2,
  i8: 1,
  u8: 1,
  bool: 1,
};

/** A file as `torch.save` of PyTorch 1.6 and later writes it. */
export function writePth(contents: PthContents): Uint8Array<ArrayBuffer> {
  const { tensors, prefix = 'archive', method = 'stored', byteOrder, zip } = contents;
  const storages = new Map(contents.storages);
  const entry = (name: string, bytes: Uint8Array): ZipFile => ({
    name: `${prefix}/${name}`,
    bytes,
    method,
  });
  for (const [i, { bytes, view }] of tensors.entries()) {
    if (view === undefined) storages.set(String(i), bytes);
  }
  for (const [i, { bytes }] of (contents.beside ?? []).entries()) storages.set(`beside${i}`, bytes);
  const text = (value: string) => new TextEncoder().encode(value);
  return writeZip(
    [
      entry('data.pkl', pickleOf(contents, storages)),
      ...(byteOrder === undefined ? [] : [entry('byteorder', text(byteOrder))]),
      ...[...storages].map(([key, bytes]) => entry(`data/${key}`, bytes)),
      entry('version', text('3\n')),
      ...(contents.extraFiles ?? []),
    ],
    { alignment: 64, ...zip },
  );
}

/** The pickle alone, for tests that put something else around it. */
export function pickleOf(
  { tensors, scalars = {}, dict = 'OrderedDict', wrapper, beside = [], protocol = 2 }: PthContents,
  storages: ReadonlyMap<string, Uint8Array>,
): Uint8Array<ArrayBuffer> {
  const named = protocol >= 4 ? p.stackGlobal : p.global;
  const pairs = tensors.map((tensor, i): [Uint8Array, Uint8Array] => [
    p.text(tensor.name),
    pickledTensor({ tensor, key: String(i), storages, named }),
  ]);
  for (const [key, value] of Object.entries(scalars)) pairs.push([p.text(key), scalar(value)]);
  const empty = dict === 'dict' ? p.emptyDict : p.call(named('collections', 'OrderedDict'));
  const inner = p.join(empty, p.items(pairs));
  if (wrapper === undefined) return p.pickle(protocol, inner);
  const outer: [Uint8Array, Uint8Array][] = [
    [p.text('epoch'), p.integer(3)],
    ...beside.map((tensor, i): [Uint8Array, Uint8Array] => [
      p.text(tensor.name),
      pickledTensor({ tensor, key: `beside${i}`, storages, named }),
    ]),
    [p.text(wrapper), inner],
  ];
  return p.pickle(protocol, p.emptyDict, p.items(outer));
}

interface Pickled {
  readonly tensor: PthTensor;
  readonly key: string;
  readonly storages: ReadonlyMap<string, Uint8Array>;
  readonly named: (module: string, name: string) => Uint8Array;
}

function pickledTensor({ tensor, key, storages, named }: Pickled): Uint8Array {
  const { format, shape, view } = tensor;
  const storageKey = view?.storage ?? key;
  const storageClass = storageClasses[format];
  const bytes = storages.get(storageKey);
  if (storageClass === undefined || bytes === undefined) {
    throw new TypeError(`cannot write ${tensor.name} as a PyTorch tensor`);
  }
  const storage = p.join(
    p.tuple(
      p.text('storage'),
      named('torch', storageClass),
      p.text(storageKey),
      p.text('cpu'),
      p.integer(bytes.length / itemBytes[format]!),
    ),
    p.persistentId,
  );
  const hooks = p.call(named('collections', 'OrderedDict'));
  const data = p.call(
    named('torch._utils', '_rebuild_tensor_v2'),
    storage,
    p.integer(view?.offset ?? 0),
    p.tuple(...shape.map(p.integer)),
    p.tuple(...(view?.strides ?? contiguousStrides(shape)).map(p.integer)),
    p.truth(false),
    hooks,
  );
  if (tensor.as !== 'parameter') return data;
  return p.call(named('torch._utils', '_rebuild_parameter'), data, p.truth(true), hooks);
}

function scalar(value: string | number | boolean): Uint8Array {
  if (typeof value === 'string') return p.text(value);
  if (typeof value === 'boolean') return p.truth(value);
  return Number.isInteger(value) ? p.integer(value) : p.float(value);
}

/** Numbers between neighbours along each dimension, row-major. */
export function contiguousStrides(shape: readonly number[]): number[] {
  const strides: number[] = [];
  let stride = 1;
  for (const dimension of [...shape].reverse()) {
    strides.unshift(stride);
    stride *= dimension;
  }
  return strides;
}
