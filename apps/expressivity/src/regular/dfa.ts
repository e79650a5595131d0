/** Deterministic automata: the subset construction, the minimal automaton (Moore 1956), the reversed language. */
import { ExpressivityError } from '../errors.js';
import type { Alphabet } from './alphabet.js';
import { type Nfa, nfaOf } from './nfa.js';
import { parseRegex } from './regex.js';

/** Complete: every state has a move for every letter. The start is state 0, and every state can be reached. */
export interface Dfa {
  readonly states: number;
  readonly letters: number;
  /** [states, letters]: `moves[state * letters + letter]`. */
  readonly moves: Uint32Array;
  readonly accepting: readonly boolean[];
}

export interface AutomatonLimits {
  /** States of a deterministic automaton before it is made minimal. Default 4096. */
  readonly mostStates?: number;
}

/**
 * The minimal automaton of a pattern.
 * @throws ExpressivityError `REGEX_INVALID`, `AUTOMATON_TOO_LARGE`
 */
export function dfaOfRegex(pattern: string, alphabet: Alphabet, limits: AutomatonLimits = {}): Dfa {
  const nfa = nfaOf(parseRegex(pattern, alphabet));
  return minimise(determinise(nfa, alphabet.letters.length, limits));
}

/** Whether each prefix is accepted: [length + 1], the empty one first. */
export function acceptedPrefixes(dfa: Dfa, string: Uint32Array): Uint8Array {
  const accepted = new Uint8Array(string.length + 1);
  let state = 0;
  accepted[0] = Number(dfa.accepting[0]);
  for (const [at, letter] of string.entries()) {
    state = dfa.moves[state * dfa.letters + letter]!;
    accepted[at + 1] = Number(dfa.accepting[state]);
  }
  return accepted;
}

/** The subset construction (Rabin and Scott 1959). @throws ExpressivityError `AUTOMATON_TOO_LARGE` */
export function determinise(
  nfa: Nfa,
  letters: number,
  { mostStates = 4096 }: AutomatonLimits = {},
): Dfa {
  const found = new Map<string, number>();
  const subsets: (readonly number[])[] = [];
  const numberOf = (members: Iterable<number>): number => {
    const subset = closure(nfa, members);
    const key = subset.join();
    const known = found.get(key);
    if (known !== undefined) return known;
    if (subsets.length >= mostStates) {
      throw new ExpressivityError({
        code: 'AUTOMATON_TOO_LARGE',
        message: `The deterministic automaton would have more than ${mostStates} states.`,
        expected: mostStates,
      });
    }
    found.set(key, subsets.length);
    return subsets.push(subset) - 1;
  };
  numberOf(nfa.starts);
  const moves: number[] = [];
  // `subsets` grows while it is walked.
  for (const subset of subsets) {
    const reached = Array.from({ length: letters }, () => new Set<number>());
    for (const state of subset) {
      for (const move of nfa.moves[state]!) {
        for (const letter of move.letters) reached[letter]!.add(move.to);
      }
    }
    for (const members of reached) moves.push(numberOf(members));
  }
  return {
    states: subsets.length,
    letters,
    moves: Uint32Array.from(moves),
    accepting: subsets.map((subset) => subset.some((state) => nfa.accepting.has(state))),
  };
}

/** The states reached without a letter, sorted. */
function closure(nfa: Nfa, members: Iterable<number>): readonly number[] {
  const reached = new Set(members);
  // The set grows while it is walked.
  for (const state of reached) for (const next of nfa.free[state]!) reached.add(next);
  return [...reached].sort((a, b) => a - b);
}

/** Refines accepting and rejecting states until states of a class move into the same classes. */
export function minimise(dfa: Dfa): Dfa {
  const { states, letters, moves } = dfa;
  let classes = dfa.accepting.map(Number);
  let count = new Set(classes).size;
  for (;;) {
    const found = new Map<string, number>();
    const refined = classes.map((own, state) => {
      const targets = Array.from(
        moves.subarray(state * letters, (state + 1) * letters),
        (to) => classes[to],
      );
      const key = `${own}:${targets.join()}`;
      if (!found.has(key)) found.set(key, found.size);
      return found.get(key)!;
    });
    classes = refined;
    if (found.size === count) break;
    count = found.size;
  }
  // The start is the first state, so its class is number 0.
  const result = { states: count, letters, moves: new Uint32Array(count * letters) };
  const accepting = new Array<boolean>(count).fill(false);
  for (let state = 0; state < states; state++) {
    const own = classes[state]!;
    accepting[own] = dfa.accepting[state]!;
    for (let letter = 0; letter < letters; letter++) {
      result.moves[own * letters + letter] = classes[moves[state * letters + letter]!]!;
    }
  }
  return { ...result, accepting };
}

/**
 * The minimal automaton of the reversed strings. It is minimal because every state of `dfa` can be reached
 * (Brzozowski 1962). @throws ExpressivityError `AUTOMATON_TOO_LARGE`
 */
export function reverseDfa(dfa: Dfa, limits: AutomatonLimits = {}): Dfa {
  const { states, letters, moves } = dfa;
  const numbers = Array.from({ length: states }, (_, state) => state);
  const backwards: { letters: number[]; to: number }[][] = numbers.map(() => []);
  for (const from of numbers) {
    for (let letter = 0; letter < letters; letter++) {
      backwards[moves[from * letters + letter]!]!.push({ letters: [letter], to: from });
    }
  }
  const reversed: Nfa = {
    starts: numbers.filter((state) => dfa.accepting[state]),
    accepting: new Set([0]),
    free: numbers.map(() => []),
    moves: backwards,
  };
  return determinise(reversed, letters, limits);
}
