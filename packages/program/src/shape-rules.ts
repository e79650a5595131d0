/** The shapes each op's formula needs, as a table by op kind. */
import type { NormParameters, Op, OpKind, OpOf, Operand, Value } from '@rwkv-ts/backend';
import { isValue } from './access.js';
import { activations } from './activations.js';
import type { OpChecker } from './op-checker.js';

type ShapeRule<Kind extends OpKind> = (op: OpOf<Kind>, check: OpChecker) => void;

function checkNorm(norm: NormParameters, x: Value, check: OpChecker): void {
  check.divide('groups', x.width, norm.groups);
  check.epsilon(norm.eps);
  check.weight(norm.weight, [x.width]);
  check.weight(norm.bias, [x.width]);
}

/** Values of a recurrence: all [T, C]. Returns N, the width of a head. */
function checkHeads(values: readonly Value[], heads: number, check: OpChecker): number {
  const width = values[0]?.width ?? 0;
  check.rows('T', ...values);
  check.width(width, ...values);
  return check.divide('heads', width, heads);
}

function checkPair(op: { x: Value; y: Operand; out: Value }, check: OpChecker): void {
  check.like(op.x, op.out);
  check.operand(op.y, op.x);
}

function checkWkv6(op: Omit<OpOf<'wkv6'>, 'kind'>, check: OpChecker): void {
  const { heads, decay } = op;
  const size = checkHeads([op.out, op.r, op.k, op.v], heads, check);
  if (isValue(decay)) check.like(op.out, decay);
  else check.parameter(decay, [heads], [heads, size]);
  check.parameter(op.first, [heads], [heads, size]);
  check.state(op.state, [heads, size, size]);
}

function checkWkv7(op: Omit<OpOf<'wkv7'>, 'kind'>, check: OpChecker): number {
  const size = checkHeads([op.out, op.r, op.w, op.k, op.v, op.a, op.b], op.heads, check);
  check.state(op.state, [op.heads, size, size]);
  return size;
}

/** The shift's frame: x and all outputs [T, C], the norm, the state [C]. */
function checkShiftFrame(
  op: { x: Value; norm: NormParameters; state: string },
  outputs: readonly Value[],
  check: OpChecker,
): void {
  check.rows('T', op.x);
  check.like(op.x, ...outputs);
  checkNorm(op.norm, op.x, check);
  check.state(op.state, [op.x.width]);
}

