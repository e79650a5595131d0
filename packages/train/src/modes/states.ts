import { buildProgram } from '@rwkv-ts/model';
import { writeStateFile } from '@rwkv-ts/weights';
import { TrainError } from '../errors.js';
import { stateGroup } from '../optimizer/parameter-groups.js';
import type { ReadValues, TrainingMode } from './mode.js';

export interface StateTuningOptions {
  /** What to start from, by the program's state names, as `openStateFile` gives it. Default: the model's own, zeros. */
  readonly start?: ReadonlyMap<string, Float32Array> | undefined;
}

/**
 * State tuning: the matrix states that every text starts from learn, and the model is frozen, in whatever format it has.
 * @throws TrainError `MODE_UNSUPPORTED` (from `plan`) for RWKV-4, which has no matrix states
 */
export function stateTuning({ start }: StateTuningOptions = {}): TrainingMode {
  return {
    kind: 'states',
    settings: {},
    plan: (config) => {
      if (config.version === '4') {
        throw new TrainError({
          code: 'MODE_UNSUPPORTED',
          message: 'RWKV-4 has no matrix states to tune; LoRA or full training will do.',
          expected: 'RWKV-5, 6 or 7',
          got: 'RWKV-4',
        });
      }
      const program = buildProgram(config);
      const trainable = stateGroup(program);
      const names = trainable.map(({ name }) => name);
      return {
        program,
        trainable,
        added: [],
        ...(start === undefined ? {} : { start }),
        learned: ({ read }) => ({
          name: 'states.safetensors',
          write: async (sink) => writeStateFile(await readStates(names, read), sink, { config }),
        }),
        merged: ({ base }) => base,
        states: ({ read }) => readStates(names, read),
      };
    },
  };
}

async function readStates(
  names: readonly string[],
  read: ReadValues,
): Promise<ReadonlyMap<string, Float32Array>> {
  const states = new Map<string, Float32Array>();
  for (const name of names) states.set(name, await read(name));
  return states;
}
