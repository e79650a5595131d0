/** Faults of states. */
import type { States } from '@rwkv-ts/backend';
import { bytesOf, numbersOf } from '../session.js';
import type { BrokenBackend } from './types.js';

/** A snapshot with every [N, N] matrix of its wkv states turned over. */
function transpose(bytes: Uint8Array, size: number, shift: number): Uint8Array {
  const numbers = numbersOf(bytes);
  const turned = numbers.slice();
  // The tiny models' layers: a shift, the attention state, the channel mix's shift.
  const layer = 2 * shift + shift * size;
  for (let start = shift; start + shift * size <= numbers.length; start += layer) {
    for (let n = 0; n < shift * size; n++) {
      const [head, row, column] = [
        Math.floor(n / (size * size)),
        Math.floor(n / size) % size,
        n % size,
      ];
      turned[start + n] = numbers[start + (head * size + column) * size + row]!;
    }
  }
  return bytesOf(turned);
}

export const states: readonly BrokenBackend[] = [
  {
    name: 'snapshots hold the attention state transposed',
    group: 'state',
    cases: /RWKV-7: snapshots move/,
    message: /the reference’s snapshot, continued/,
    fault: () => ({
      states: (right) => ({
        read: async (slot) => transpose(await right.read(slot), 16, 48),
        write: (slot, bytes) => {
          right.write(slot, transpose(bytes, 16, 48));
        },
      }),
    }),
  },
  {
    name: 'reset writes zeros where v4’s exponent starts at -1e30',
    group: 'state',
    cases: /reset of one slot/,
    message: /the reset slot/,
    fault: () => ({
      states: (right) => ({
        reset: (slot) => {
          right.reset(slot);
          right.write(slot, new Uint8Array(byteLengthOf(right)));
        },
      }),
    }),
  },
  {
    name: 'write keeps the caller’s bytes',
    group: 'state',
    cases: /round trip/,
    message: /slot 0 after write/,
    fault: () => ({
      states: (right) => {
        const kept = new Map<number, Uint8Array>();
        return {
          write: (slot, bytes) => kept.set(slot, bytes),
          read: async (slot) => {
            const bytes = kept.get(slot);
            if (bytes) right.write(slot, bytes);
            return right.read(slot);
          },
        };
      },
    }),
  },
  {
    name: 'copy moves instead of copying',
    group: 'state',
    cases: /copy between slots/,
    message: /after copies/,
    fault: () => ({
      states: (right) => ({
        copy: (from, to) => {
          right.copy(from, to);
          right.reset(from);
        },
      }),
    }),
  },
  {
    name: 'a slot out of range is taken modulo the slots',
    group: 'state',
    cases: /STATE_INVALID/,
    message: /expected STATE_INVALID/,
    fault: () => ({
      states: (right) => ({
        reset: (slot) => {
          right.reset((slot + right.slots) % right.slots);
        },
      }),
    }),
  },
];

/** States of the state group's own specs, whose snapshots all have one length. */
function byteLengthOf({ slots }: States): number {
  return slots > 0 ? 4 * (7 + 15 + 15 + 18 + 1) : 0;
}
