import { expect, test } from 'vitest';
import { type Access, phasesOf } from './phases.js';

const node = (reads: string, writes: string): Access<string> => ({
  reads: Array.from(reads),
  writes: Array.from(writes),
});

test('what is independent shares a phase, what is read is written a phase earlier', () => {
  const nodes = [node('', 'a'), node('a', 'b'), node('', 'c'), node('ac', 'd'), node('bd', '')];
  expect(phasesOf(nodes)).toEqual([0, 1, 0, 1, 2]);
});

test('a reader waits for everyone who writes parts of a buffer', () => {
  const nodes = [node('', 'ax'), node('x', 'y'), node('y', 'a'), node('', 'a'), node('a', 'b')];
  expect(phasesOf(nodes)).toEqual([0, 1, 2, 0, 3]);
});
