/**
 * How layers count positions: a chain of counters, each a one-hot marker in m registers. A counter makes at most one swap
 * a token, told by the position modulo the period before it: at position p below m - 1 it swaps registers p and p + 1,
 * and later it rests. That is a cycle of length m once a period, so the period grows by m, and m is at most one more
 * than the period before: 2, then up to 3, then up to 7.
 */
import type { RegisterMove } from './register-moves.js';

const mostCounters = 3;

export interface Counter {
  readonly registers: number;
  /** Of the counters before this one; 1 for the first. */
  readonly periodBefore: number;
  readonly period: number;
  /** [period] the register that holds the marker once the letter at a position was read. It starts where it ends. */
  readonly marker: readonly number[];
}

/** The counters with the smallest period that `multiple` divides; undefined where three do not reach it. */
export function countersFor(multiple: number): readonly Counter[] | undefined {
  let best: readonly number[] | undefined;
  let least = Infinity;
  const extend = (sizes: readonly number[], period: number): void => {
    if (period % multiple === 0 && period < least) [best, least] = [sizes, period];
    if (sizes.length === mostCounters) return;
    for (let size = 2; size <= period + 1; size++) extend([...sizes, size], period * size);
  };
  extend([], 1);
  let periodBefore = 1;
  return best?.map((registers) => {
    const counter = createCounter(registers, periodBefore);
    periodBefore = counter.period;
    return counter;
  });
}

/** The move at a position modulo the period before; undefined where it rests. */
export function counterMove(position: number, registers: number): RegisterMove | undefined {
  return position < registers - 1 ? { kind: 'swap', to: position, from: position + 1 } : undefined;
}

function createCounter(registers: number, periodBefore: number): Counter {
  const period = registers * periodBefore;
  let at = 0;
  const marker = Array.from({ length: period }, (_, position) => {
    const move = counterMove(position % periodBefore, registers);
    if (move && (at === move.to || at === move.from)) at = move.to + move.from - at;
    return at;
  });
  return { registers, periodBefore, period, marker };
}
