/** A pattern of `regex.ts` for an automaton, by removing its states one after the other (Brzozowski and McCluskey 1963). */
import type { Alphabet } from './alphabet.js';
import type { Dfa } from './dfa.js';

/** An edge's pattern; undefined where there is no edge. Patterns are kept without a top-level `|` unless in brackets. */
type Edge = string | undefined;

const escaped = (letter: string): string => letter.replace(/[\\|*+?.(){}[\]^$-]/, '\\$&');
const either = (first: Edge, second: Edge): Edge => {
  if (first === undefined || first === second) return second;
  if (second === undefined) return first;
  return first === '' || second === '' ? `(${first}${second})?` : `(${first}|${second})`;
};

/** The pattern matches exactly what the automaton accepts; undefined where that is nothing, which no pattern matches. */
export function regexOfDfa(
  { states, letters, moves, accepting }: Dfa,
  alphabet: Alphabet,
): string | undefined {
  const start = states;
  const end = states + 1;
  const edges = Array.from({ length: states + 2 }, () =>
    new Array<Edge>(states + 2).fill(undefined),
  );
  const join = (from: number, to: number, pattern: string) => {
    edges[from]![to] = either(edges[from]![to], pattern);
  };
  join(start, 0, '');
  for (let state = 0; state < states; state++) {
    if (accepting[state]) join(state, end, '');
    for (let letter = 0; letter < letters; letter++) {
      join(state, moves[state * letters + letter]!, escaped(alphabet.letters[letter]!));
    }
  }
  // The start goes last, because most paths lead through it.
  for (let removed = states - 1; removed >= 0; removed--) {
    const own = edges[removed]![removed];
    const loop = own === undefined || own === '' ? '' : `(${own})*`;
    const others = [...Array.from({ length: removed }, (_, state) => state), start, end];
    for (const from of others) {
      const before = edges[from]![removed];
      if (before === undefined) continue;
      for (const to of others) {
        const after = edges[removed]![to];
        if (after !== undefined) join(from, to, before + loop + after);
      }
    }
  }
  return edges[start]![end];
}
