import { expect, test } from 'vitest';
import { oneLine, printable } from './printable.js';

test('control characters become visible', () => {
  expect(printable('a\u001b[2Jb\u0007\u0000\u009bc\r\n\td')).toBe(
    'a\\x1b[2Jb\\x07\\x00\\x9bc\n\td',
  );
});

test('other text stays as it is', () => {
  const text = 'é漢😀 \u202eעברית\u2028';
  expect(printable(text)).toBe(text);
});

test('one line stays one line', () => {
  expect(oneLine('a \n  b\n\nc\u001b')).toBe('a b c\\x1b');
});
