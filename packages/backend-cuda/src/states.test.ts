import { expect, test } from 'vitest';
import { spread } from './states.js';

test.each([
  [
    [1, 1],
    [0, 0, 0, 1, 1, 1],
  ],
  [
    [2, 1],
    [0, 0, 0, 0, 1, 1],
  ],
  [
    [0, 1],
    [1, 1, 1, 1, 1, 1],
  ],
  [
    [1, 0],
    [0, 0, 0, 0, 0, 0],
  ],
  [
    [1, 0, 1],
    [0, 0, 0, 2, 2, 2],
  ],
  [
    [0, 0],
    [0, 0, 0, 1, 1, 1],
  ],
])('states of one size over the shares %j', (shares, devices) => {
  expect(spread([8, 8, 8, 8, 8, 8], shares)).toEqual(devices);
});

test('a large state takes a device', () => {
  expect(spread([1, 1, 100], [1, 1])).toEqual([0, 0, 1]);
  expect(spread([100, 1, 1], [1, 1])).toEqual([0, 1, 1]);
  expect(spread([100, 1, 100], [1, 1])).toEqual([0, 0, 1]);
  expect(spread([], [1, 1])).toEqual([]);
});