const rules: { readonly [K in OpKind]: ShapeRule<K> } = {
  embed: (op, check) => {
    check.rows('T', op.out);
    check.oneOf('by', op.by, ['input', 'token']);
    check.weight(op.table, [null, op.out.width]);
  },
  'select-rows': (op, check) => {
    check.rows('T', op.x);
    check.rows('R', op.out);
    check.width(op.x.width, op.out);
  },
  norm: (op, check) => {
    check.like(op.x, op.out);
    checkNorm(op, op.x, check);
  },
  'l2-norm': (op, check) => {
    check.like(op.x, op.out);
    check.divide('groups', op.x.width, op.groups);
    check.epsilon(op.eps);
  },
  shift: (op, check) => {
    check.rows('T', op.x);
    check.like(op.x, op.out);
    check.state(op.state, [op.x.width]);
  },
  lerp: (op, check) => {
    check.like(op.x, op.y, op.out);
    check.operand(op.by, op.x);
  },
  matmul: (op, check) => {
    check.rows(op.x.rows, op.out);
    check.weight(op.weight, [op.out.width, op.x.width]);
  },
  'row-matmul': (op, check) => {
    check.rows('T', op.x, op.m, op.out);
    check.width(op.x.width * op.out.width, op.m);
  },
  add: checkPair,
  mul: checkPair,
  scale: (op, check) => {
    check.like(op.x, op.out);
    if (!Number.isFinite(op.factor)) check.fail('factor', 'finite', op.factor);
  },
  activate: (op, check) => {
    check.like(op.x, op.out);
    check.oneOf('activation', op.activation, activations);
  },
  slice: (op, check) => {
    check.rows(op.x.rows, op.out);
    check.integer('start', op.start, { minimum: 0 });
    const end = op.start + op.out.width;
    if (end > op.x.width) check.fail('end of the slice', `at most ${op.x.width}`, end);
  },
  'top-k': (op, check) => {
    check.rows(op.x.rows, op.out);
    check.integer('count', op.count, { minimum: 1 });
    if (op.count > op.x.width) check.fail('count', `at most ${op.x.width}`, op.count);
    check.width(2 * op.count + 1, op.out);
  },
  wkv4: (op, check) => {
    check.rows('T', op.out);
    check.like(op.out, op.k, op.v);
    check.parameter(op.decay, [op.out.width]);
    check.parameter(op.first, [op.out.width]);
    check.state(op.state, [3, op.out.width]);
  },
  wkv6: checkWkv6,
  wkv7: checkWkv7,
  bonus7: (op, check) => {
    check.like(op.out, op.r, op.k, op.v);
    check.parameter(op.by, [op.heads, check.divide('heads', op.out.width, op.heads)]);
  },
  'shift-mix': (op, check) => {
    check.oneOf('toward', op.toward, ['previous', 'current']);
    const extra = [op.normed, op.shifted].filter((value) => value !== undefined);
    checkShiftFrame(op, [...op.mixes.map((mix) => mix.out), ...extra], check);
    for (const { by } of op.mixes) check.parameter(by, [op.x.width]);
  },
  'shift-mix6': (op, check) => {
    const { mixes, x } = op;
    checkShiftFrame(
      op,
      mixes.map((mix) => mix.out),
      check,
    );
    check.parameter(op.base, [x.width]);
    const total = check.weight(op.down, [null, x.width])[0] ?? 0;
    const rank = check.divide('number of mixes', total, mixes.length);
    for (const { by, up } of mixes) {
      check.parameter(by, [x.width]);
      check.weight(up, [x.width, rank]);
    }
  },
  'low-rank': (op, check) => {
    check.rows(op.x.rows, op.out);
    const rank = check.weight(op.down, [null, op.x.width])[0] ?? 0;
    check.weight(op.up, [op.out.width, rank]);
    if (op.bias) check.parameter(op.bias, [op.out.width]);
    for (const activation of [op.inner, op.outer]) {
      if (activation !== undefined) check.oneOf('activation', activation, activations);
    }
  },
  linear: (op, check) => {
    const { activation, gate, residual, x, out } = op;
    check.rows(x.rows, out);
    check.weight(op.weight, [out.width, x.width]);
    if (activation !== undefined) check.oneOf('activation', activation, activations);
    for (const value of [gate, residual]) if (value) check.like(out, value);
    if (!(activation ?? gate ?? residual)) {
      check.fail('a part', 'given: activation, gate or residual', 'none');
    }
  },
  prepare7: (op, check) => {
    const { k, residual } = op;
    check.like(k, op.rate, op.key, op.a, op.b);
    check.parameter(op.removal, [k.width]);
    check.parameter(op.replacement, [k.width]);
    check.divide('heads', k.width, op.heads);
    check.epsilon(op.eps);
    if (residual) check.like(k, residual.v, residual.first, residual.amount, residual.out);
  },
  'time-mix6': (op, check) => {
    checkWkv6(op, check);
    checkNorm(op.norm, op.out, check);
    if (op.gate) check.like(op.out, op.gate);
  },
  'time-mix7': (op, check) => {
    const size = checkWkv7(op, check);
    checkNorm(op.norm, op.out, check);
    check.parameter(op.bonus, [op.heads, size]);
    check.like(op.out, op.gate);
  },
};

/** @throws BackendError `PROGRAM_INVALID` through `check` */
export function checkShapes(op: Op, check: OpChecker): void {
  (rules[op.kind] as (op: Op, check: OpChecker) => void)(op, check);
}
