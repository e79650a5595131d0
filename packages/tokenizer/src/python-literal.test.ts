import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { pythonRepr } from '../test/vocabulary.js';
import { LiteralProblem, parseBytesBody, parseLiteral } from './python-literal.js';

const out = new Uint8Array(4096);
function parsed(literal: string): number[] | LiteralProblem {
  const length = parseLiteral(literal, out);
  return typeof length === 'number' ? Array.from(out.subarray(0, length)) : length;
}

describe('parseLiteral', () => {
  it('reads back what repr() writes, for any bytes and any text', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
        expect(parsed(pythonRepr(bytes))).toEqual(Array.from(bytes));
      }),
    );
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 60 }), (text) => {
        expect(parsed(pythonRepr(text))).toEqual(Array.from(new TextEncoder().encode(text)));
      }),
    );
  });

  it.each([
    ["'a b'", [0x61, 0x20, 0x62]],
    [`"it's"`, [0x69, 0x74, 0x27, 0x73]],
    ["'\\''", [0x27]],
    ["'\\\\'", [0x5c]],
    ["'\\x80'", [0xc2, 0x80]],
    ["b'\\x80'", [0x80]],
    ["'\\u4f60'", [0xe4, 0xbd, 0xa0]],
    ["'\\U0001f642'", [0xf0, 0x9f, 0x99, 0x82]],
    ["b'\\\\u4f60'", [0x5c, 0x75, 0x34, 0x66, 0x36, 0x30]],
  ])('reads %s', (literal, expected) => {
    expect(parsed(literal)).toEqual(expected);
  });

  it.each([
    '',
    "'",
    'b',
    "b'",
    'abc',
    "'abc",
    "abc'",
    `'abc"`,
    "r'abc'",
    "f'{x}'",
    "u'a'",
    "'a' + 'b'",
    "'a''b'",
    "'a'*9",
    "('a')",
    "__import__('os')",
    "'\\'",
    "'\\\\\\'",
    "'\\q'",
    "'\\7'",
    "'\\a'",
    "'\\N{DASH}'",
    "'\\x'",
    "'\\x4'",
    "'\\xg0'",
    "'\\x 1'",
    "'\\u123'",
    "'\\U0011000'",
    "'\\U00110000'",
    "'\\ud800'",
    "'\\udc00x'",
    "'\ud800'",
    "b'\\u4f60'",
    "b'é'",
    "b'\t'",
    "b'\\'",
  ])('refuses %j', (literal) => {
    expect(parsed(literal)).toBeInstanceOf(LiteralProblem);
  });

  it('takes time linear in the literal', () => {
    const hostile = `'${`\\\\`.repeat(500)}${`\\'`.repeat(500)}'`;
    expect(parsed(hostile)).toHaveLength(1000);
  });
});

describe('parseBytesBody', () => {
  it('takes quotes as they are, escaped or not', () => {
    expect(parseBytesBody(`'"\\'\\"`, out)).toBe(4);
    expect(Array.from(out.subarray(0, 4))).toEqual([0x27, 0x22, 0x27, 0x22]);
  });
});
