import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SlotAllocator } from './slot-allocator.js';

const everyByte = Uint8Array.from({ length: 256 }, (_, byte) => byte);

describe('SlotAllocator', () => {
  it('gives every family its own base and every child its own slot, all below the end', () => {
    const family = fc.uniqueArray(fc.integer({ min: 0, max: 255 }), {
      minLength: 1,
      maxLength: 20,
    });
    fc.assert(
      fc.property(fc.array(family, { maxLength: 300 }), (families) => {
        const allocator = new SlotAllocator(2 ** 20);
        expect(allocator.place(everyByte, 256)).toBe(0);
        const bases = new Set([0]);
        const slots = new Set(everyByte);
        for (const labels of families) {
          const sorted = Uint8Array.from(labels).sort();
          const base = allocator.place(sorted, sorted.length);
          expect(bases.has(base)).toBe(false);
          bases.add(base);
          for (const label of sorted) {
            expect(slots.has(base + label)).toBe(false);
            slots.add(base + label);
            expect(base + label).toBeLessThan(allocator.end);
          }
        }
        expect(bases.has(allocator.end)).toBe(false);
      }),
      { numRuns: 60 },
    );
  });

  it('wastes little: 20000 single children and 2000 families in under 1.3 times their slots', () => {
    const allocator = new SlotAllocator(2 ** 20);
    allocator.place(everyByte, 256);
    let used = 256;
    let random = 1;
    for (let index = 0; index < 22000; index++) {
      const count = index % 11 === 0 ? 2 + (index % 17) : 1;
      const labels = new Set<number>();
      while (labels.size < count)
        labels.add(0x61 + ((random = (random * 48271) % 2147483647) % 40));
      allocator.place(Uint8Array.from(labels).sort(), count);
      used += count;
    }
    expect(allocator.end).toBeLessThan(1.3 * used);
  });

  it('refuses to grow over its limit, naming both numbers', () => {
    const allocator = new SlotAllocator(5000);
    allocator.place(everyByte, 256);
    const placeMany = () => {
      for (;;) allocator.place(everyByte, 256);
    };
    expect(placeMany).toThrow(
      expect.objectContaining({ code: 'VOCABULARY_INVALID', expected: 'at most 5000 slots' }),
    );
  });
});
