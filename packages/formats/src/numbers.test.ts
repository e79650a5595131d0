import { expect, it } from 'vitest';
import { decode } from './index.js';

function bytesOf(
  array: BigInt64Array | Float64Array | Int32Array | Int16Array | Int8Array,
): Uint8Array {
  return new Uint8Array(array.buffer);
}

it('i64 rounds once to f32, ties to even', () => {
  // f32 steps by 2^39 at 2^62, f64 by 2^10: rounding to f64 first would turn the numbers just beside a tie into ties.
  const base = 2n ** 62n;
  const tie = base + 2n ** 38n;
  const cases = [
    tie,
    tie + 1n,
    tie - 1n,
    -tie - 1n,
    tie + 2n ** 39n,
    tie + 2n ** 39n - 1n,
    3n,
    -9n,
  ];
  const step = 2 ** 39;
  const wanted = [2 ** 62, 2 ** 62 + step, 2 ** 62, -(2 ** 62) - step];
  wanted.push(2 ** 62 + 2 * step, 2 ** 62 + step, 3, -9);
  expect([...decode('i64', bytesOf(BigInt64Array.from(cases)))]).toEqual(wanted);
  expect([...decode('i64', bytesOf(BigInt64Array.of(-(2n ** 63n), 2n ** 63n - 1n)))]).toEqual([
    -(2 ** 63),
    2 ** 63,
  ]);
});

it('the other plain numbers', () => {
  const f64 = bytesOf(Float64Array.of(0.1, -2, 1e300));
  expect([...decode('f64', f64)]).toEqual([Math.fround(0.1), -2, Infinity]);
  const i32 = bytesOf(Int32Array.of(-5, 16777217, 16777219));
  expect([...decode('i32', i32)]).toEqual([-5, 16777216, 16777220]);
  expect([...decode('i16', bytesOf(Int16Array.of(-32768, 32767)))]).toEqual([-32768, 32767]);
  expect([...decode('u8', Uint8Array.of(0, 1, 128, 255))]).toEqual([0, 1, 128, 255]);
  expect([...decode('bool', Uint8Array.of(0, 1, 2))]).toEqual([0, 1, 1]);
  expect([...decode('i8', bytesOf(Int8Array.of(-128, 127)))]).toEqual([-128, 127]);
});
