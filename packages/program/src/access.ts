/** What each op reads and writes, as tables by op kind: planners, validators and printers need nothing else. */
import {
  BackendError,
  type NormParameters,
  type Op,
  type OpKind,
  type OpOf,
  type Operand,
  type Value,
} from '@rwkv-ts/backend';

/** True for a value, false for a parameter. */
export function isValue(operand: Operand): operand is Value {
  return 'id' in operand;
}

interface OpAccess {
  readonly reads: readonly Value[];
  readonly writes: readonly Value[];
  readonly weights: readonly string[];
  readonly state?: string;
}

type AccessTable = { readonly [K in OpKind]: (op: OpOf<K>) => OpAccess };

const none: readonly never[] = [];
const present = <Item>(...items: readonly (Item | undefined)[]): Item[] =>
  items.filter((item) => item !== undefined);
const valuesIn = (...operands: readonly Operand[]): Value[] => operands.filter(isValue);
const weightsIn = (...operands: readonly Operand[]): string[] =>
  operands.flatMap((operand) => (isValue(operand) ? [] : [operand.weight]));
const normWeights = (norm: NormParameters): string[] => [norm.weight, norm.bias];

const rowwise = (op: { readonly x: Value; readonly out: Value }): OpAccess => ({
  reads: [op.x],
  writes: [op.out],
  weights: none,
});
const pairwise = (op: {
  readonly x: Value;
  readonly y: Operand;
  readonly out: Value;
}): OpAccess => ({
  reads: [op.x, ...valuesIn(op.y)],
  writes: [op.out],
  weights: weightsIn(op.y),
});

const table: AccessTable = {
  embed: (op) => ({ reads: none, writes: [op.out], weights: [op.table] }),
  'select-rows': rowwise,
  norm: (op) => ({ reads: [op.x], writes: [op.out], weights: normWeights(op) }),
  'l2-norm': rowwise,
  shift: (op) => ({ ...rowwise(op), state: op.state }),
  lerp: (op) => ({
    reads: [op.x, op.y, ...valuesIn(op.by)],
    writes: [op.out],
    weights: weightsIn(op.by),
  }),
  matmul: (op) => ({ reads: [op.x], writes: [op.out], weights: [op.weight] }),
  'row-matmul': (op) => ({ reads: [op.x, op.m], writes: [op.out], weights: none }),
  add: pairwise,
  mul: pairwise,
  scale: rowwise,
  activate: rowwise,
  slice: rowwise,
  'top-k': rowwise,
  wkv4: (op) => ({
    reads: [op.k, op.v],
    writes: [op.out],
    weights: weightsIn(op.decay, op.first),
    state: op.state,
  }),
  wkv6: (op) => ({
    reads: [op.r, op.k, op.v, ...valuesIn(op.decay)],
    writes: [op.out],
    weights: weightsIn(op.decay, op.first),
    state: op.state,
  }),
  wkv7: (op) => ({
    reads: [op.r, op.w, op.k, op.v, op.a, op.b],
    writes: [op.out],
    weights: none,
    state: op.state,
  }),
  bonus7: (op) => ({ reads: [op.r, op.k, op.v], writes: [op.out], weights: weightsIn(op.by) }),
  'shift-mix': (op) => ({
    reads: [op.x],
    writes: [...op.mixes.map((mix) => mix.out), ...present(op.normed, op.shifted)],
    weights: [...normWeights(op.norm), ...weightsIn(...op.mixes.map((mix) => mix.by))],
    state: op.state,
  }),
  'shift-mix6': (op) => ({
    reads: [op.x],
    writes: op.mixes.map((mix) => mix.out),
    weights: [
      ...normWeights(op.norm),
      op.base.weight,
      op.down,
      ...op.mixes.flatMap((mix) => [mix.by.weight, mix.up]),
    ],
    state: op.state,
  }),
  'low-rank': (op) => ({
    reads: [op.x],
    writes: [op.out],
    weights: [op.down, op.up, ...weightsIn(...present(op.bias))],
  }),
  linear: (op) => ({
    reads: [op.x, ...present(op.gate, op.residual)],
    writes: [op.out],
    weights: [op.weight],
  }),
  prepare7: (op) => ({
    reads: [
      op.k,
      op.rate,
      ...(op.residual ? [op.residual.v, op.residual.first, op.residual.amount] : []),
    ],
    writes: [op.key, op.a, op.b, ...present(op.residual?.out)],
    weights: weightsIn(op.removal, op.replacement),
  }),
  'time-mix6': (op) => ({
    reads: [op.r, op.k, op.v, ...valuesIn(op.decay), ...present(op.gate)],
    writes: [op.out],
    weights: [...weightsIn(op.decay, op.first), ...normWeights(op.norm)],
    state: op.state,
  }),
  'time-mix7': (op) => ({
    reads: [op.r, op.w, op.k, op.v, op.a, op.b, op.gate],
    writes: [op.out],
    weights: [...normWeights(op.norm), ...weightsIn(op.bonus)],
    state: op.state,
  }),
};

/** Every op kind of the contract. */
export const opKinds: ReadonlySet<OpKind> = new Set(Object.keys(table) as OpKind[]);

function access(op: Op): OpAccess {
  if (!Object.hasOwn(table, op.kind)) {
    throw new BackendError({
      code: 'UNSUPPORTED_OP',
      message: `The op kind ${op.kind} is unknown; the known ones are ${[...opKinds].join(', ')}.`,
      expected: [...opKinds],
      got: op.kind,
    });
  }
  return (table[op.kind] as (op: Op) => OpAccess)(op);
}

/** The values an op reads, in the order of its fields; a value read twice is listed twice. */
export function readsOf(op: Op): readonly Value[] {
  return access(op).reads;
}

/** The values an op assigns. */
export function writesOf(op: Op): readonly Value[] {
  return access(op).writes;
}

/** The names of the weights an op uses, parameters included. */
export function weightsOf(op: Op): readonly string[] {
  return access(op).weights;
}

/** The name of the state an op owns, or undefined. */
export function stateOf(op: Op): string | undefined {
  return access(op).state;
}
