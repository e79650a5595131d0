import type { HostWeight } from '@rwkv-ts/backend';
import { encode } from '@rwkv-ts/formats';
import { canonicalWeights, type RwkvConfig } from '@rwkv-ts/model';
import { optionInvalid } from '../errors.js';
import { NamedRandom } from './random.js';
import type { Place } from './rules.js';
import { rulesOf } from './versions.js';

export interface InitialiseOptions {
  /** An integer. The same seed and configuration give the same numbers on every machine. */
  readonly seed: number;
}

/**
 * A new model, as the official trainers start it: its canonical weights in f32, made one at a time, in the order of
 * `canonicalWeights`.
 * @throws TrainError `OPTION_INVALID` (also for decays and bonuses in another form than new models have), `MODE_UNSUPPORTED` for v7a
 */
export async function* initialWeights(
  config: RwkvConfig,
  { seed }: InitialiseOptions,
): AsyncGenerator<HostWeight> {
  if (!Number.isSafeInteger(seed)) throw optionInvalid('seed', 'an integer', seed);
  requireOfficialForm(config);
  const rules = rulesOf(config.version);
  const { layers, channels } = config;
  const headSize = config.version === '4' ? channels : config.headSize;
  for (const { name, shape } of canonicalWeights(config)) {
    const [, layer = '0', rest = name] = /^blocks\.(\d+)\.(.+)$/.exec(name) ?? [];
    const place: Place = { layer: Number(layer), layers, channels, headSize };
    const values = rules[rest]!(shape, place, () => new NamedRandom(seed, name));
    yield { name, shape, format: 'f32', bytes: encode('f32', values) };
  }
}

/** Initial decays are written as official files store them. */
function requireOfficialForm(config: RwkvConfig): void {
  if ('decayForm' in config && config.decayForm !== 'official') {
    throw optionInvalid('decayForm', 'official in a new model', config.decayForm);
  }
  if (!('bonusForm' in config)) return;
  const expected = config.version === '5.0' ? 'exp' : 'plain';
  if (config.bonusForm !== expected) {
    throw optionInvalid(
      'bonusForm',
      `${expected} in a new RWKV-${config.version}`,
      config.bonusForm,
    );
  }
}
