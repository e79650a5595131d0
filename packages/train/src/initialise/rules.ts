/** How a weight starts: the vocabulary in which the rules of all versions are written. */
import { power } from './elementary.js';
import type { NamedRandom } from './random.js';

/** Where a weight stands. */
export interface Place {
  /** Of the weight's block; 0 for weights outside all blocks. */
  readonly layer: number;
  readonly layers: number;
  /** C */
  readonly channels: number;
  /** N; C in RWKV-4, which has no heads. */
  readonly headSize: number;
}

/** Numbers for a weight, row-major. */
export type Rule = (
  shape: readonly number[],
  place: Place,
  random: () => NamedRandom,
) => Float32Array;

/** By the end of a canonical name: what follows `blocks.i.`, or the whole name where there is no block. */
export type Rules = Readonly<Record<string, Rule>>;

export const sizeOf = (shape: readonly number[]): number =>
  shape.reduce((product, size) => product * size, 1);

export const constant =
  (value: number): Rule =>
  (shape) =>
    new Float32Array(sizeOf(shape)).fill(value);

/** A number for each element, from its index. */
export const elementwise =
  (value: (index: number, place: Place, count: number) => number): Rule =>
  (shape, place) => {
    const count = sizeOf(shape);
    return Float32Array.from({ length: count }, (_, index) => value(index, place, count));
  };

/** Uniform in [-bound, bound). */
export const uniform =
  (bound: number): Rule =>
  (shape, _, random) => {
    const source = random();
    return Float32Array.from({ length: sizeOf(shape) }, () => source.uniform(-bound, bound));
  };

/** From 0 in the first layer to 1 in the last; 0 where there is only one. */
export const depth = ({ layer, layers }: Place): number => (layers > 1 ? layer / (layers - 1) : 0);

/** From 1 in the first layer almost to 0 in the last. */
export const height = ({ layer, layers }: Place): number => 1 - layer / layers;

/** From 0 for the first to 1 for the last of `count`; 0 where there is only one. */
export const position = (index: number, count: number): number =>
  count > 1 ? index / (count - 1) : 0;

/** (i / C)^exponent, the share of channel i: later channels look more at the current token (v4 and v5). */
export const ramp = (
  exponent: (place: Place) => number,
  more: (place: Place) => number = () => 0,
) => elementwise((index, place, count) => power(index / count, exponent(place)) + more(place));

/** 1 - (i / C)^exponent: the same where the mix is the share of the previous token (v6 and v7). */
export const fall = (
  exponent: (place: Place) => number,
  less: (place: Place) => number = () => 0,
) => elementwise((index, place, count) => 1 - power(index / count, exponent(place)) - less(place));

/** -1, 0, 1 in turn, from 0 on. */
export const threefold = (index: number): number => ((index + 1) % 3) - 1;
