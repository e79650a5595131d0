import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { decode, formatNames } from '../src/index.js';
import { bytes, rounded, upload } from './example.js';

const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');

it('the example of the README runs and does what it says', () => {
  const example = readFileSync(new URL('example.ts', import.meta.url), 'utf8');
  const shown = /```ts\n([^]*?)```/.exec(readme)?.[1];
  expect(example.startsWith(`${shown ?? 'no example'}\n`)).toBe(true);
  expect(bytes).toHaveLength(36);
  expect(upload.format).toBe('q8_0');
  expect(decode('q8_0', upload.bytes)).toEqual(rounded);
});

it('the README names every format', () => {
  expect(formatNames.filter((name) => !new RegExp(`\\b${name}\\b`).test(readme))).toEqual([]);
});
