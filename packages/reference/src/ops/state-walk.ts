/** Going backwards through a recurrence over matrices, whose states are computed again rather than kept. */
import type { Numbers } from '../numbers.js';
import type { BackwardContext } from './backward-context.js';

/** One token of one head. */
export interface Place {
  readonly t: number;
  readonly h: number;
}

/** S before and after a token, each [N, N] from its offset in `states`, and dS [N, N] of after it. */
export interface StatesAround {
  readonly states: Numbers;
  readonly before: number;
  readonly after: number;
  /** To be replaced by the gradient of the state before the token. */
  readonly gradient: Float64Array;
}

export interface StateWalk {
  /** One token of the recurrence, in place: S [N, N] from offset `at`. */
  readonly advance: (states: Numbers, at: number, place: Place) => void;
  readonly visit: (place: Place, around: StatesAround) => void;
}

/**
 * The states [H, N, N] of the op's sequences, head by head from the last token to the first, with dS from the slot and back
 * into it.
 *
 * From the state before the step a first pass keeps every Q-th state; then, last chunk first, the Q states of a chunk are
 * computed again from the one that was kept. With Q = √T that is 2 √T matrices for any number of heads and sequences, at
 * the price of two forward passes.
 */
export function createStateWalk(
  { state, heads, n }: { readonly state: string; readonly heads: number; readonly n: number },
  context: BackwardContext,
): (walk: StateWalk) => void {
  const { step, mostTokens } = context;
  const matrix = n * n;
  const interval = Math.ceil(Math.sqrt(mostTokens));
  const kept = context.stateScratch(Math.ceil(mostTokens / interval) * matrix);
  const states = context.stateScratch((interval + 1) * matrix);
  const gradient = context.scratch(matrix);
  const stateBefore = context.stateBefore(state);
  const { values: stateGradient, size } = context.stateGradient(state);

  const keep = (from: number, { start, end, h }: Range, { advance }: StateWalk): void => {
    states.set(stateBefore.subarray(from, from + matrix));
    for (let t = start; t < end; t++) {
      const at = t - start;
      if (at % interval === 0) kept.set(states.subarray(0, matrix), (at / interval) * matrix);
      advance(states, 0, { t, h });
    }
  };
  const walkChunk = (first: number, { start, end, h }: Range, walk: StateWalk): void => {
    const from = ((first - start) / interval) * matrix;
    states.set(kept.subarray(from, from + matrix));
    const last = Math.min(first + interval, end);
    for (let t = first; t < last; t++) {
      const at = (t - first) * matrix;
      states.copyWithin(at + matrix, at, at + matrix);
      walk.advance(states, at + matrix, { t, h });
    }
    for (let t = last - 1; t >= first; t--) {
      const before = (t - first) * matrix;
      walk.visit({ t, h }, { states, before, after: before + matrix, gradient });
    }
  };
  return (walk) => {
    for (let s = 0; s < step.sequences; s++) {
      for (let h = 0; h < heads; h++) {
        const range = { start: step.starts[s]!, end: step.starts[s + 1]!, h };
        keep(s * size + h * matrix, range, walk);
        const slot = step.slots[s]! * size + h * matrix;
        gradient.set(stateGradient.subarray(slot, slot + matrix));
        const chunks = Math.ceil((range.end - range.start) / interval);
        for (let chunk = chunks - 1; chunk >= 0; chunk--) {
          walkChunk(range.start + chunk * interval, range, walk);
        }
        stateGradient.set(gradient, slot);
      }
    }
  };
}

interface Range {
  readonly start: number;
  readonly end: number;
  readonly h: number;
}
