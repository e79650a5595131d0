import { deflateSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { readRStrings, readRValue } from './r-data.js';

const integers = (...values: number[]): Buffer => {
  const bytes = Buffer.alloc(values.length * 4);
  for (const [at, value] of values.entries()) bytes.writeInt32BE(value, at * 4);
  return bytes;
};
const text = (value: string): Buffer =>
  Buffer.concat([integers(9, value.length), Buffer.from(value)]);
const strings = (...values: string[]): Buffer =>
  Buffer.concat([integers(16, values.length), ...values.map(text)]);
const header = Buffer.concat([Buffer.from('X\n'), integers(2, 0x30000, 0x20300)]);
const serialised = (value: Buffer): Buffer => Buffer.concat([header, value]);
/** A list whose only attribute is its names. */
const named = (entries: Readonly<Record<string, Buffer>>): Buffer =>
  Buffer.concat([
    integers(19 | 0x200, Object.keys(entries).length),
    ...Object.values(entries),
    integers(2 | 0x400, 1),
    text('names'),
    strings(...Object.keys(entries)),
    integers(254),
  ]);
const place = (offset: number, length: number): Buffer => integers(13, 2, offset, length);

describe('readRStrings', () => {
  const value = serialised(strings('Call me Ishmael.', ''));
  const part = Buffer.concat([integers(value.length), deflateSync(value)]);
  const index = (offset: number, length: number): Buffer =>
    deflateSync(serialised(named({ variables: named({ moby: place(offset, length) }) })));

  test('finds a vector by its place', () => {
    const database = Buffer.concat([Buffer.from('before'), part]);
    expect(readRStrings(index(6, part.length), database)).toEqual(
      new Map([['moby', ['Call me Ishmael.', '']]]),
    );
  });

  test('refuses a place outside of the database', () => {
    expect(() => readRStrings(index(6, part.length), part)).toThrow(/outside of the database/);
  });
});

describe('readRValue', () => {
  test('a missing string is null', () => {
    const value = Buffer.concat([integers(16, 1), integers(9, -1)]);
    expect(readRValue(serialised(value))).toEqual([null]);
  });

  test.each([
    ['another magic', Buffer.from('A\n2\n'), /must begin with X/],
    ['a count beyond the end', serialised(integers(16, 1 << 30)), /ends at byte/],
    ['a length beyond the end', serialised(integers(16, 1, 9, 100)), /ends at byte/],
    ['a closure', serialised(integers(3)), /of type 3/],
    ['nothing', serialised(Buffer.alloc(0)), /ends at byte/],
  ])('refuses %s', (_, bytes, message) => {
    expect(() => readRValue(bytes)).toThrow(message);
  });
});
