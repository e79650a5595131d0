/** Inputs for property tests: text weighted to what tokenizers meet, and bytes weighted to almost-UTF-8. */
import fc from 'fast-check';

const pieces = [
  'the ',
  'The quick brown fox',
  ' jumps over',
  '你好，世界',
  'こんにちは',
  '안녕하세요',
  'Привет, мир',
  'مرحبا',
  'שלום',
  'नमस्ते',
  'ไทย',
  'Ελληνικά',
  'café',
  'e\u0301',
  'ﬁ',
  '🙂',
  '👨‍👩‍👧‍👦',
  '🏳️‍🌈',
  '\u{1f1eb}\u{1f1f7}',
  'function f(a, b) {\n  return a + b;\n}\n',
  '#include <stdio.h>\n',
  'if (x !== null) {\n\t\t',
  '<|endoftext|>',
  '\\x00\\n',
  '0123456789',
  '3.14159',
  ' ',
  '  ',
  '    ',
  '        ',
  '\n',
  '\n\n',
  '\r\n',
  '\t',
  '\u00a0',
  '\u3000',
  ' '.repeat(200),
  '='.repeat(100),
  '\u0000',
  '\ufeff',
  '\ufffd',
  '\u2028',
  'User: ',
  '\n\nAssistant:',
];

export const text = fc
  .array(
    fc.oneof(
      { weight: 4, arbitrary: fc.constantFrom(...pieces) },
      { weight: 1, arbitrary: fc.string({ unit: 'binary' }) },
      { weight: 1, arbitrary: fc.string({ unit: 'grapheme' }) },
    ),
    { maxLength: 60 },
  )
  .map((parts) => parts.join(''));

/** Long enough that every chunk and lane of the encoder is in use. */
export const longText = fc.array(text, { minLength: 3, maxLength: 6 }).chain((parts) =>
  fc.integer({ min: 0, max: 40000 }).map((length) => {
    const joined = `${parts.join(' ')}.`;
    return joined.repeat(Math.ceil(length / joined.length)).slice(0, length);
  }),
);

const edgeBytes = [
  0x00, 0x20, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1,
  0xed, 0xee, 0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xff,
];
export const bytes = fc
  .array(fc.oneof(fc.constantFrom(...edgeBytes), fc.integer({ min: 0, max: 255 })), {
    maxLength: 400,
  })
  .map((values) => Uint8Array.from(values));

/** The text with lone surrogates as U+FFFD. */
export function wellFormed(value: string): string {
  return value.replace(/\p{Surrogate}/gu, '\ufffd');
}
