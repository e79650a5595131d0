/**
 * How far from the f64 reference losses and gradients may be, relative to the largest number of each tensor. They follow
 * from the op's forward bound: a backward is a few forwards' worth of sums. Measured over every case of the group, plain
 * f32 loops come within 9e-6 for one op and 3e-6 for a whole tiny model.
 */
import type { BackendSupports, OpKind } from '@rwkv-ts/backend';
import { type Bound, tolerances, units } from '../tolerance.js';

type Claims = Pick<BackendSupports, 'activations'>;

/** Of the softmax and what surrounds the op: an approximate exp, and a sum over the output. */
const around = 256;

/** `slack` as in `opBound`. */
export function trainingBound(kind: OpKind, { activations }: Claims, slack = 1): Bound {
  const { working, stored } = tolerances[kind];
  // In f16 every gradient is a stored value too.
  const half = activations === 'f16' ? 8 * (stored + 1) * units.f16 : 0;
  return { relative: (around + 4 * slack * working) * units.f32 + half, absolute: 2 ** -100 };
}

/** A whole tiny model's losses and gradients. */
export function modelTrainingBound({ activations }: Claims): Bound {
  return { relative: activations === 'f16' ? 3e-2 : 1e-4, absolute: 2 ** -100 };
}

/**
 * One step of the optimiser, and sums of numbers that both sides have alike: some roundings, a root and a quotient. A
 * correction of the means, 1 - βᵗ, cancels to a hundredth of 1 and loses as many units.
 */
export const updateBound: Bound = { relative: 1024 * units.f32, absolute: 2 ** -100 };
