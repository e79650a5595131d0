/** The weights of a model as numbers to set, and the idioms that layers are written in. */
import type { HostWeight } from '@rwkv-ts/backend';
import { encode } from '@rwkv-ts/formats';
import { canonicalWeights, type RwkvConfig7 } from '@rwkv-ts/model';
import { amplitude, type ChannelGroup, type Flag, flagOf } from './channels.js';

/** `sigmoid` of it is 1 in f32 and f64; of its negative, a number that is lost when added to ±1. */
export const saturating = 60;

/** Canonical tensors by name, all zero until set. */
export class ModelWeights {
  readonly config: RwkvConfig7;
  readonly #tensors: ReadonlyMap<
    string,
    { readonly shape: readonly number[]; readonly values: Float32Array }
  >;

  constructor(config: RwkvConfig7) {
    this.config = config;
    this.#tensors = new Map(
      canonicalWeights(config).map(({ name, shape }) => {
        const count = shape.reduce((product, size) => product * size, 1);
        return [name, { shape, values: new Float32Array(count) }];
      }),
    );
  }

  matrix(name: string): Matrix {
    const { shape, values } = this.#tensor(name);
    return new Matrix(values, shape[1]!);
  }

  vector(name: string): Float32Array {
    return this.#tensor(name).values;
  }

  hostWeights(): HostWeight[] {
    return [...this.#tensors].map(([name, { shape, values }]) => {
      return { name, shape, format: 'f32', bytes: encode('f32', values) };
    });
  }

  #tensor(name: string) {
    const tensor = this.#tensors.get(name);
    if (!tensor) throw new TypeError(`The model has no weight ${name}.`);
    return tensor;
  }
}

/** [out, in] */
export class Matrix {
  readonly #values: Float32Array;
  readonly #columns: number;

  constructor(values: Float32Array, columns: number) {
    this.#values = values;
    this.#columns = columns;
  }

  add(row: number, column: number, value: number): void {
    this.#values[row * this.#columns + column]! += value;
  }
}

/** Inputs of a matrix that reads a normed residual: channels are ±1, and `one` is always 1. */
export interface NormedInput {
  readonly one: number;
}

/** `value` in `row` where the flag is true, else 0. */
export function addWhere(
  matrix: Matrix,
  {
    row,
    where,
    value,
    one,
  }: NormedInput & { readonly row: number; readonly where: Flag; readonly value: number },
): void {
  matrix.add(row, where.channel, (where.sign * value) / 2);
  matrix.add(row, one, value / 2);
}

/** True when the group's member is among `members`. */
export interface Requirement {
  readonly group: ChannelGroup;
  readonly members: readonly number[];
}

/** A hidden unit of the channel-mix: where all requirements are met, each group of `choose` takes its member. */
export interface Unit {
  readonly require: readonly Requirement[];
  readonly choose: readonly { readonly group: ChannelGroup; readonly member: number }[];
}

/** Units that only confirm what a group has anyway do nothing. */
export function usefulUnits(units: readonly Unit[]): Unit[] {
  return units.filter(({ choose }) => choose.some(({ group, member }) => member !== group.initial));
}

/**
 * Channel-mix of a block: hidden unit i is relu(met - (requirements - 1))², which is 1 where all are met and 0 elsewhere.
 * Of the units that choose in one group at most one is 1.
 */
export function setUnits(
  weights: ModelWeights,
  { block, units, one }: NormedInput & { readonly block: string; readonly units: readonly Unit[] },
): void {
  const key = weights.matrix(`${block}.ffn.key.weight`);
  const value = weights.matrix(`${block}.ffn.value.weight`);
  for (const [unit, { require, choose }] of units.entries()) {
    key.add(unit, one, 1 - require.length);
    for (const { group, members } of require) {
      for (const member of members) {
        addWhere(key, { row: unit, where: flagOf(group, member), value: 1, one });
      }
    }
    for (const { group, member } of choose) {
      if (member === group.initial) continue;
      value.add(group.channels[member]!, unit, 2 * group.sign * amplitude);
      value.add(group.channels[group.initial]!, unit, -2 * group.sign * amplitude);
    }
  }
}

/** What all models of the construction share: norms that only scale, no token shift, no decay, a gate of 1. */
export function setFrame(weights: ModelWeights): void {
  const fill = (name: string, value: number) => weights.vector(name).fill(value);
  // ln0 divides the embedding by A, as every norm does; it goes on with ±A.
  fill('blocks.0.ln0.weight', amplitude);
  fill('ln_out.weight', 1);
  for (let layer = 0; layer < weights.config.layers; layer++) {
    const block = `blocks.${layer}`;
    fill(`${block}.ln1.weight`, 1);
    fill(`${block}.ln2.weight`, 1);
    fill(`${block}.att.ln_x.weight`, 1);
    // exp(-exp(-1/2) sigmoid(-60)) is 1.
    fill(`${block}.att.w0`, -saturating);
    // A layer's value is its own: sigmoid(-60) of the first layer's is lost beside it.
    if (layer > 0) fill(`${block}.att.v0`, -saturating);
    fill(`${block}.att.k_k`, 1);
    // sigmoid(0) is 1/2.
    fill(`${block}.att.g2.weight`, 2);
  }
}
