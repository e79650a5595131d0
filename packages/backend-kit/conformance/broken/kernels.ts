/** Faults of kernels. */
import type { Op, Program, Value } from '@rwkv-ts/backend';
import { f16ToF32, f32ToF16 } from '@rwkv-ts/formats';
import { isValue, readsOf, writesOf } from '@rwkv-ts/program';
import { deepMap, readInstead, replaceOps } from './rewrite.js';
import type { BrokenBackend } from './types.js';

export const kernels: readonly BrokenBackend[] = [
  {
    name: 'shift is off by one: a token sees itself',
    group: 'ops',
    cases: /^shift:/,
    message: /^shift, output 0, T = 1: row 0/,
    fault: () => ({
      program: replaceOps('shift', (op, fresh) => [
        { ...op, out: fresh(op.out) },
        { kind: 'scale', out: op.out, x: op.x, factor: 1 },
      ]),
    }),
  },
  {
    name: 'lerp with its ends swapped',
    group: 'ops',
    cases: /^(lerp|shift-mix):/,
    message: /^lerp/,
    fault: () => ({ program: replaceOps('lerp', (op) => [{ ...op, x: op.y, y: op.x }]) }),
  },
  {
    name: 'the wrong epsilon in the per-head norm',
    group: 'ops',
    cases: /^(norm|time-mix)/,
    message: /^norm/,
    fault: () => ({
      program: replaceOps('norm', (op) => [{ ...op, eps: op.groups > 1 ? 1e-5 : op.eps }]),
    }),
  },
  {
    name: 'variance without epsilon’s help: epsilon added twice',
    group: 'ops',
    cases: /^norm:/,
    message: /^norm/,
    fault: () => ({ program: replaceOps('norm', (op) => [{ ...op, eps: 2 * op.eps }]) }),
  },
  {
    name: 'l2-norm divides by length plus epsilon',
    group: 'ops',
    cases: /^l2-norm: length below/,
    message: /^l2-norm/,
    fault: () => ({ program: replaceOps('l2-norm', (op) => [{ ...op, eps: op.eps * 1.01 }]) }),
  },
  {
    name: 'wkv6 decays the state before it is read',
    group: 'ops',
    cases: /^wkv6: three heads of 5/,
    message: /^wkv6, output 0, T = 33/,
    fault: () => ({
      // r (u kᵀv + w S) = wkv6 of r ⊙ w, plus the bonus of what that takes from r.
      program: replaceOps('wkv6', (op, fresh) => {
        const { r, k, v, decay, first, heads, out } = op;
        if (!isValue(decay)) return [op];
        const [rw, minus, rest, past, bonus] = [0, 1, 2, 3, 4].map(() => fresh(out)) as Five;
        return [
          { kind: 'mul', out: rw, x: r, y: decay },
          { ...op, out: past, r: rw },
          { kind: 'scale', out: minus, x: rw, factor: -1 },
          { kind: 'add', out: rest, x: r, y: minus },
          { kind: 'bonus7', out: bonus, r: rest, k, v, by: first, heads },
          { kind: 'add', out, x: past, y: bonus },
        ];
      }),
    }),
  },
  {
    name: 'wkv7 with its removal vectors swapped',
    group: 'ops',
    cases: /^wkv7:/,
    message: /^wkv7, output 0, T = 33/,
    fault: () => ({ program: replaceOps('wkv7', (op) => [{ ...op, a: op.b, b: op.a }]) }),
  },
  {
    name: 'the form of parameters is ignored',
    group: 'ops',
    cases: /form/,
    message: /^(lerp|add|mul|wkv)/,
    fault: () => ({
      program: (program) =>
        deepMap(program, (value) =>
          'weight' in value && 'form' in value ? { weight: value.weight } : undefined,
        ),
    }),
  },
  {
    name: 'a matmul of f16 under a claim of f32',
    group: 'ops',
    cases: /^matmul:/,
    message: /^matmul/,
    fault: () => ({
      run: (right) => async (batch) => (await right(batch)).map((x) => f16ToF32(f32ToF16(x))),
    }),
  },
  {
    name: 'top-k takes the last of equal numbers',
    group: 'ops',
    cases: /^top-k: seven of an odd width/,
    message: /^top-k, output 1, T = 1: row 0/,
    fault: () => ({
      // x plus far less than two different numbers differ by, more for later columns.
      weight: (weight) => {
        if (weight.shape[1] !== 67) return weight;
        const numbers = new Float32Array(weight.bytes.slice().buffer);
        const raised = numbers.map((number, n) => number + (n % 67) * 2 ** -23);
        return { ...weight, bytes: new Uint8Array(raised.buffer) };
      },
    }),
  },
  {
    name: 'a norm that writes beside its value',
    group: 'ops',
    cases: /^norm:/,
    message: /values beside the op's own/,
    fault: () => ({ program: clobberNeighbour }),
  },
];

type Five = [Value, Value, Value, Value, Value];

/** After every norm, whatever was assigned just before it is changed for all later readers. */
function clobberNeighbour(program: Program): Program {
  let nextId = 10_000;
  const ops: Op[] = [];
  let replaced = new Map<number, { from: Value; to: Value }>();
  let latest: Value | undefined;
  for (const original of program.ops) {
    let op = original;
    for (const { from, to } of replaced.values()) op = readInstead(op, from, to);
    ops.push(op);
    if (op.kind === 'norm' && latest && !readsOf(op).some(({ id }) => id === latest?.id)) {
      const to = { ...latest, id: nextId++ };
      ops.push({ kind: 'scale', out: to, x: latest, factor: 1.5 });
      replaced = new Map([...replaced, [latest.id, { from: latest, to }]]);
    }
    latest = writesOf(op).at(-1);
  }
  return { ...program, ops };
}
