import { expect, test } from 'vitest';
import { wantsColors } from './colors.js';

test.each([
  [true, {}, true],
  [false, {}, false],
  [false, { CI: 'true' }, false],
  [true, { NO_COLOR: '1' }, false],
  [true, { NO_COLOR: '' }, true],
  [true, { TERM: 'dumb' }, false],
  [false, { FORCE_COLOR: '1' }, true],
  [true, { FORCE_COLOR: '0' }, false],
  [true, { FORCE_COLOR: '1', NO_COLOR: '1' }, false],
])('a terminal: %s, environment %o: %s', (isTTY, environment, expected) => {
  expect(wantsColors({ isTTY }, environment)).toBe(expected);
});
