import { describe, expect, it } from 'vitest';
import { mergeLimits, parseMachine } from './machine.js';

const read = { test: 'read', instruction: 'huge pages', threads: 1, bytes: 1024, values: [13.5] };

describe('parseMachine', () => {
  it('takes what the program prints and refuses other things', () => {
    const printed = { rounds: 1, processors: 2, results: [read] };
    expect(parseMachine(JSON.stringify(printed)).results).toEqual([read]);
    expect(() => parseMachine('{}')).toThrow(TypeError);
    expect(() => parseMachine('usage')).toThrow(SyntaxError);
  });
});

describe('mergeLimits', () => {
  it('puts the rounds of a test with the same threads and bytes together', () => {
    const two = { ...read, threads: 2, values: [26] };
    const larger = { ...read, bytes: 2048, values: [12] };
    const merged = mergeLimits([
      [read, two, larger],
      [{ ...read, values: [14, 15] }, two],
    ]);
    expect(merged).toEqual([
      { ...read, values: [13.5, 14, 15] },
      { ...two, values: [26, 26] },
      larger,
    ]);
  });
});
