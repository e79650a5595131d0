/**
 * How far from the f64 reference a backend may be. It follows from the precision of activations that the backend
 * claims and from the op, never from who the backend is.
 *
 * Every bound is relative to the largest magnitude of the row, because sums cancel: the error of one small element of a
 * matmul is made by the large terms of its row. It has two parts:
 *
 * - `working` units of 2⁻²⁴ for arithmetic inside the op. The contract leaves the order of sums and the approximation of
 *   exp and tanh open, but they, the norms' statistics and the states are f32 even where activations are f16. A sum
 *   of n products errs by about √n units in practice and n at worst; the numbers lie between, and leave room for the
 *   exp of a GPU (WGSL allows 3 + 2|x| units).
 * - `stored` units of the claimed precision for values that are stored on the way: the output, and for a coarse op the
 *   intermediate values, which a backend may or may not keep in registers.
 *
 * For f64 the working unit is 2⁻⁵³ where nothing is f32 by contract; states are f32 blocks, and a parameter's form may
 * be applied in f32, so ops that have either keep 2⁻²⁴.
 */
import type { BackendSupports, OpKind } from '@rwkv-ts/backend';

interface OpTolerance {
  readonly working: number;
  readonly stored: number;
  /** The op has a state or a parameter form, which are f32 even in an f64 backend. */
  readonly single?: true;
}

export const tolerances: { readonly [K in OpKind]: OpTolerance } = {
  embed: { working: 0, stored: 1 },
  'select-rows': { working: 0, stored: 0 },
  norm: { working: 32, stored: 1 },
  'l2-norm': { working: 16, stored: 1 },
  shift: { working: 0, stored: 0 },
  lerp: { working: 4, stored: 2, single: true },
  matmul: { working: 64, stored: 1 },
  'row-matmul': { working: 64, stored: 1 },
  add: { working: 4, stored: 1, single: true },
  mul: { working: 4, stored: 1, single: true },
  scale: { working: 2, stored: 1 },
  activate: { working: 64, stored: 1 },
  slice: { working: 0, stored: 0 },
  // A part in 100,000, which the contract allows the sum; what a case looks at is stored once more, as a slice.
  'top-k': { working: 160, stored: 1, single: true },
  wkv4: { working: 256, stored: 1, single: true },
  wkv6: { working: 128, stored: 1, single: true },
  wkv7: { working: 256, stored: 1, single: true },
  bonus7: { working: 64, stored: 1, single: true },
  'shift-mix': { working: 64, stored: 4, single: true },
  'shift-mix6': { working: 256, stored: 8, single: true },
  'low-rank': { working: 256, stored: 4, single: true },
  linear: { working: 128, stored: 4 },
  prepare7: { working: 64, stored: 4, single: true },
  'time-mix6': { working: 512, stored: 4, single: true },
  'time-mix7': { working: 512, stored: 6, single: true },
};

/** How far a number may be off: `relative` times its row's scale, and `absolute` besides. */
export interface Bound {
  readonly relative: number;
  readonly absolute: number;
}

/** Smallest steps: f16 has none below 2⁻²⁴, and below the smallest normal f32 a device may flush to zero. */
const smallest = { f64: 2 ** -126, f32: 2 ** -126, f16: 2 ** -24 } as const;

export const units = { f64: 2 ** -53, f32: 2 ** -24, f16: 2 ** -11 } as const;

/**
 * The bound for one op. `slack` multiplies the working part where a case's numbers are badly
 * conditioned on purpose; the case says why.
 */
export function opBound(
  kind: OpKind,
  { activations }: Pick<BackendSupports, 'activations'>,
  slack = 1,
): Bound {
  const { working, stored, single } = tolerances[kind];
  const unit = activations === 'f64' && !single ? units.f64 : units.f32;
  const relative = slack * working * unit + stored * units[activations];
  return { relative, absolute: smallest[activations] };
}

/**
 * The bound for a whole tiny model's logits, relative to the row's largest. Measured over 64 greedy and 33 given tokens
 * of every version against the f64 reference: plain f32 loops come within 7e-7, values rounded to f16 after every
 * primitive op within 4.4e-3. f32 leaves room for the approximate exp and tanh of a GPU, some twenty in a row.
 */
export function logitsBound({ activations }: Pick<BackendSupports, 'activations'>): Bound {
  const relative = { f64: 2e-6, f32: 5e-5, f16: 8e-3 }[activations];
  return { relative, absolute: smallest[activations] };
}
