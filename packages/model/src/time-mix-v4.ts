/** RWKV-4 time mixing (arXiv:2305.13048, section 3.1). */
import type { Value } from '@rwkv-ts/backend';
import type { ProgramBuilder } from './builder.js';
import type { RwkvConfig4 } from './config.js';

export function timeMix4(
  builder: ProgramBuilder,
  config: RwkvConfig4,
  { x, block }: { x: Value; block: string },
): Value {
  const { channels, normEpsilon } = config;
  const att = `${block}.att`;
  const mix = (name: string) => ({
    out: builder.value(channels),
    by: builder.parameter(`${att}.time_mix_${name}`, [channels]),
  });
  const norm = builder.norm(`${block}.ln1`, channels, { eps: normEpsilon });
  const [mixK, mixV, mixR] = [mix('k'), mix('v'), mix('r')];
  builder.emit({
    kind: 'shift-mix',
    x,
    norm,
    state: builder.state(`${att}.shift`, [channels]),
    toward: 'current',
    mixes: [mixK, mixV, mixR],
  });
  const k = builder.matmul(mixK.out, `${att}.key.weight`, channels);
  const v = builder.matmul(mixV.out, `${att}.value.weight`, channels);
  const r = builder.linear(mixR.out, {
    weight: `${att}.receptance.weight`,
    width: channels,
    activation: 'sigmoid',
  });
  const wkv = builder.value(channels);
  builder.emit({
    kind: 'wkv4',
    out: wkv,
    k,
    v,
    decay: builder.parameter(
      `${att}.time_decay`,
      [channels],
      config.decayForm === 'official' ? 'negative-exp' : undefined,
    ),
    first: builder.parameter(`${att}.time_first`, [channels]),
    // Rows: the sums a and b, and their running exponent, which must start below every key.
    state: builder.state(`${att}.wkv`, [3, channels], [0, 0, -1e30]),
  });
  return builder.linear(builder.mul(wkv, r), {
    weight: `${att}.output.weight`,
    width: channels,
    residual: x,
  });
}
