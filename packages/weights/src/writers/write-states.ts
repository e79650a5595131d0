/** Tuned initial states as a file: what `openStateFile` and `time_state` in the Python programs read. */
import { encode } from '@rwkv-ts/formats';
import type { RwkvConfig } from '@rwkv-ts/model';
import type { ByteSink } from '../byte-source.js';
import { headsOf, invalidState, programOrientation, swapHeads, type WkvStates } from '../states.js';
import { writeTensors } from './write-tensors.js';

export interface WriteStateFileOptions {
  /** Of the model that the states are for. */
  readonly config: RwkvConfig;
}

/**
 * Writes `blocks.i.att.time_state` [H, N, N], [H][value][key] as official files of every version have it, into `sink` as
 * safetensors, and closes it. A file whose name ends in `.st` would be taken for one of web-rwkv, which is the other way
 * round; name it `….safetensors`.
 * @param states `blocks.i.att.wkv` of every layer, in the program's order
 * @throws WeightsError `STATE_FILE_INVALID`, `SINK_FAILED`
 */
export async function writeStateFile(
  states: WkvStates,
  sink: ByteSink,
  { config }: WriteStateFileOptions,
): Promise<void> {
  const { heads, headSize } = headsOf(config, 'The state file');
  const count = heads * headSize * headSize;
  const turn = programOrientation(config) === 'key-value';
  const tensors = Array.from({ length: config.layers }, (_, layer) => {
    const name = `blocks.${layer}.att.wkv`;
    const values = states.get(name);
    if (values?.length !== count) {
      return invalidState(
        `${name} must have ${count} numbers, got ${String(values?.length ?? 'none')}.`,
        { expected: count, got: values?.length },
      );
    }
    const official = turn ? swapHeads(values, heads, headSize) : values;
    return {
      name: `blocks.${layer}.att.time_state`,
      shape: [heads, headSize, headSize],
      format: 'f32' as const,
      read: async () => encode('f32', official),
    };
  });
  await writeTensors(tensors, sink);
}
