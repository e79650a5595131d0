/** Distributions that several op kinds share. */
import type { Draw } from '../../src/random.js';
import { uniform } from '../../src/random.js';

/** As large as activations of real models get; a sum or product of them must still fit in f16 where f16 is claimed. */
export const large: Draw = uniform(-1e4, 1e4);

/** Decays from almost all forgotten to nothing forgotten, most near 1 as in trained models. */
export const decays: Draw = (random) => {
  const choice = [1e-4, 0.1, 0.6, 0.9, 0.99, 0.999, 1][random.integer(7)] ?? 1;
  return choice * (1 - 0.01 * random.uniform());
};

/** Stored decays of v5 and v6: exp(-exp(x)) runs from 0 over the middle to 1 within 1e-5. */
export const storedDecays: Draw = uniform(-12, 5);

/** Vectors of length about 1 for heads of `size`. */
export const direction =
  (size: number): Draw =>
  (random) =>
    random.normal() / Math.sqrt(size);

/** A one in a random place of every `size` numbers, zeros elsewhere: a unit vector that f16 holds exactly. */
export function oneHot(size: number): Draw {
  let [index, chosen] = [0, 0];
  return (random) => {
    if (index % size === 0) chosen = random.integer(size);
    return index++ % size === chosen ? 1 : 0;
  };
}
