/** RWKV-6 (Finch) time mixing (arXiv:2404.05892, section 4.2): token shift and decay depend on the data. */
import type { Value } from '@rwkv-ts/backend';
import type { ProgramBuilder } from './builder.js';
import type { RwkvConfig6 } from './config.js';

export function timeMix6(
  builder: ProgramBuilder,
  config: RwkvConfig6,
  { x, block }: { x: Value; block: string },
): Value {
  const { channels, heads, headSize, ranks } = config;
  const att = `${block}.att`;
  const norm = builder.norm(`${block}.ln1`, channels, { eps: config.normEpsilon });
  const base = builder.parameter(`${att}.time_maa_x`, [channels]);
  const down = builder.weight(`${att}.time_maa_w1.weight`, 5 * ranks.mix, channels);
  const mix = (name: string) => ({
    out: builder.value(channels),
    by: builder.parameter(`${att}.time_maa_${name}`, [channels]),
    up: builder.weight(`${att}.time_maa_w2.${name}.weight`, channels, ranks.mix),
  });
  // This order is part of the format: it is how time_maa_w1's columns are divided.
  const [mixW, mixK, mixV, mixR, mixG] = [mix('w'), mix('k'), mix('v'), mix('r'), mix('g')];
  builder.emit({
    kind: 'shift-mix6',
    x,
    norm,
    state: builder.state(`${att}.shift`, [channels]),
    base,
    down,
    mixes: [mixW, mixK, mixV, mixR, mixG],
  });
  const decay = builder.value(channels);
  builder.emit({
    kind: 'low-rank',
    out: decay,
    x: mixW.out,
    down: builder.weight(`${att}.time_decay_w1.weight`, ranks.decay, channels),
    up: builder.weight(`${att}.time_decay_w2.weight`, channels, ranks.decay),
    inner: 'tanh',
    bias: builder.parameter(`${att}.time_decay`, [channels]),
    outer: 'exp-negative-exp',
  });
  const r = builder.matmul(mixR.out, `${att}.receptance.weight`, channels);
  const k = builder.matmul(mixK.out, `${att}.key.weight`, channels);
  const v = builder.matmul(mixV.out, `${att}.value.weight`, channels);
  const gate = builder.linear(mixG.out, {
    weight: `${att}.gate.weight`,
    width: channels,
    activation: 'silu',
  });
  const y = builder.value(channels);
  builder.emit({
    kind: 'time-mix6',
    out: y,
    r,
    k,
    v,
    decay,
    first: builder.parameter(`${att}.time_faaaa`, [heads, headSize]),
    heads,
    state: builder.state(`${att}.wkv`, [heads, headSize, headSize]),
    norm: builder.norm(`${att}.ln_x`, channels, { groups: heads, eps: config.headNormEpsilon }),
    gate,
  });
  return builder.linear(y, { weight: `${att}.output.weight`, width: channels, residual: x });
}
