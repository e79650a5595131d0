/** BlinkDL's own names and shapes: pairs [in, out] without `.weight`, small vectors [1, 1, C]. */
import type { RawDense } from '../fake-raw-file.js';
import type { DenseModel } from '../random-model.js';
import { blockOf, boxed, get, raw, stacked, transposed } from './dense.js';

const factor = /\.(?:att\.(?:[wavg][12]|time_maa_w1|time_decay_w[12])|ffn\.s[12])\.weight$/;
const boxedVector = /\.(?:time_mix_\w|time_maa_\w|x_\w|[wav]0|k_k|k_a)$/;

export function officialTensors(model: DenseModel): RawDense[] {
  const { config } = model;
  const tensors: RawDense[] = [];
  for (const [name, dense] of model.weights) {
    const rest = blockOf(name)?.rest ?? '';
    if (rest.startsWith('att.time_maa_w2.')) {
      if (!rest.startsWith('att.time_maa_w2.w.')) continue;
      const stem = name.replace('.w.weight', '');
      const parts = ['w', 'k', 'v', 'r', 'g'].map((mix) =>
        transposed(get(model, `${stem}.${mix}.weight`)),
      );
      tensors.push(raw(stem, stacked(parts)));
    } else if (factor.test(name)) {
      tensors.push(raw(name.replace(/\.weight$/, ''), transposed(dense)));
    } else if (boxedVector.test(name) || (config.version === '6' && rest === 'att.time_decay')) {
      tensors.push(raw(name, boxed(dense)));
    } else if (rest === 'att.time_faaaa' && 'bonusForm' in config && config.bonusForm === 'exp') {
      tensors.push(raw(name.replace('time_faaaa', 'time_first'), dense));
    } else {
      tensors.push(raw(name, dense));
    }
  }
  return tensors;
}
