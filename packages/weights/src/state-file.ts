/** State files: tuned initial states (official .pth or safetensors), and whole states as web-rwkv dumps them. */
import type { RwkvConfig } from '@rwkv-ts/model';
import { decode } from '@rwkv-ts/formats';
import type { ByteSource } from './byte-source.js';
import { refuseDuplicate } from './layouts/canonical.js';
import { stripWrapper } from './layouts/names.js';
import type { Piece } from './layouts/types.js';
import { viewOf } from './layouts/view.js';
import { openRawFile } from './open-raw-file.js';
import type { RawFile, RawTensor } from './raw-file.js';
import {
  expectFiniteState,
  headsOf,
  invalidState,
  programOrientation,
  readStates,
  type StateOptions,
  type StateOrientation,
  swapHeads,
  type WkvStates,
} from './states.js';

export interface OpenStateFileOptions extends StateOptions {
  /** Of the model that the state is for. */
  readonly config: RwkvConfig;
}

/**
 * Reads a state file and disposes of `source`. Tuned states (`blocks.i.att.time_state`, [H, N, N]) are kept
 * [H][value][key] in official files of every version, and turned into the program's order: v5 and v6 keep
 * S[h][key][value], v7 S[h][value][key]. Files of web-rwkv's converter (named `….st`) are turned already. Where a file
 * is another way round, say so with `orientation`: the shape cannot tell.
 *
 * A dump of web-rwkv's whole state ([L, N + 2, C] or [5 L, C], f32) also gives the shift states.
 * @returns by the program's state names: `blocks.i.att.wkv`, and `….att.shift`, `….ffn.shift` where the file has them
 * @throws WeightsError `STATE_FILE_INVALID`, `TENSOR_VALUES`, and what opening throws
 */
export async function openStateFile(
  source: ByteSource,
  { config, ...options }: OpenStateFileOptions,
): Promise<ReadonlyMap<string, Float32Array>> {
  const file = await openRawFile(source, options.signal ? { signal: options.signal } : {});
  try {
    return await statesOfRawFile(file, { config, ...options });
  } finally {
    await file[Symbol.asyncDispose]();
  }
}

/** `openStateFile` of an opened container, which stays the caller's. */
export async function statesOfRawFile(
  file: RawFile,
  { config, ...options }: OpenStateFileOptions,
): Promise<WkvStates> {
  const states = new Map<number, Piece>();
  const others: RawTensor[] = [];
  for (const [name, tensor] of file.tensors) {
    const match = /^blocks\.(\d{1,4})\.att\.time_state$/.exec(stripWrapper(name));
    if (!match) {
      others.push(tensor);
      continue;
    }
    const [canonical, layer] = match;
    const state: Piece = { name: canonical, parts: [viewOf(tensor)] };
    const previous = states.get(Number(layer));
    if (previous) refuseDuplicate(previous, state);
    states.set(Number(layer), state);
  }
  if (states.size > 0) {
    const converted = file.container === 'safetensors' && /\.st(?:[?#]|$)/i.test(file.name);
    const orientation: StateOrientation = converted ? 'key-value' : 'value-key';
    return readStates({ states, config, file: file.name, orientation, ...options });
  }
  const [only] = others;
  if (others.length === 1 && only?.format === 'f32')
    return readDump(only, { config, file, ...options });
  return invalidState(
    `${file.name} holds no blocks.i.att.time_state; its tensors are ${[...file.tensors.keys()].slice(0, 3).join(', ') || 'none'}.`,
    { expected: `${config.layers} time_state tensors`, got: file.tensors.size },
  );
}

interface DumpInput extends StateOptions {
  readonly config: RwkvConfig;
  readonly file: RawFile;
}

/** web-rwkv's own state: per layer a row for each shift, between them the rows of the matrix state. */
async function readDump(
  tensor: RawTensor,
  { config, file, signal }: DumpInput,
): Promise<WkvStates> {
  const { layers, channels } = config;
  const rows = config.version === '4' ? 5 : config.headSize + 2;
  const shape = tensor.shape.filter((size, axis) => size !== 1 || axis > 0);
  const expected = [layers, rows, channels];
  const fits =
    shape.reduce((product, size) => product * size, 1) === layers * rows * channels &&
    shape.at(-1) === channels &&
    (shape.length === 2 || (shape.length === 3 && shape[0] === layers));
  if (!fits) {
    invalidState(
      `${file.name}: ${tensor.name} is [${tensor.shape.join(', ')}]; a whole state of this model is [${expected.join(', ')}].`,
      { expected, got: tensor.shape },
    );
  }
  const values = decode(tensor.format, await tensor.read(signal ? { signal } : {}));
  expectFiniteState(values, tensor.name);
  const result = new Map<string, Float32Array>();
  for (let layer = 0; layer < layers; layer++) {
    const row = (index: number, count = 1): Float32Array =>
      values.slice((layer * rows + index) * channels, (layer * rows + index + count) * channels);
    result.set(`blocks.${layer}.att.shift`, row(0));
    const middle = row(1, rows - 2);
    const wkv = config.version === '4' ? middle : byHead(middle, { config, file: file.name });
    result.set(`blocks.${layer}.att.wkv`, wkv);
    result.set(`blocks.${layer}.ffn.shift`, row(rows - 1));
  }
  return result;
}

/** Row k, column h N + v, to [H][key][value], and on to the program's order. */
function byHead(
  middle: Float32Array,
  { config, file }: { config: RwkvConfig; file: string },
): Float32Array {
  const { heads, headSize } = headsOf(config, file);
  const result = new Float32Array(middle.length);
  for (let key = 0; key < headSize; key++) {
    for (let head = 0; head < heads; head++) {
      const from = key * config.channels + head * headSize;
      result.set(middle.subarray(from, from + headSize), (head * headSize + key) * headSize);
    }
  }
  return programOrientation(config) === 'key-value' ? result : swapHeads(result, heads, headSize);
}
