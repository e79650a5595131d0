/** A small v7 model on a fresh backend, everything compiled; the caller disposes of it. */
import { buildProgram } from '@rwkv-ts/model';
import { lower } from '@rwkv-ts/program';
import { createReferenceBackend, type ReferenceBackendOptions } from '../src/index.js';
import { sessionLimits } from './harness.js';
import { smallConfigs } from './models.js';
import { hostWeights, randomWeights } from './random.js';

/** With coarse ops. */
export const coarse = buildProgram(smallConfigs[5]!);
export const weights = randomWeights(coarse);
export const tokens = [3, 1, 4, 1, 5];

export async function prepare(options: ReferenceBackendOptions = {}) {
  const backend = createReferenceBackend(options);
  const program = lower(coarse, backend.supports.ops);
  const bindings = {
    weights: await backend.upload(hostWeights(program, weights)),
    states: await backend.createStates(program.states, 3),
  };
  const executable = await backend.compile(program, bindings, sessionLimits);
  return { backend, program, executable, ...bindings };
}

export const dispose = (handle: AsyncDisposable): PromiseLike<void> =>
  handle[Symbol.asyncDispose]();
