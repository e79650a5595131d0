/** RWKV-5 (Eagle) time mixing (arXiv:2404.05892, section 4.1), in its three released forms. */
import type { Value } from '@rwkv-ts/backend';
import type { ProgramBuilder } from './builder.js';
import type { RwkvConfig5 } from './config.js';

export function timeMix5(
  builder: ProgramBuilder,
  config: RwkvConfig5,
  { x, block }: { x: Value; block: string },
): Value {
  const { channels, heads, headSize, version } = config;
  const att = `${block}.att`;
  const gated = version !== '5.0';
  const perHead = version === '5.2' ? [heads, headSize] : [heads];
  const mix = (name: string) => ({
    out: builder.value(channels),
    by: builder.parameter(`${att}.time_mix_${name}`, [channels]),
  });
  const norm = builder.norm(`${block}.ln1`, channels, { eps: config.normEpsilon });
  const [mixK, mixV, mixR] = [mix('k'), mix('v'), mix('r')];
  const mixG = gated ? mix('g') : undefined;
  builder.emit({
    kind: 'shift-mix',
    x,
    norm,
    state: builder.state(`${att}.shift`, [channels]),
    toward: 'current',
    mixes: mixG === undefined ? [mixK, mixV, mixR] : [mixK, mixV, mixR, mixG],
  });
  const r = builder.matmul(mixR.out, `${att}.receptance.weight`, channels);
  const k = builder.matmul(mixK.out, `${att}.key.weight`, channels);
  const v = builder.matmul(mixV.out, `${att}.value.weight`, channels);
  const gate =
    mixG &&
    builder.linear(mixG.out, { weight: `${att}.gate.weight`, width: channels, activation: 'silu' });
  const y = builder.value(channels);
  builder.emit({
    kind: 'time-mix6',
    out: y,
    r,
    k,
    v,
    decay: builder.parameter(
      `${att}.time_decay`,
      perHead,
      config.decayForm === 'official' ? 'exp-negative-exp' : undefined,
    ),
    first: builder.parameter(
      `${att}.time_faaaa`,
      perHead,
      config.bonusForm === 'exp' ? 'exp' : undefined,
    ),
    heads,
    state: builder.state(`${att}.wkv`, [heads, headSize, headSize]),
    norm: builder.norm(`${att}.ln_x`, channels, { groups: heads, eps: config.headNormEpsilon }),
    ...(gate ? { gate } : {}),
  });
  return builder.linear(y, { weight: `${att}.output.weight`, width: channels, residual: x });
}
