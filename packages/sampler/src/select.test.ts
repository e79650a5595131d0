import { expect, it } from 'vitest';
import { TestRandom } from '../test/random-rows.js';
import { thresholdOfMass } from './select.js';

it('finds the threshold a sort would find', () => {
  const random = new TestRandom(11);
  const makers = [
    () => random.normal(),
    () => Math.round(3 * random.normal()),
    () => 7,
    () => Math.exp(60 * random.normal()),
    () => (random.uniform() < 0.01 ? -1e308 : 1e308) * random.uniform(),
  ];
  for (let round = 0; round < 500; round++) {
    const length = random.pick([1, 2, 32, 33, 34, 300, 2000]);
    const make = random.pick(makers);
    const values = Float64Array.from({ length }, make);
    // Whole weights, so that both orders of summation are exact.
    const weights = Float64Array.from({ length }, () => random.below(5));
    const all = weights.reduce((a, b) => a + b);
    const target = random.pick([0, 1, Math.floor(all / 3), all, all + 1]);
    const order = Array.from(values.keys()).sort((a, b) => values[b]! - values[a]!);
    let sum = 0;
    const found = order.find((at) => (sum += weights[at]!) >= target) ?? order.at(-1)!;
    const expected = values[found]!;
    const got = thresholdOfMass({ values, weights, length, target });
    expect(got).toBe(expected);
  }
});
