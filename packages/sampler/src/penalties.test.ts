import { describe, expect, it } from 'vitest';
import { TestRandom } from '../test/random-rows.js';
import { SlowSampler } from '../test/slow-sampler.js';
import { resolveOptions, type SamplerOptions } from './options.js';
import { Penalties } from './penalties.js';
import { scratchFor } from './scratch.js';

const size = 50;

/** The penalised row, by way of the list of changed tokens. */
function penalised(penalties: Penalties, row: Float64Array): Float64Array {
  const scratch = scratchFor(size);
  scratch.row.set(row);
  const changed = penalties.apply(scratch);
  const result = row.slice();
  for (let at = 0; at < changed; at++) {
    const token = scratch.changed[at]!;
    result[token] = scratch.changedAdjusted[at]!;
    scratch.slots[token] = -1;
  }
  return result;
}

describe('penalties with a common decay', () => {
  for (const penaltyDecay of [0, 1e-200, 0.3, 0.9, 0.996, 0.999999, 1]) {
    it(`are those of multiplying every count at every step, decay ${penaltyDecay}`, () => {
      const random = new TestRandom(6);
      const options: SamplerOptions = {
        presencePenalty: 0.3,
        frequencyPenalty: 0.7,
        penaltyDecay,
        repetitionPenalty: 1.3,
        repetitionWindow: 7,
        penaltyExempt: new Set([5, 6]),
      };
      const penalties = new Penalties(resolveOptions(size, options));
      const naive = new SlowSampler(options, () => 0);
      const row = Float64Array.from({ length: size }, () => random.normal());
      for (let step = 0; step < 3000; step++) {
        const token = random.below(step % 1000 < 500 ? size : 9);
        penalties.accept(token);
        naive.accept(token);
        if (step % 97 !== 0) continue;
        const expected = naive.adjust(row);
        penalised(penalties, row).forEach((logit, at) => {
          expect(Math.abs(logit - expected[at]!)).toBeLessThan(1e-12 * (1 + Math.abs(logit)));
        });
      }
    });
  }

  it('load what save gave, and forget on reset', () => {
    const options = {
      frequencyPenalty: 1,
      penaltyDecay: 0.5,
      repetitionPenalty: 2,
      repetitionWindow: 3,
    };
    const one = new Penalties(resolveOptions(size, options));
    for (const token of [1, 2, 1, 9, 9]) one.accept(token);
    const state = one.save();
    expect(state.window).toEqual([1, 9, 9]);
    const other = new Penalties(resolveOptions(size, options));
    other.load(state);
    const row = new Float64Array(size).fill(4);
    for (const penalties of [one, other]) penalties.accept(3);
    expect(penalised(other, row)).toEqual(penalised(one, row));
    // By hand: 9 was seen 1 and 2 steps before token 3, which halves them once more; 4 / 2 - (1/2 + 1/4).
    expect(penalised(one, row)[9]).toBe(1.25);
    one.reset();
    expect(penalised(one, row)).toEqual(row);
  });
});
