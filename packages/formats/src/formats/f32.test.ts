import { expect, it } from 'vitest';
import { copySwapped } from './f32.js';

it('turns words round for a big-endian host', () => {
  const swapped = new Uint8Array(8);
  copySwapped(Uint8Array.of(0, 0, 0x80, 0x3f, 1, 2, 3, 4), swapped);
  expect(swapped).toEqual(Uint8Array.of(0x3f, 0x80, 0, 0, 4, 3, 2, 1));
  expect(new DataView(swapped.buffer).getFloat32(0, false)).toBe(1);
});
