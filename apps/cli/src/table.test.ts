import { expect, test } from 'vitest';
import { humanBytes, humanCount } from './sizes.js';
import { table } from './table.js';

test('columns line up: numbers to the right', () => {
  expect(
    table(
      ['name', 'n'],
      [
        ['a', 5],
        ['long one', '1,234.5'],
        ['none', ''],
      ],
    ),
  ).toBe(['name            n', 'a               5', 'long one  1,234.5', 'none'].join('\n'));
  expect(table(['only', 'header'], [])).toBe('only  header');
});

test('bytes and counts for people', () => {
  expect([0, 1023, 1024, 1536, 10 * 1024, 2 ** 30, 2 ** 45].map(humanBytes)).toEqual([
    '0 bytes',
    '1023 bytes',
    '1.00 KiB',
    '1.50 KiB',
    '10.0 KiB',
    '1.00 GiB',
    '32.0 TiB',
  ]);
  expect([999, 1500, 2_000_000, 7.2e9].map(humanCount)).toEqual([
    '999',
    '1.50 K',
    '2.00 M',
    '7.20 B',
  ]);
});
