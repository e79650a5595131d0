import { InvalidArgumentError } from 'commander';
import { expect, test } from 'vitest';
import {
  collectBias,
  collectOverride,
  decimal,
  deviceList,
  integer,
  sizeList,
  tokenList,
} from './option-values.js';

test('whole numbers in their range', () => {
  const parse = integer({ minimum: 1, maximum: 10 });
  expect([parse('1'), parse('+7'), parse('10')]).toEqual([1, 7, 10]);
  for (const text of ['0', '11', '-1', '1.5', '1e1', '0x2', '', ' ', 'one', 'NaN', '9'.repeat(400)])
    expect(() => parse(text)).toThrow(InvalidArgumentError);
  expect(() => integer({ minimum: 0 })('9007199254740993')).toThrow('from 0');
});

test('decimals in their range', () => {
  const parse = decimal({ minimum: 0, maximum: 2 });
  expect([parse('0'), parse('1.5'), parse('2e-1')]).toEqual([0, 1.5, 0.2]);
  for (const text of ['-0.1', '2.1', 'Infinity', 'nan', '', '1,5'])
    expect(() => parse(text)).toThrow(InvalidArgumentError);
});

test('token ids, with commas, spaces or brackets', () => {
  expect(tokenList('1,2,3')).toEqual([1, 2, 3]);
  expect(tokenList(' [0, 4294967295] ')).toEqual([0, 0xffff_ffff]);
  expect(tokenList('5 6')).toEqual([5, 6]);
  expect(tokenList('')).toEqual([]);
  for (const text of ['-1', '1.5', 'a', '4294967296', '[1', '1,,x'])
    expect(() => tokenList(text)).toThrow(InvalidArgumentError);
});

test('devices, each once', () => {
  expect(deviceList('0')).toEqual([0]);
  expect(deviceList(' 1, 0,255')).toEqual([1, 0, 255]);
  for (const text of ['', '-1', '1.5', '0,', '0,0', '256', '1e1', 'all', '0 1'])
    expect(() => deviceList(text)).toThrow(InvalidArgumentError);
});

test('sizes are token lists without zeros', () => {
  expect(sizeList('4,1')).toEqual([4, 1]);
  for (const text of ['', '0', '1,0', '1,', 'abc', '1e3', '9999999999'])
    expect(() => sizeList(text)).toThrow(InvalidArgumentError);
});

test('biases gather', () => {
  const one = collectBias('5=-2.5', undefined);
  expect([...collectBias('6=-inf', one)]).toEqual([
    [5, -2.5],
    [6, -Infinity],
  ]);
  for (const text of ['5', '=1', 'a=1', '5=', '5=x'])
    expect(() => collectBias(text, undefined)).toThrow(InvalidArgumentError);
});

test('overrides gather, numbers as numbers, and never reach a prototype', () => {
  const one = collectOverride('headNormEpsilon=1e-5', undefined);
  expect(collectOverride('version=v=7', one)).toEqual({ headNormEpsilon: 1e-5, version: 'v=7' });
  const odd = collectOverride('__proto__=1', undefined);
  expect(Object.keys(odd)).toEqual(['__proto__']);
  expect(Object.getPrototypeOf(odd)).toBe(Object.prototype);
  for (const text of ['x', '=1', '']) expect(() => collectOverride(text, undefined)).toThrow();
});
