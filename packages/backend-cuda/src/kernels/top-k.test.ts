import { expect, test } from 'vitest';
import { topKChunk, topKFan, topKLength } from './top-k.js';

test('lists hold what is wanted, and a block of the merge has room for its lists', () => {
  for (let count = 1; count <= topKChunk; count++) {
    const length = topKLength(count);
    const fan = topKFan(length);
    expect(length >= count && length < 2 * count).toBe(true);
    expect(Number.isInteger(Math.log2(length)) && Number.isInteger(Math.log2(fan))).toBe(true);
    expect(fan >= 2 && fan * length <= 2 * topKChunk).toBe(true);
  }
});
