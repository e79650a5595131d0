import { describe, expect, it } from 'vitest';
import { busyTicks, computedNanoseconds, ownTicks, watchThisThread } from './processor-use.js';

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

describe('the processor time of a thread', () => {
  it('is the first field', () => {
    expect(computedNanoseconds('123456789 55 7\n')).toBe(123456789);
  });

  it('grows as the thread computes', () => {
    const time = watchThisThread();
    let sum = 0;
    const end = performance.now() + 30;
    while (performance.now() < end) sum += Math.sqrt(sum + 1);
    expect(time()).toBeGreaterThan(1);
  });
});
