/** rwkv.cpp's converter (formats.md 4.5): official names, transformed decays, dimensions of 1 at the end. */
import type { RawDense } from '../fake-raw-file.js';
import type { Dense, DenseModel } from '../random-model.js';
import { blockOf, boxed, get, mapped, raw, reshaped, stacked } from './dense.js';

const trailing = (dense: Dense, count: number): Dense =>
  reshaped(dense, [...dense.shape, ...Array.from({ length: count }, () => 1)]);

/** What the converter writes instead of time_decay and the bonus: the numbers themselves, not what they are the exponent of. */
export function appliedForms(model: DenseModel): DenseModel {
  const { config } = model;
  if (!('decayForm' in config)) return model;
  const weights = new Map(model.weights);
  for (const [name, dense] of weights) {
    if (name.endsWith('.att.time_decay') && config.decayForm === 'official') {
      const apply =
        config.version === '4'
          ? (d: number) => -Math.exp(d)
          : (d: number) => Math.exp(-Math.exp(d));
      weights.set(name, mapped(dense, apply));
    }
    if (name.endsWith('.att.time_faaaa') && 'bonusForm' in config && config.bonusForm === 'exp') {
      weights.set(name, mapped(dense, Math.exp));
    }
  }
  const plain = 'bonusForm' in config ? { bonusForm: 'plain' } : {};
  return { config: { ...config, decayForm: 'applied', ...plain } as DenseModel['config'], weights };
}

export function rwkvCppTensors(model: DenseModel): RawDense[] {
  const { config, weights } = appliedForms(model);
  const tensors: RawDense[] = [];
  const heads = 'heads' in config ? [config.heads, config.headSize] : [];
  for (const [name, dense] of weights) {
    const rest = blockOf(name)?.rest ?? '';
    if (rest.startsWith('att.time_maa_w2.')) {
      if (!rest.startsWith('att.time_maa_w2.w.')) continue;
      const stem = name.replace('.w.weight', '');
      tensors.push(
        raw(
          stem,
          stacked(['w', 'k', 'v', 'r', 'g'].map((mix) => get(model, `${stem}.${mix}.weight`))),
        ),
      );
    } else if (/^att\.(?:time_maa_w1|time_decay_w[12]|[wavg][12])\.weight$/.test(rest)) {
      tensors.push(raw(name.replace(/\.weight$/, ''), dense));
    } else if (/^att\.x_/.test(rest)) {
      if (rest !== 'att.x_r') continue;
      const mixes = ['r', 'w', 'k', 'v', 'a', 'g'].map((mix) =>
        get(model, name.replace(/x_r$/, `x_${mix}`)),
      );
      tensors.push(
        raw(
          name.replace('x_r', 'x_rwkvag'),
          stacked(mixes.map((mix) => reshaped(mix, [1, mix.values.length]))),
        ),
      );
    } else if (rest === 'att.time_decay' || rest === 'att.time_faaaa') {
      tensors.push(raw(...timeTensor(name, { dense, version: config.version, heads })));
    } else if (/\.(?:k_k|k_a|[wav]0|x_k)$/.test(rest)) {
      tensors.push(raw(name, boxed(dense)));
    } else tensors.push(raw(name, dense));
  }
  return tensors;
}

function timeTensor(
  name: string,
  { dense, version, heads }: { dense: Dense; version: string; heads: readonly number[] },
): [string, Dense] {
  switch (version) {
    case '4':
      return [name, dense];
    case '5.0':
      return [name.replace('time_faaaa', 'time_first'), trailing(dense, 2)];
    case '6':
      return [name, trailing(reshaped(dense, heads), 1)];
    default:
      return [name, trailing(dense, 1)];
  }
}
