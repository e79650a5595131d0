/** Tuned initial states: one [H, N, N] matrix per layer, whose two orientations look the same. */
import { decode } from '@rwkv-ts/formats';
import type { RwkvConfig } from '@rwkv-ts/model';
import { WeightsError } from './errors.js';
import type { Piece } from './layouts/types.js';
import { dropLeadingOnes, isContiguous } from './layouts/view.js';

/** By the program's state names, `blocks.i.att.wkv`; row-major as the program's `StateSpec` has them. */
export type WkvStates = ReadonlyMap<string, Float32Array>;

/** What the last two dimensions of a stored state are: `value-key` in official files of every version. */
export type StateOrientation = 'value-key' | 'key-value';

export interface StateOptions {
  /** Overrides what the file's layout implies. */
  readonly orientation?: StateOrientation;
  readonly signal?: AbortSignal;
}

export function invalidState(
  message: string,
  { expected, got }: { expected: unknown; got: unknown },
): never {
  throw new WeightsError({ code: 'STATE_FILE_INVALID', message, expected, got });
}

/** The config's heads; RWKV-4 has none, and no matrix state. */
export function headsOf(
  config: RwkvConfig,
  file: string,
): { readonly heads: number; readonly headSize: number } {
  if (config.version === '4') {
    return invalidState(`${file} holds matrix states, but an RWKV-4 model has none.`, {
      expected: 'an RWKV-5, 6 or 7 model',
      got: 'RWKV-4',
    });
  }
  return config;
}

/** The program's own order: v7 keeps S[h][value][key], v5 and v6 S[h][key][value]. */
export function programOrientation(config: RwkvConfig): StateOrientation {
  return config.version.startsWith('7') ? 'value-key' : 'key-value';
}

/** Swaps the last two dimensions of [H, N, N]. */
export function swapHeads(values: Float32Array, heads: number, size: number): Float32Array {
  const result = new Float32Array(values.length);
  for (let head = 0; head < heads; head++) {
    const start = head * size * size;
    for (let row = 0; row < size; row++) {
      for (let column = 0; column < size; column++) {
        result[start + column * size + row] = values[start + row * size + column]!;
      }
    }
  }
  return result;
}

export interface ReadStatesInput extends StateOptions {
  /** `time_state` tensors by layer. */
  readonly states: ReadonlyMap<number, Piece>;
  readonly config: RwkvConfig;
  readonly file: string;
  readonly orientation: StateOrientation;
}

/** @throws WeightsError `STATE_FILE_INVALID`, `TENSOR_VALUES` */
export async function readStates({
  states,
  config,
  file,
  orientation,
  signal,
}: ReadStatesInput): Promise<WkvStates> {
  const { heads, headSize } = headsOf(config, file);
  const layers = Array.from({ length: config.layers }, (_, layer) => layer);
  if (states.size !== config.layers || layers.some((layer) => !states.has(layer))) {
    invalidState(`${file} holds states of ${states.size} layers, the model has ${config.layers}.`, {
      expected: config.layers,
      got: states.size,
    });
  }
  for (const piece of states.values()) checkShape(piece, { heads, headSize, file });
  const result = new Map<string, Float32Array>();
  for (const layer of layers) {
    const { tensor } = states.get(layer)!.parts[0]!;
    const values = decode(tensor.format, await tensor.read(signal ? { signal } : {}));
    expectFiniteState(values, tensor.name);
    const turn = orientation !== programOrientation(config);
    result.set(`blocks.${layer}.att.wkv`, turn ? swapHeads(values, heads, headSize) : values);
  }
  return result;
}

function checkShape(
  piece: Piece,
  { heads, headSize, file }: { heads: number; headSize: number; file: string },
): void {
  const view = piece.parts[0]!;
  const expected = [heads, headSize, headSize];
  // One head may come without its dimension, several with a batch of 1 in front.
  const shape = view.tensor.shape.length > 3 ? dropLeadingOnes(view).shape : view.tensor.shape;
  const got = shape.length === 2 ? [1, ...shape] : shape;
  if (isContiguous(view) && got.length === 3 && got.every((size, axis) => size === expected[axis]))
    return;
  invalidState(
    `${file}: ${view.tensor.name} is [${view.tensor.shape.join(', ')}], the model's states are [${expected.join(', ')}].`,
    { expected, got: view.tensor.shape },
  );
}

export function expectFiniteState(values: Float32Array, name: string): void {
  const bad = values.findIndex((value) => !Number.isFinite(value));
  if (bad < 0) return;
  throw new WeightsError({
    code: 'TENSOR_VALUES',
    message: `${name} holds a NaN or an infinity at element ${bad}.`,
    expected: 'finite numbers',
    got: bad,
  });
}
