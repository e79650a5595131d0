/** Channel mixing of every version: a gated squared-ReLU network (v4 to v6), ungated in v7, with DeepEmbed in v7a. */
import type { Value } from '@rwkv-ts/backend';
import type { ProgramBuilder } from './builder.js';
import type { RwkvConfig, RwkvConfig7 } from './config.js';

interface ChannelMixInput {
  readonly x: Value;
  readonly block: string;
}

/** v4, v5 and v6: out = x + sigmoid(R x_r) ⊙ (V relu(K x_k)²). v6 mixes toward the previous token and renames the mixes. */
export function gatedChannelMix(
  builder: ProgramBuilder,
  config: RwkvConfig,
  { x, block }: ChannelMixInput,
): Value {
  const { channels, channelMixSize, version } = config;
  const ffn = `${block}.ffn`;
  const prefix = version === '6' ? 'time_maa' : 'time_mix';
  const mix = (name: string) => ({
    out: builder.value(channels),
    by: builder.parameter(`${ffn}.${prefix}_${name}`, [channels]),
  });
  const norm = builder.norm(`${block}.ln2`, channels, { eps: config.normEpsilon });
  const [mixK, mixR] = [mix('k'), mix('r')];
  builder.emit({
    kind: 'shift-mix',
    x,
    norm,
    state: builder.state(`${ffn}.shift`, [channels]),
    toward: version === '6' ? 'previous' : 'current',
    mixes: [mixK, mixR],
  });
  const gate = builder.linear(mixR.out, {
    weight: `${ffn}.receptance.weight`,
    width: channels,
    activation: 'sigmoid',
  });
  const hidden = builder.linear(mixK.out, {
    weight: `${ffn}.key.weight`,
    width: channelMixSize,
    activation: 'relu2',
  });
  return builder.linear(hidden, {
    weight: `${ffn}.value.weight`,
    width: channels,
    gate,
    residual: x,
  });
}

/** v7: out = x + V relu(K x_k)². v7a multiplies the hidden layer by a factor that depends on the token itself. */
export function channelMix7(
  builder: ProgramBuilder,
  config: RwkvConfig7,
  { x, block, embedded }: ChannelMixInput & { readonly embedded: Value },
): Value {
  const { channels, channelMixSize } = config;
  const ffn = `${block}.ffn`;
  const norm = builder.norm(`${block}.ln2`, channels, { eps: config.normEpsilon });
  const mixed = { out: builder.value(channels), by: builder.parameter(`${ffn}.x_k`, [channels]) };
  const normed = config.version === '7a' ? builder.value(channels) : undefined;
  builder.emit({
    kind: 'shift-mix',
    x,
    norm,
    state: builder.state(`${ffn}.shift`, [channels]),
    toward: 'previous',
    mixes: [mixed],
    ...(normed ? { normed } : {}),
  });
  let hidden = builder.linear(mixed.out, {
    weight: `${ffn}.key.weight`,
    width: channelMixSize,
    activation: 'relu2',
  });
  if (normed) {
    hidden = builder.mul(hidden, deepEmbedFactor(builder, config, { normed, embedded, ffn }));
  }
  return builder.linear(hidden, { weight: `${ffn}.value.weight`, width: channels, residual: x });
}

interface DeepEmbedInput {
  /** ln2 of the residual stream, before the token shift. */
  readonly normed: Value;
  /** ln0 of the token's embedding. */
  readonly embedded: Value;
  readonly ffn: string;
}

/** s0 + ((x s1) e) s2, where e = s_emb[token] + s_emb_x embedded is the token's own [K, K] matrix. */
function deepEmbedFactor(
  builder: ProgramBuilder,
  config: RwkvConfig7,
  { normed, embedded, ffn }: DeepEmbedInput,
): Value {
  const size = config.deepEmbedSize ?? 0;
  const row = builder.value(size * size);
  builder.emit({
    kind: 'embed',
    out: row,
    table: builder.weight(`${ffn}.s_emb.weight`, config.vocabularySize, size * size),
    by: 'token',
  });
  const matrix = builder.linear(embedded, {
    weight: `${ffn}.s_emb_x.weight`,
    width: size * size,
    residual: row,
  });
  const narrow = builder.matmul(normed, `${ffn}.s1.weight`, size);
  const turned = builder.value(size);
  builder.emit({ kind: 'row-matmul', out: turned, x: narrow, m: matrix });
  const wide = builder.matmul(turned, `${ffn}.s2.weight`, config.channelMixSize);
  const factor = builder.value(config.channelMixSize);
  builder.emit({
    kind: 'add',
    out: factor,
    x: wide,
    y: builder.parameter(`${ffn}.s0`, [config.channelMixSize]),
  });
  return factor;
}
