/** A model to split, what is done with it, and the emulation's settings. */
import type { BackendError, Batch, HostWeight, Limits, Program } from '@rwkv-ts/backend';
import { createRandomWeights } from '@rwkv-ts/backend-kit';
import { buildProgram, type RwkvConfig } from '@rwkv-ts/model';
import { batchOf } from '../../backend-kit/conformance/batches.js';
import { handOver } from '../../backend-kit/conformance/session.js';
import type { CudaBackend } from '../src/index.js';

const config: RwkvConfig = {
  version: '7',
  layers: 6,
  channels: 64,
  channelMixSize: 128,
  vocabularySize: 96,
  normEpsilon: 1e-5,
  embeddingNorm: 'separate',
  heads: 2,
  headSize: 32,
  headNormEpsilon: 64e-5,
  ranks: { decay: 16, rate: 16, valueResidual: 16, gate: 16 },
};
export const program = buildProgram(config, { candidates: 4 });
export const weights = (): HostWeight[] => createRandomWeights(config, { seed: 5, format: 'f16' });
export const limits = { tokens: 24, sequences: 3, wanted: 6 };

/** The emulation reads its settings from the environment at each call. */
export function emulate(settings: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(settings))
    process.env[`RWKV_EMULATED_${name}`] = value;
}
export function emulateNothing(): void {
  for (const name of Object.keys(process.env)) {
    if (name.startsWith('RWKV_EMULATED_')) Reflect.deleteProperty(process.env, name);
  }
}

export interface Model {
  readonly program: Program;
  readonly weights: readonly HostWeight[];
  readonly limits?: Limits;
}

export async function open(backend: CudaBackend, model: Model = { program, weights: weights() }) {
  const own = model.program;
  const uploaded = await backend.upload(handOver(model.weights), { program: own });
  const states = await backend.createStates(own.states, 3);
  const bindings = { weights: uploaded, states };
  const executable = await backend.compile(own, bindings, model.limits ?? limits);
  return { weights: uploaded, states, executable };
}

export const single = (tokens: readonly number[], slot = 0): Batch =>
  batchOf([{ slot, tokens }], 'last');

export const firstStep = batchOf(
  [
    { slot: 2, tokens: [1, 2, 3] },
    { slot: 0, tokens: [4] },
  ],
  'last',
);
export const secondStep = single([5, 6], 2);

export const rejection = (promise: Promise<unknown>): Promise<BackendError> =>
  promise.then(
    () => {
      throw new Error('It did not reject.');
    },
    (error: unknown) => error as BackendError,
  );
