import { expect, test } from 'vitest';
import { linesOf } from './lines.js';

async function split(...chunks: (string | Uint8Array)[]): Promise<string[]> {
  async function* stream() {
    for (const chunk of chunks)
      yield typeof chunk === 'string' ? new TextEncoder().encode(chunk) : chunk;
  }
  const lines: string[] = [];
  for await (const line of linesOf(stream())) lines.push(line);
  return lines;
}

test('splits at newlines, wherever the chunks end', async () => {
  expect(await split('a\nb', 'c\r\n', '\nlast')).toEqual(['a', 'bc', '', 'last']);
  expect(await split('a\n')).toEqual(['a']);
  expect(await split()).toEqual([]);
});

test('does not split at U+2028, U+2029 or a lone return', async () => {
  expect(await split('"a\u2028b\u2029c\rd"\n')).toEqual(['"a\u2028b\u2029c\rd"']);
});

test('a character cut by a chunk border stays whole', async () => {
  const bytes = new TextEncoder().encode('"é漢😀"\n');
  for (let at = 0; at <= bytes.length; at++) {
    expect(await split(bytes.subarray(0, at), bytes.subarray(at))).toEqual(['"é漢😀"']);
  }
});
