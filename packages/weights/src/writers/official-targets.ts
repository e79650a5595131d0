/** Official names, shapes and orientation, as the Python programs expect them. */
import type { WeightSpec } from '@rwkv-ts/backend';
import { canonicalWeights, type RwkvConfig } from '@rwkv-ts/model';
import { type Target, transposedValues } from './targets.js';

const factor = /\.(?:att\.(?:[wavg][12]|time_maa_w1|time_decay_w[12])|ffn\.s[12])\.weight$/;
const boxedVector =
  /\.(?:att|ffn)\.(?:time_mix_[kvrg]|time_maa_[xwkvrg]|x_[rwkvag]|[wav]0|k_k|k_a)$/;
const mixes6 = ['w', 'k', 'v', 'r', 'g'] as const;

/**
 * The official number whose function is `applied`, in f64, rounded to f32 at the end. Where the function has lost the
 * number (a decay that rounded to exactly 0 or 1), the nearest bound that gives the same decay in f32.
 */
function invertDecay(version: RwkvConfig['version'], applied: number): number {
  const exponent = version === '4' ? -applied : -Math.log(applied);
  return Math.min(Math.max(Math.log(exponent), -110), 50);
}

function target(spec: WeightSpec, config: RwkvConfig): Target | undefined {
  const { name, shape } = spec;
  if (name.includes('.att.time_maa_w2.')) {
    if (!name.endsWith('.w.weight')) return undefined;
    const stem = name.slice(0, -'.w.weight'.length);
    const from = mixes6.map((mix) => `${stem}.${mix}.weight`);
    const [channels, rank] = shape as readonly [number, number];
    return { name: stem, shape: [mixes6.length, rank, channels], from, change: transposedValues };
  }
  if (factor.test(name)) {
    const stem = name.slice(0, -'.weight'.length);
    return { name: stem, shape: [...shape].reverse(), from: [name], change: transposedValues };
  }
  if (boxedVector.test(name) || (config.version === '6' && name.endsWith('.att.time_decay'))) {
    return { name, shape: [1, 1, shape[0]!], from: [name] };
  }
  if (name.endsWith('.att.time_decay') && 'decayForm' in config && config.decayForm === 'applied') {
    const change = (values: Float32Array): Float32Array =>
      values.map((value) => invertDecay(config.version, value));
    return { name, shape, from: [name], change };
  }
  if (name.endsWith('.att.time_faaaa') && 'bonusForm' in config && config.bonusForm === 'exp') {
    return { name: name.replace('time_faaaa', 'time_first'), shape, from: [name] };
  }
  return { name, shape, from: [name] };
}

export function officialTargets(config: RwkvConfig): readonly Target[] {
  return canonicalWeights(config).flatMap((spec) => target(spec, config) ?? []);
}

/** What `target` makes of the configuration: every decay is official again. */
export function officialConfig(config: RwkvConfig): RwkvConfig {
  return 'decayForm' in config ? { ...config, decayForm: 'official' } : config;
}
