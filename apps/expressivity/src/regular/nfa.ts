/** Nondeterministic automata: Thompson's construction (Thompson 1968), two states for every node of the tree. */
import { ExpressivityError } from '../errors.js';
import type { Regex } from './regex.js';

export interface Nfa {
  readonly starts: readonly number[];
  readonly accepting: ReadonlySet<number>;
  /** By state: where it goes without a letter. */
  readonly free: readonly (readonly number[])[];
  /** By state: where it goes with one of `letters`. */
  readonly moves: readonly (readonly {
    readonly letters: readonly number[];
    readonly to: number;
  }[])[];
}

/** Counted repetition copies its part, so that a short pattern can ask for a great many states. */
const mostStates = 20_000;

/** @throws ExpressivityError `AUTOMATON_TOO_LARGE` */
export function nfaOf(regex: Regex): Nfa {
  const free: number[][] = [];
  const moves: { letters: readonly number[]; to: number }[][] = [];
  const state = (): number => {
    if (free.length >= mostStates) {
      throw new ExpressivityError({
        code: 'AUTOMATON_TOO_LARGE',
        message: `The pattern needs more than ${mostStates} states before it is made deterministic.`,
        expected: mostStates,
      });
    }
    moves.push([]);
    return free.push([]) - 1;
  };
  /** Wires `node` between two states, `from` before it and the returned one after it. */
  const wire = (node: Regex, from: number): number => {
    switch (node.kind) {
      case 'letters': {
        const to = state();
        moves[from]!.push({ letters: node.letters, to });
        return to;
      }
      case 'sequence':
        return node.parts.reduce((at, part) => wire(part, at), from);
      case 'alternation': {
        const to = state();
        for (const part of node.parts) {
          // A state of its own, so that a loop inside one part leads into no other.
          const start = state();
          free[from]!.push(start);
          free[wire(part, start)]!.push(to);
        }
        return to;
      }
      case 'repeat':
        return wireRepeat(node, from);
    }
  };
  const wireRepeat = ({ part, least, most }: Extract<Regex, { kind: 'repeat' }>, from: number) => {
    let at = from;
    for (let round = 0; round < least; round++) at = wire(part, at);
    if (most === Infinity) {
      const loop = state();
      free[at]!.push(loop);
      free[wire(part, loop)]!.push(loop);
      return loop;
    }
    const end = state();
    free[at]!.push(end);
    for (let round = least; round < most; round++) {
      at = wire(part, at);
      free[at]!.push(end);
    }
    return end;
  };
  const start = state();
  const end = wire(regex, start);
  return { starts: [start], accepting: new Set([end]), free, moves };
}
