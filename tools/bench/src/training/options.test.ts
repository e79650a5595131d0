import { expect, test } from 'vitest';
import { readOptions, UsageError } from './options.js';

test('has defaults for everything', () => {
  expect(readOptions([])).toMatchObject({
    batches: [4, 8],
    vocabularies: [256, 4096],
    threads: undefined,
    python: 'python3',
  });
  expect(readOptions(['--help'])).toBeUndefined();
});

test('reads what is given', () => {
  expect(readOptions(['--batches', '2', '--threads', '1', '--python', 'none'])).toMatchObject({
    batches: [2],
    threads: 1,
    python: undefined,
  });
});

test.each([[['--channels', '100']], [['--steps', '0']], [['more']], [['--unknown']]])(
  'refuses %o',
  (words) => {
    expect(() => readOptions(words)).toThrow(UsageError);
  },
);
