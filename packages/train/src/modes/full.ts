import type { HostWeight } from '@rwkv-ts/backend';
import { buildProgram, canonicalWeights, type RwkvConfig } from '@rwkv-ts/model';
import { type WritableModel, writeSafetensors } from '@rwkv-ts/weights';
import { initialWeights, type InitialiseOptions } from '../initialise/initialise.js';
import { hostWeight } from '../numbers.js';
import { parameterGroups } from '../optimizer/parameter-groups.js';
import type { ReadValues, TrainingMode } from './mode.js';

/** A model that does not exist yet: initialised as its weights are asked for, the same every time. */
export function newModel(config: RwkvConfig, options: InitialiseOptions): WritableModel {
  return {
    config,
    tensors: canonicalWeights(config).map((spec) => ({ ...spec, format: 'f32' })),
    weights: () => initialWeights(config, options),
  };
}

/** The model as it stands in a training. */
function learnedModel(config: RwkvConfig, read: ReadValues): WritableModel {
  const specs = canonicalWeights(config);
  return {
    config,
    tensors: specs.map((spec) => ({ ...spec, format: 'f32' })),
    async *weights(): AsyncGenerator<HostWeight> {
      for (const spec of specs) yield hostWeight(spec, await read(spec.name));
    },
  };
}

/** Every weight learns. */
export function fullTraining(): TrainingMode {
  return {
    kind: 'full',
    settings: {},
    plan: (config) => ({
      program: buildProgram(config),
      trainable: parameterGroups(config),
      added: [],
      learned: ({ read }) => ({
        name: 'model.safetensors',
        write: (sink) => writeSafetensors(learnedModel(config, read), sink, { layout: 'official' }),
      }),
      merged: ({ read }) => learnedModel(config, read),
    }),
  };
}
