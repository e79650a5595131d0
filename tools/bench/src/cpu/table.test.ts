import { describe, expect, it } from 'vitest';
import { figure, megabytes, percent, spread, table } from './table.js';

describe('table', () => {
  it('aligns cells by column and fills up short rows', () => {
    expect(
      table(
        [{ title: 'model', align: 'left' }, { title: 'tokens/s' }],
        [['0.1b.f16', '85.1'], ['x']],
      ),
    ).toBe(
      [
        '| model    | tokens/s |',
        '| -------- | -------: |',
        '| 0.1b.f16 |     85.1 |',
        '| x        |          |',
      ].join('\n'),
    );
  });
});

describe('figures', () => {
  it('keep three digits', () => {
    expect([1234.5, 99.96, 12.34, 1.234].map(figure)).toEqual(['1235', '100.0', '12.3', '1.23']);
  });

  it('tell the spread', () => {
    expect(spread({ median: 85.12, lowest: 82, highest: 101, runs: 5 })).toBe('85.1 [82.0–101; 5]');
    expect(spread(undefined)).toBe('–');
  });

  it('are finer where they are small', () => {
    expect([0.914, 0.0189].map(percent)).toEqual(['91 %', '1.9 %']);
    expect(megabytes(284_400_000)).toBe('284');
  });
});
