import fc from 'fast-check';
import { expect, test } from 'vitest';
import { unescapeText } from './escapes.js';
import { UsageError } from './failure.js';

test('every escape means its character', () => {
  expect(unescapeText(String.raw`a\nb\tc\rd\\e\"f\'g\x41\u00e9\ud83d\ude00`)).toBe(
    'a\nb\tc\rd\\e"f\'gA\u00e9😀',
  );
});

test('an escaped backslash hides what follows', () => {
  expect(unescapeText(String.raw`\\n`)).toBe('\\n');
});

test.each(['\\', 'a\\q', '\\x', '\\x8f', '\\xg0', '\\u12', '\\é'])('%s means nothing', (text) => {
  expect(() => unescapeText(text)).toThrow(UsageError);
});

test('undoes JSON escapes, and leaves text without backslashes alone', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), (text) => {
      const escaped = JSON.stringify(text).slice(1, -1);
      // JSON has two letters that this has not.
      fc.pre(!/\\[bf]/.test(escaped));
      expect(unescapeText(escaped)).toBe(text);
      fc.pre(!text.includes('\\'));
      expect(unescapeText(text)).toBe(text);
    }),
  );
});
