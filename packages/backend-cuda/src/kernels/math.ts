import type { Activation } from '@rwkv-ts/backend';
import { activations } from '@rwkv-ts/program';

/** What native/kernels/math.cuh calls an activation; 0 is none. */
export const activationCode = (activation: Activation | undefined): number =>
  activation === undefined ? 0 : activations.indexOf(activation) + 1;
