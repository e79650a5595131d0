import { describe, expect, it } from 'vitest';
import { busyTicks, ownTicks } from './processor-use.js';

describe('busyTicks', () => {
  it('adds what programs and interrupts used', () => {
    expect(busyTicks('cpu  100 20 30 4000 50 6 7 800 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n')).toBe(163);
  });
});

describe('ownTicks', () => {
  it('adds user and system time with that of children, whatever the name', () => {
    const after = ['S', ...Array.from({ length: 10 }, () => '1'), '5', '6', '70', '800', '20'];
    expect(ownTicks(`123 (a) b) ${after.join(' ')}`)).toBe(881);
  });
});
