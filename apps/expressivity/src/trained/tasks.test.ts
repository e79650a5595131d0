import { describe, expect, test } from 'vitest';
import { type Group, groupNames, groups } from './groups.js';
import { recall, type TaskSample, wordProblem } from './tasks.js';

/** A linear congruential generator: enough to draw examples. */
function uniform(seed: number): () => number {
  let state = seed;
  return () => (state = (state * 1664525 + 1013904223) % 2 ** 32) / 2 ** 32;
}

describe.each(groupNames)('%s', (name) => {
  const group: Group = groups[name]();
  const { order, product } = group;
  const multiply = (a: number, b: number): number => product[a * order + b]!;
  const elements = Array.from({ length: order }, (_, at) => at);

  test('is a group', () => {
    expect(order).toBe({ parity: 2, S3: 6, A5: 60, S5: 120 }[name]);
    for (const a of elements) {
      expect(multiply(0, a)).toBe(a);
      expect(multiply(a, 0)).toBe(a);
      expect(new Set(elements.map((b) => multiply(a, b))).size).toBe(order);
    }
    const draw = uniform(7);
    for (let round = 0; round < 1000; round++) {
      const [a = 0, b = 0, c = 0] = [0, 0, 0].map(() => Math.floor(draw() * order));
      expect(multiply(multiply(a, b), c)).toBe(multiply(a, multiply(b, c)));
    }
  });

  test('its word problem multiplies on the left', () => {
    const { tokens, targets, mask } = wordProblem(group).sample(uniform(1), 50);
    expect(targets[0]).toBe(tokens[0]);
    for (let at = 1; at < 50; at++) {
      expect(targets[at]).toBe(multiply(tokens[at]!, targets[at - 1]!));
    }
    expect(mask.every((one) => one === 1)).toBe(true);
  });
});

test('only parity commutes', () => {
  const commutes = groupNames.filter((name) => {
    const { order, product } = groups[name]();
    return product.every(
      (value, at) => value === product[(at % order) * order + Math.floor(at / order)],
    );
  });
  expect(commutes).toEqual(['parity']);
});

describe('recall', () => {
  const pairsOf = ({ tokens }: TaskSample, pairs: number): Map<number, number> =>
    new Map(Array.from({ length: pairs }, (_, at) => [tokens[2 * at]!, tokens[2 * at + 1]!]));

  test('asks once for the value of every key', () => {
    const task = recall({ pairs: 5, symbols: 8 });
    expect(task.vocabularySize).toBe(17);
    const draw = uniform(3);
    for (let round = 0; round < 50; round++) {
      const sample = task.sample(draw, 40);
      const values = pairsOf(sample, 5);
      expect(values.size).toBe(5);
      const asked = [...sample.mask.entries()]
        .filter(([, counts]) => counts === 1)
        .map(([at]) => at);
      expect(asked.map((at) => sample.tokens[at]!).sort()).toEqual([...values.keys()].sort());
      for (const at of asked) {
        expect(at).toBeGreaterThanOrEqual(10);
        expect(sample.targets[at]).toBe(values.get(sample.tokens[at]!));
      }
      const others = sample.tokens.filter((_, at) => at >= 10 && sample.mask[at] === 0);
      expect(others.every((token) => token === 16)).toBe(true);
    }
  });

  test('refuses what does not fit', () => {
    expect(() => recall({ pairs: 9, symbols: 8 })).toThrow(/9 pairs/);
    expect(() => recall({ pairs: 5, symbols: 8 }).sample(uniform(1), 14)).toThrow(/15 tokens/);
  });
});
