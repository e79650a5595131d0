/** RWKV-7 (Goose) time mixing (arXiv:2503.14456, section 4.1): a generalised delta rule with in-context learning rates. */
import type { Activation, Value } from '@rwkv-ts/backend';
import type { ProgramBuilder } from './builder.js';
import type { RwkvConfig7 } from './config.js';

interface TimeMix7Input {
  readonly x: Value;
  readonly block: string;
  /** Layer 0's value, which later layers mix into their own; undefined in layer 0. */
  readonly firstValue: Value | undefined;
}

/** Divisor floor of κ's normalisation, as the official code has it. */
const keyNormEpsilon = 1e-12;

export function timeMix7(
  builder: ProgramBuilder,
  config: RwkvConfig7,
  { x, block, firstValue }: TimeMix7Input,
): { out: Value; firstValue: Value } {
  const { channels, heads, headSize, ranks } = config;
  const att = `${block}.att`;
  const norm = builder.norm(`${block}.ln1`, channels, { eps: config.normEpsilon });
  const mix = (name: string) => ({
    out: builder.value(channels),
    by: builder.parameter(`${att}.x_${name}`, [channels]),
  });
  const [mixR, mixW, mixK, mixV, mixA, mixG] = [
    mix('r'),
    mix('w'),
    mix('k'),
    mix('v'),
    mix('a'),
    mix('g'),
  ];
  builder.emit({
    kind: 'shift-mix',
    x,
    norm,
    state: builder.state(`${att}.shift`, [channels]),
    toward: 'previous',
    mixes: [mixR, mixW, mixK, mixV, mixA, mixG],
  });

  const lowRank = (
    source: Value,
    {
      name,
      rank,
      ...activations
    }: { name: string; rank: number; inner?: Activation; outer?: Activation },
  ): Value => {
    const out = builder.value(channels);
    builder.emit({
      kind: 'low-rank',
      out,
      x: source,
      down: builder.weight(`${att}.${name}1.weight`, rank, channels),
      up: builder.weight(`${att}.${name}2.weight`, channels, rank),
      ...(name === 'g' ? {} : { bias: builder.parameter(`${att}.${name}0`, [channels]) }),
      ...activations,
    });
    return out;
  };
  const r = builder.matmul(mixR.out, `${att}.receptance.weight`, channels);
  const rawKey = builder.matmul(mixK.out, `${att}.key.weight`, channels);
  const ownValue = builder.matmul(mixV.out, `${att}.value.weight`, channels);
  const w = lowRank(mixW.out, { name: 'w', rank: ranks.decay, inner: 'tanh', outer: 'decay7' });
  const rate = lowRank(mixA.out, { name: 'a', rank: ranks.rate, outer: 'sigmoid' });
  const gate = lowRank(mixG.out, { name: 'g', rank: ranks.gate, inner: 'sigmoid' });
  const residual = firstValue && {
    v: ownValue,
    first: firstValue,
    amount: lowRank(mixV.out, { name: 'v', rank: ranks.valueResidual, outer: 'sigmoid' }),
    out: builder.value(channels),
  };

  const [k, a, b] = [builder.value(channels), builder.value(channels), builder.value(channels)];
  builder.emit({
    kind: 'prepare7',
    k: rawKey,
    rate,
    removal: builder.parameter(`${att}.k_k`, [channels]),
    replacement: builder.parameter(`${att}.k_a`, [channels]),
    heads,
    eps: keyNormEpsilon,
    key: k,
    a,
    b,
    ...(residual ? { residual } : {}),
  });
  const y = builder.value(channels);
  builder.emit({
    kind: 'time-mix7',
    out: y,
    r,
    w,
    k,
    v: residual?.out ?? ownValue,
    a,
    b,
    heads,
    state: builder.state(`${att}.wkv`, [heads, headSize, headSize]),
    norm: builder.norm(`${att}.ln_x`, channels, { groups: heads, eps: config.headNormEpsilon }),
    bonus: builder.parameter(`${att}.r_k`, [heads, headSize]),
    gate,
  });
  return {
    out: builder.linear(y, { weight: `${att}.output.weight`, width: channels, residual: x }),
    firstValue: firstValue ?? ownValue,
  };
}
