/** The frame every version shares: embedding, ln0, layers, ln_out, head. */
import type { Program, Value } from '@rwkv-ts/backend';
import { ProgramBuilder } from './builder.js';
import { channelMix7, gatedChannelMix } from './channel-mix.js';
import { type RwkvConfig, validateConfig } from './config.js';
import { timeMix4 } from './time-mix-v4.js';
import { timeMix5 } from './time-mix-v5.js';
import { timeMix6 } from './time-mix-v6.js';
import { timeMix7 } from './time-mix-v7.js';

export interface ProgramOptions {
  /** How many of the likeliest tokens a step can give instead of all logits: up to V; 0 (default) leaves that out. */
  readonly candidates?: number;
}

/**
 * The program of a model. Weight names are the canonical ones of `canonicalWeights`; ops include coarse kinds, which
 * `lower()` of `@rwkv-ts/program` rewrites for backends that lack them. Output: logits [R, V].
 * @throws ModelError `CONFIG_INVALID`
 */
export function buildProgram(config: RwkvConfig, { candidates = 0 }: ProgramOptions = {}): Program {
  validateConfig(config);
  const builder = new ProgramBuilder();
  const { channels, normEpsilon } = config;
  const table = builder.value(channels);
  builder.emit({
    kind: 'embed',
    out: table,
    table: builder.weight('emb.weight', config.vocabularySize, channels),
    by: 'input',
  });
  let embedded = table;
  if (config.embeddingNorm === 'separate') {
    embedded = builder.value(channels);
    const norm = builder.norm('blocks.0.ln0', channels, { eps: normEpsilon });
    builder.emit({ kind: 'norm', out: embedded, x: table, ...norm });
  }
  const last = buildLayers(builder, config, embedded);

  // Only wanted rows go on, so that a prefill does not pay for logits nobody reads.
  const wanted = builder.value(channels, 'R');
  builder.emit({ kind: 'select-rows', out: wanted, x: last });
  const normed = builder.value(channels, 'R');
  builder.emit({
    kind: 'norm',
    out: normed,
    x: wanted,
    ...builder.norm('ln_out', channels, { eps: normEpsilon }),
  });
  const logits = builder.matmul(normed, 'head.weight', config.vocabularySize);
  if (candidates === 0) return builder.finish(logits);
  const out = builder.value(2 * candidates + 1, 'R');
  builder.emit({ kind: 'top-k', out, x: logits, count: candidates });
  return { ...builder.finish(logits), candidates: out };
}

function buildLayers(builder: ProgramBuilder, config: RwkvConfig, embedded: Value): Value {
  let x = embedded;
  let firstValue: Value | undefined;
  for (let layer = 0; layer < config.layers; layer++) {
    const block = `blocks.${layer}`;
    switch (config.version) {
      case '4':
        x = gatedChannelMix(builder, config, { x: timeMix4(builder, config, { x, block }), block });
        break;
      case '5.0':
      case '5.1':
      case '5.2':
        x = gatedChannelMix(builder, config, { x: timeMix5(builder, config, { x, block }), block });
        break;
      case '6':
        x = gatedChannelMix(builder, config, { x: timeMix6(builder, config, { x, block }), block });
        break;
      case '7':
      case '7a': {
        const mixed = timeMix7(builder, config, { x, block, firstValue });
        firstValue = mixed.firstValue;
        x = channelMix7(builder, config, { x: mixed.out, block, embedded });
        break;
      }
    }
  }
  return x;
}

/** Every weight a model of this configuration has, by canonical name; what a loader must deliver. */
export function canonicalWeights(config: RwkvConfig): Program['weights'] {
  return buildProgram(config).weights;
}
