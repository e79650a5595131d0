import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createAlphabet } from './alphabet.js';
import { acceptedPrefixes, type Dfa, dfaOfRegex, minimise, reverseDfa } from './dfa.js';
import { languages } from './languages.js';
import { regexOfDfa } from './regex-of-dfa.js';

const alphabet = createAlphabet('ab');
const dfas = fc.integer({ min: 1, max: 7 }).chain((states) =>
  fc.record({
    states: fc.constant(states),
    letters: fc.constant(2),
    moves: fc
      .array(fc.nat(states - 1), { minLength: 2 * states, maxLength: 2 * states })
      .map((moves) => Uint32Array.from(moves)),
    accepting: fc.array(fc.boolean(), { minLength: states, maxLength: states }),
  }),
);
const strings = fc.array(fc.nat(1), { maxLength: 20 }).map((string) => Uint32Array.from(string));
const accepts = (dfa: Dfa, string: Uint32Array) => acceptedPrefixes(dfa, string).at(-1);

/** States that can be reached alone, as a `Dfa` must have them. */
function trimmed(dfa: Dfa): Dfa {
  const reached = new Set([0]);
  for (const state of reached) {
    for (let letter = 0; letter < dfa.letters; letter++) {
      reached.add(dfa.moves[state * dfa.letters + letter]!);
    }
  }
  const order = [...reached];
  const moves = order.flatMap((state) =>
    Array.from({ length: dfa.letters }, (_, letter) =>
      order.indexOf(dfa.moves[state * dfa.letters + letter]!),
    ),
  );
  const accepting = order.map((state) => dfa.accepting[state]!);
  return { states: order.length, letters: dfa.letters, moves: Uint32Array.from(moves), accepting };
}

test('the minimal automaton accepts the same and is no larger', () => {
  fc.assert(
    fc.property(dfas, strings, (any, string) => {
      const dfa = trimmed(any);
      const small = minimise(dfa);
      expect(accepts(small, string)).toBe(accepts(dfa, string));
      expect(small.states).toBeLessThanOrEqual(dfa.states);
      expect(minimise(small)).toEqual(small);
    }),
  );
});

test('the reversed automaton accepts reversed strings, and is minimal', () => {
  fc.assert(
    fc.property(dfas, strings, (any, string) => {
      const dfa = trimmed(any);
      const reversed = reverseDfa(dfa);
      expect(accepts(reversed, string.toReversed())).toBe(accepts(dfa, string));
      expect(minimise(reversed).states).toBe(reversed.states);
      expect(reverseDfa(reversed).states).toBe(minimise(dfa).states);
    }),
  );
});

test('a pattern made from an automaton gives it back', () => {
  fc.assert(
    fc.property(dfas, (any) => {
      const dfa = minimise(trimmed(any));
      const pattern = regexOfDfa(dfa, alphabet);
      if (pattern === undefined) expect(dfa.accepting).toEqual([false]);
      else expect(isomorphic(dfaOfRegex(pattern, alphabet), dfa)).toBe(true);
    }),
    { numRuns: 50 },
  );
});

function isomorphic(one: Dfa, other: Dfa): boolean {
  const partners = new Map([[0, 0]]);
  for (const [state, partner] of partners) {
    if (one.accepting[state] !== other.accepting[partner]) return false;
    for (let letter = 0; letter < one.letters; letter++) {
      const to = one.moves[state * one.letters + letter]!;
      const partnerTo = other.moves[partner * other.letters + letter]!;
      if ((partners.get(to) ?? partnerTo) !== partnerTo) return false;
      partners.set(to, partnerTo);
    }
  }
  return one.states === other.states;
}

describe('the built-in languages', () => {
  const compiled = (name: string) => {
    const found = languages.find((language) => language.name === name)!;
    return dfaOfRegex(found.pattern, createAlphabet(found.alphabet));
  };

  test('are at least 20, each with another name and pattern', () => {
    expect(new Set(languages.map(({ name }) => name)).size).toBe(languages.length);
    expect(new Set(languages.map(({ pattern }) => pattern)).size).toBe(languages.length);
    expect(languages.length).toBeGreaterThanOrEqual(20);
  });

  test.each([3, 5, 7])('binary numbers divisible by %i', (divisor) => {
    const dfa = compiled(`binary numbers divisible by ${divisor}`);
    for (let number = 0; number < 300; number++) {
      const digits = Uint32Array.from(number.toString(2), Number);
      expect(accepts(dfa, digits)).toBe(Number(number % divisor === 0));
    }
  });

  test('the words of S3 multiply to the identity', () => {
    const dfa = compiled('S3: words of a swap and a 3-cycle that make the identity');
    expect(dfa.states).toBe(6);
    const generators = [
      [1, 0, 2],
      [1, 2, 0],
    ];
    fc.assert(
      fc.property(strings, (string) => {
        let points = [0, 1, 2];
        for (const letter of string) points = points.map((point) => generators[letter]![point]!);
        expect(accepts(dfa, string)).toBe(Number(points.join() === '0,1,2'));
      }),
    );
  });
});
