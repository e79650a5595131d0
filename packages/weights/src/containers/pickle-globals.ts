/** The names a pickled state dict may mention, and what calling each means. Nothing else can be named, let alone called. */
import { invalid, pickleRefused, shown } from './failures.js';
import { kindOf } from './pickle-values.js';
import type {
  PickleGlobal,
  PickleSequence,
  PickleStorage,
  PickleTensor,
  PickleValue,
} from './pickle-values.js';

/** PyTorch's storage classes and the format of their numbers. */
const storages: ReadonlyMap<string, string> = new Map([
  ['torch.BFloat16Storage', 'bf16'],
  ['torch.HalfStorage', 'f16'],
  ['torch.FloatStorage', 'f32'],
  ['torch.DoubleStorage', 'f64'],
  ['torch.LongStorage', 'i64'],
  ['torch.IntStorage', 'i32'],
  ['torch.ShortStorage', 'i16'],
  ['torch.CharStorage', 'i8'],
  ['torch.ByteStorage', 'u8'],
  ['torch.BoolStorage', 'bool'],
]);

type Call = (args: readonly PickleValue[], file: string) => PickleValue;

const calls: ReadonlyMap<string, Call> = new Map<string, Call>([
  ['collections.OrderedDict', orderedDict],
  ['torch._utils._rebuild_tensor_v2', rebuildTensor],
  ['torch._utils._rebuild_parameter', rebuildParameter],
  ['torch.Size', size],
]);

/** @throws WeightsError `PICKLE_REFUSED` */
export function findGlobal(module: string, name: string, file: string): PickleGlobal {
  const path = `${module}.${name}`;
  if (calls.has(path) || storages.has(path)) return { kind: 'global', name: path };
  throw pickleRefused(
    file,
    `its pickle asks for ${shown(path)}, which a file of weights does not need; it may be a whole pickled module or optimizer, or hostile. Save \`model.state_dict()\` instead`,
    { expected: [...calls.keys(), ...storages.keys()], got: path },
  );
}

/** @throws WeightsError `PICKLE_REFUSED`, `CONTAINER_INVALID` */
export function callGlobal(callee: PickleValue, args: PickleValue, file: string): PickleValue {
  if (!isKind(callee, 'global')) throw pickleRefused(file, `its pickle calls ${kindOf(callee)}`);
  if (!isKind(args, 'tuple'))
    throw invalid(file, `its pickle calls ${callee.name} with ${kindOf(args)}`);
  const call = calls.get(callee.name);
  if (call === undefined)
    throw pickleRefused(file, `its pickle calls ${callee.name}, which is only a type here`);
  return call(args.items, file);
}

/** `('storage', class, key, location, count)`. The location (a device) does not matter. */
export function storageOf(id: PickleValue, file: string): PickleStorage {
  const items = isKind(id, 'tuple') ? id.items : [];
  const [tag, type, key, , count] = items;
  const format = type !== undefined && isKind(type, 'global') ? storages.get(type.name) : undefined;
  if (
    items.length !== 5 ||
    tag !== 'storage' ||
    typeof key !== 'string' ||
    format === undefined ||
    !isSize(count)
  ) {
    throw invalid(
      file,
      'its pickle has a persistent id that is not (storage, class, key, location, count)',
    );
  }
  return { kind: 'storage', format, key, count };
}

function orderedDict(args: readonly PickleValue[], file: string): PickleValue {
  if (args.length > 0)
    throw pickleRefused(file, 'its pickle fills an OrderedDict through its constructor');
  return { kind: 'dict', entries: new Map() };
}

/** `(storage, offset, size, stride, requires_grad, backward_hooks[, metadata])` */
function rebuildTensor(args: readonly PickleValue[], file: string): PickleTensor {
  const [storage, offset, shape, strides] = args;
  const shapeNumbers = sizesOf(shape);
  const strideNumbers = sizesOf(strides);
  if (
    args.length < 6 ||
    args.length > 7 ||
    storage === undefined ||
    !isKind(storage, 'storage') ||
    !isSize(offset) ||
    shapeNumbers === undefined ||
    strideNumbers?.length !== shapeNumbers.length
  ) {
    throw invalid(
      file,
      'its pickle builds a tensor that is not (storage, offset, size, stride, …)',
    );
  }
  return { kind: 'tensor', storage, offset, shape: shapeNumbers, strides: strideNumbers };
}

/** `(data, requires_grad, backward_hooks)`: the same numbers. */
function rebuildParameter(args: readonly PickleValue[], file: string): PickleValue {
  const [tensor] = args;
  if (tensor === undefined || !isKind(tensor, 'tensor'))
    throw invalid(file, 'its pickle builds a parameter of no tensor');
  return tensor;
}

function size(args: readonly PickleValue[], file: string): PickleValue {
  const [items] = args;
  if (args.length !== 1 || items === undefined || sizesOf(items) === undefined) {
    throw invalid(file, 'its pickle builds a torch.Size of something else than a tuple of sizes');
  }
  return items;
}

function sizesOf(value: PickleValue | undefined): readonly number[] | undefined {
  if (value === undefined || !isKind(value, 'tuple')) return undefined;
  return value.items.every(isSize) ? [...value.items] : undefined;
}

function isSize(value: PickleValue | undefined): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

interface Kinds {
  global: PickleGlobal;
  tuple: PickleSequence;
  storage: PickleStorage;
  tensor: PickleTensor;
}

function isKind<Kind extends keyof Kinds>(value: PickleValue, kind: Kind): value is Kinds[Kind] {
  return typeof value === 'object' && value !== null && value.kind === kind;
}
