/** The ops that own a state: shifts and recurrences. */
import type { OpOf, Value } from '@rwkv-ts/backend';
import { isValue } from '@rwkv-ts/program';
import { shiftMixShader, type ShiftMixShape } from '../kernels/shift-mix.js';
import { wkv6Shader } from '../kernels/wkv6.js';
import { wkv7Shader } from '../kernels/wkv7.js';
import { type EncodeContext, kindOf } from './context.js';
import type { Argument } from './graph.js';

interface ShiftParts {
  readonly x: Value;
  readonly state: string;
  readonly norm?: OpOf<'shift-mix'>['norm'];
  readonly toward?: ShiftMixShape['toward'];
  readonly mixes?: readonly { readonly by: Argument; readonly out: Argument }[];
  readonly normed?: Argument;
  readonly shifted?: Argument;
  readonly difference?: Argument;
}

export function shiftMix({ graph }: EncodeContext, parts: ShiftParts): void {
  const { x, state, norm, toward = 'previous', mixes = [] } = parts;
  const extras = (['normed', 'shifted', 'difference'] as const).filter((name) => parts[name]);
  const numbered = mixes.flatMap(({ by, out }, index): [string, Argument][] => [
    [`by_${index}`, by],
    [`mix_${index}`, out],
  ]);
  graph.add({
    rows: 'T',
    shader: shiftMixShader({ hasNorm: norm !== undefined, toward, mixes: mixes.length, extras }),
    groups: 1,
    values: {
      width: x.width,
      x: graph.read(x),
      ...(norm ? graph.norm(norm) : {}),
      ...Object.fromEntries(extras.map((name) => [name, parts[name]])),
      ...Object.fromEntries(numbered),
    },
    writes: [...extras, ...mixes.map((_, index) => `mix_${index}`)],
    state,
  });
}

export function wkv6(
  op: OpOf<'wkv6'> | OpOf<'time-mix6'>,
  { graph }: EncodeContext,
  tail: Partial<Pick<OpOf<'time-mix6'>, 'gate' | 'norm'>>,
): void {
  const { heads, decay } = op;
  const { width } = op.out;
  const { norm, gate } = tail;
  const shape = { size: width / heads, decay: kindOf(decay), hasNorm: !!norm, hasGate: !!gate };
  graph.add({
    rows: 'S',
    shader: wkv6Shader(shape),
    groups: heads,
    values: {
      width,
      r: graph.read(op.r),
      k: graph.read(op.k),
      v: graph.read(op.v),
      decay: isValue(decay) ? graph.read(decay) : graph.parameter(decay, width),
      first: graph.parameter(op.first, width),
      ...(norm ? graph.norm(norm) : {}),
      ...(gate ? { gate: graph.read(gate) } : {}),
      out: graph.write(op.out),
    },
    writes: ['out'],
    state: op.state,
  });
}

/** What wkv7 reads of each head: key, a and b as they come, or what it makes them from. */
function inputs7(
  op: OpOf<'wkv7'> | OpOf<'time-mix7'>,
  { graph, fused }: EncodeContext,
): {
  preparation: Parameters<typeof wkv7Shader>[0]['preparation'];
  values: Record<string, Argument>;
} {
  const prepare = fused.get(op.k.id);
  if (!prepare) {
    const [k, v, a, b] = [op.k, op.v, op.a, op.b].map((value) => graph.read(value));
    return { preparation: 'none', values: { k, v, a, b } };
  }
  const { residual } = prepare;
  const values = {
    k: graph.read(prepare.k),
    v: graph.read(residual ? residual.v : op.v),
    rate: graph.read(prepare.rate),
    removal: graph.parameter(prepare.removal),
    replacement: graph.parameter(prepare.replacement),
    floor: prepare.eps,
  };
  if (!residual) return { preparation: 'own value', values };
  const [first, amount] = [graph.read(residual.first), graph.read(residual.amount)];
  return { preparation: 'residual value', values: { ...values, first, amount } };
}

export function wkv7(
  op: OpOf<'wkv7'> | OpOf<'time-mix7'>,
  context: EncodeContext,
  tail?: Pick<OpOf<'time-mix7'>, 'norm' | 'bonus' | 'gate'>,
): void {
  const { graph } = context;
  const { width } = op.out;
  const { preparation, values } = inputs7(op, context);
  graph.add({
    rows: 'S',
    shader: wkv7Shader({ size: width / op.heads, hasTail: tail !== undefined, preparation }),
    groups: op.heads,
    values: {
      width,
      r: graph.read(op.r),
      w: graph.read(op.w),
      ...values,
      ...(tail ? graph.norm(tail.norm) : {}),
      ...(tail ? { by: graph.parameter(tail.bonus), gate: graph.read(tail.gate) } : {}),
      out: graph.write(op.out),
    },
    writes: ['out'],
    state: op.state,
  });
}
