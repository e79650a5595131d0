import { describe, expect, test } from 'vitest';
import { ExpressivityError } from '../errors.js';
import { createAlphabet, encodeString } from './alphabet.js';
import { acceptedPrefixes, dfaOfRegex } from './dfa.js';

const letters = 'ab01-/*.\\"';
const alphabet = createAlphabet(letters);

function accepts(pattern: string, text: string): boolean {
  return acceptedPrefixes(dfaOfRegex(pattern, alphabet), encodeString(text, alphabet)).at(-1) === 1;
}

/** Patterns that mean the same to JavaScript, and strings that they tell apart. */
const patterns: readonly (readonly [pattern: string, strings: readonly string[]])[] = [
  ['', ['', 'a']],
  ['a|', ['', 'a', 'b']],
  ['(a|b)*a(a|b){2}', ['', 'abb', 'aab', 'bab', 'aabb', 'bbbb', 'babaaa']],
  ['a{2,3}', ['a', 'aa', 'aaa', 'aaaa']],
  ['(ab){0}', ['', 'ab']],
  ['a{2,}b?', ['a', 'aa', 'aab', 'aaab', 'aabb']],
  ['((a*)*|b+)?', ['', 'aaa', 'bb', 'ab']],
  ['((a|b*)+0)*', ['', '0', 'a0b0', 'a', 'bb0']],
  ['[a-b0]+', ['a', 'b0', '1', '']],
  ['[^ab]+', ['01-', 'a', '0a']],
  ['[-01]*', ['-0', 'a', '-']],
  ['[0-]*', ['-0', '1']],
  ['[.*\\-\\\\a]', ['.', '*', '-', '\\', 'a', 'b']],
  ['/\\*([^*]|\\*+[^*/])*\\*+/', ['/**/', '/*a*/', '/*/', '/**/*/', '/*a**b*/', '/*a*', 'a']],
  ['"([^"\\\\]|\\\\.)*"', ['""', '"a"', '"\\"', '"\\""', '"']],
  ['.\\.', ['a.', '..', 'aa', '.']],
];

test.each(patterns)('%j agrees with the regular expressions of JavaScript', (pattern, strings) => {
  // A dot of theirs leaves out line breaks, which are not in the alphabet here.
  const theirs = new RegExp(`^(?:${pattern})$`);
  const expected = strings.map((text) => theirs.test(text));
  expect(strings.map((text) => accepts(pattern, text))).toEqual(expected);
});

describe('says where a pattern is wrong:', () => {
  test.each([
    ['(a', 'at character 3: expected a closing ), got the end'],
    ['a)', 'at character 2: expected the end, or ( before the ), got ")"'],
    ['*a', 'at character 1: expected a letter, a group or a class, got "*"'],
    ['^a', 'at character 1: expected a letter, a group or a class, got "^"'],
    ['ax', 'expected a letter of the alphabet'],
    ['a{3,2}', 'expected at least 3 repetitions, got "2"'],
    ['a{1001}', 'expected a number from 0 to 1000, got "1001"'],
    ['a{}', 'expected a number from 0 to 1000, got "}"'],
    ['[a', 'expected a closing ], got the end'],
    ['[]', 'expected a class with at least one letter'],
    ['[b-a]', 'expected a range with new letters of the alphabet, got "b-a"'],
    ['a\\', 'expected a character, got the end'],
    ['('.repeat(1000), 'expected at most 200 nested groups'],
    ['a' + '*'.repeat(1000), 'expected at most 10 repetitions of one item'],
  ])('%.20s', (pattern, message) => {
    expect(() => dfaOfRegex(pattern, alphabet)).toThrow(message);
    expect(() => dfaOfRegex(pattern, alphabet)).toThrow(ExpressivityError);
  });
});

test('refuses automata that would grow without bound, and says so soon', () => {
  expect(() => dfaOfRegex('(a|b)*a(a|b){30}', alphabet)).toThrow(
    'The deterministic automaton would have more than 4096 states.',
  );
  expect(() => dfaOfRegex('((a{1000}){1000}){1000}', alphabet)).toThrow('more than 20000 states');
});

test('refuses alphabets and strings', () => {
  expect(() => createAlphabet('')).toThrow('1 to 256 different letters');
  expect(() => createAlphabet('aba')).toThrow('1 to 256 different letters');
  expect(() => encodeString('abc', alphabet)).toThrow('The letter "c" is not in the alphabet');
});
