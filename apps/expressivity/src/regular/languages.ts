/** Languages of varied kinds, as patterns over an alphabet: what the command without a pattern checks. */
import { type Alphabet, createAlphabet } from './alphabet.js';
import type { Dfa } from './dfa.js';
import { regexOfDfa } from './regex-of-dfa.js';

export interface Language {
  readonly name: string;
  readonly alphabet: string;
  readonly pattern: string;
}

/** Binary numbers, the highest digit first, divisible by `divisor`; the empty string counts as 0. */
function divisibleBy(divisor: number): Language {
  const remainders = Array.from({ length: divisor }, (_, remainder) => remainder);
  const moves = remainders.flatMap((r) => [(2 * r) % divisor, (2 * r + 1) % divisor]);
  return fromMoves(`binary numbers divisible by ${divisor}`, {
    alphabet: '01',
    moves,
    accepting: [0],
  });
}

/** As many a as b, modulo `modulus`. */
function balancedModulo(modulus: number): Language {
  const counts = Array.from({ length: modulus }, (_, count) => count);
  const moves = counts.flatMap((count) => [(count + 1) % modulus, (count + modulus - 1) % modulus]);
  return fromMoves(`as many a as b, modulo ${modulus}`, { alphabet: 'ab', moves, accepting: [0] });
}

/** Words of permutations that bring point 0 back; point p goes to `generators[letter][p]`. */
function returning(name: string, generators: readonly (readonly number[])[]): Language {
  const moves = generators[0]!.flatMap((_, point) =>
    generators.map((generator) => generator[point]!),
  );
  return fromMoves(name, { alphabet: 'abc'.slice(0, generators.length), moves, accepting: [0] });
}

interface Table {
  readonly alphabet: string;
  /** [states, letters] */
  readonly moves: readonly number[];
  readonly accepting: readonly number[];
}

function fromMoves(name: string, { alphabet, moves, accepting }: Table): Language {
  const letters = createAlphabet(alphabet);
  const dfa: Dfa = {
    states: moves.length / letters.letters.length,
    letters: letters.letters.length,
    moves: Uint32Array.from(moves),
    accepting: Array.from({ length: moves.length / letters.letters.length }, (_, state) =>
      accepting.includes(state),
    ),
  };
  return { name, alphabet, pattern: patternOf(dfa, letters) };
}

function patternOf(dfa: Dfa, alphabet: Alphabet): string {
  const pattern = regexOfDfa(dfa, alphabet);
  if (pattern === undefined) throw new TypeError('The automaton accepts nothing.');
  return pattern;
}

/** S3 acting on itself from the right, elements 0 to 5 with 0 the identity: words in a swap and a 3-cycle that make it. */
const wordsOfS3 = [
  [1, 0, 3, 2, 5, 4],
  [2, 5, 4, 1, 0, 3],
] as const;

export const languages: readonly Language[] = [
  { name: 'an even number of a', alphabet: 'ab', pattern: 'b*(ab*ab*)*' },
  { name: 'a number of a divisible by 3', alphabet: 'ab', pattern: '(b*ab*ab*a)*b*' },
  {
    name: 'an even number of a and of b',
    alphabet: 'ab',
    pattern: '(aa|bb|(ab|ba)(aa|bb)*(ab|ba))*',
  },
  divisibleBy(3),
  divisibleBy(5),
  divisibleBy(7),
  balancedModulo(5),
  returning('S3: words of a swap and a 3-cycle that make the identity', wordsOfS3),
  returning('S5: words of a swap and a 5-cycle that bring a point back', [
    [1, 0, 2, 3, 4],
    [1, 2, 3, 4, 0],
  ]),
  { name: 'length divisible by 6', alphabet: 'ab', pattern: '(.{6})*' },
  { name: 'pairs of equal letters', alphabet: 'ab', pattern: '(aa|bb)*' },
  { name: 'no three equal in a row', alphabet: 'ab', pattern: '(aa?)?((bb?)(aa?))*(bb?)?' },
  { name: 'no two a in a row', alphabet: 'ab', pattern: '(b|ab)*a?' },
  { name: 'contains abab', alphabet: 'ab', pattern: '.*abab.*' },
  { name: 'contains aba and ends in bb', alphabet: 'abc', pattern: '.*aba.*bb' },
  { name: 'the fifth letter from the end is a', alphabet: 'ab', pattern: '.*a.{4}' },
  { name: 'begins and ends alike', alphabet: 'abc', pattern: '[abc]|a.*a|b.*b|c.*c' },
  { name: 'between 2 and 4 a', alphabet: 'ab', pattern: 'b*(ab*){2,4}' },
  {
    name: 'brackets nested up to 4 deep',
    alphabet: '()',
    pattern: '(\\((\\((\\((\\(\\))*\\))*\\))*\\))*',
  },
  {
    name: 'like an e-mail address',
    alphabet: 'ab.@',
    pattern: '[ab]+(\\.[ab]+)*@[ab]+(\\.[ab]+)+',
  },
  { name: 'contains a comment', alphabet: '/*x', pattern: '.*/\\*.*\\*/.*' },
  { name: 'a quoted string with escapes', alphabet: '"\\x', pattern: '"([^"\\\\]|\\\\.)*"' },
  { name: 'a decimal number', alphabet: '01.-', pattern: '-?(0|1[01]*)(\\.[01]+)?' },
  { name: 'an identifier', alphabet: 'ab_01', pattern: '[ab_][ab_01]*' },
  { name: 'a list of words', alphabet: 'ab, ', pattern: '([ab]+(, ?[ab]+)*)?' },
];
