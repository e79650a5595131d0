import { describe, expect, it } from 'vitest';
import { median, ratios, summarise, undisturbed } from './statistics.js';

describe('median', () => {
  it('is the middle, or between the two middles, whatever the order', () => {
    expect(median([3, 1, 2])).toBe(2);
    expect(median([10, 2, 4, 1])).toBe(3);
    expect(() => median([])).toThrow(RangeError);
  });
});

describe('summarise', () => {
  it('keeps the spread and the number of runs', () => {
    expect(summarise([3, 1, 5])).toEqual({ median: 3, lowest: 1, highest: 5, runs: 3 });
    expect(summarise([])).toBeUndefined();
  });
});

describe('ratios', () => {
  it('divides within a round and leaves out rounds that one side lacks or failed', () => {
    const ours = [
      { round: 0, value: 10 },
      { round: 1, value: 12 },
      { round: 3, value: 9 },
      { round: 4, value: 9 },
    ];
    const theirs = [
      { round: 1, value: 4 },
      { round: 0, value: 5 },
      { round: 2, value: 1 },
      { round: 4, value: 0 },
    ];
    expect(ratios(ours, theirs)).toEqual([2, 3]);
  });
});

describe('undisturbed', () => {
  const runs = [0.1, 0.9, 1.1, 0].map((otherCores) => ({ otherCores }));

  it('keeps runs whose cores were free', () => {
    expect(undisturbed(runs, { threads: 2, cores: 2 })).toEqual([runs[0], runs[3]]);
    expect(undisturbed(runs, { threads: 1, cores: 2 })).toEqual(runs);
  });

  it('keeps all where fewer than two were quiet, and counts an unknown load as none', () => {
    expect(undisturbed(runs.slice(0, 3), { threads: 2, cores: 2 })).toEqual(runs.slice(0, 3));
    expect(undisturbed([{}, {}], { threads: 2, cores: 2 })).toHaveLength(2);
  });
});
