import { encodeInto } from './utf8.js';

/**
 * Python string and bytes literals as `repr` writes them, and only those: the official loader runs `eval` on each
 * line of the vocabulary, which nobody should do with a downloaded file.
 */

/** What is wrong with a literal; the caller adds the place and makes the typed error. */
export class LiteralProblem {
  readonly expected: string;
  readonly got: string;

  constructor(expected: string, got: string) {
    this.expected = expected;
    this.got = got;
  }
}

const simpleEscapes = new Map([
  ['\\', 0x5c],
  ["'", 0x27],
  ['"', 0x22],
  ['n', 0x0a],
  ['r', 0x0d],
  ['t', 0x09],
]);
const hexDigits = { x: 2, u: 4, U: 8 } as const;

interface Escape {
  readonly value: number;
  /** Index after the escape. */
  readonly next: number;
}

function readEscape(body: string, at: number, kinds: 'text' | 'bytes'): Escape | LiteralProblem {
  const letter = body[at + 1] ?? '';
  const simple = simpleEscapes.get(letter);
  if (simple !== undefined) return { value: simple, next: at + 2 };
  if (letter === 'x' || (kinds === 'text' && (letter === 'u' || letter === 'U'))) {
    const digits = body.slice(at + 2, at + 2 + hexDigits[letter]);
    if (digits.length === hexDigits[letter] && /^[0-9a-fA-F]+$/.test(digits))
      return { value: Number.parseInt(digits, 16), next: at + 2 + digits.length };
    return new LiteralProblem(
      `${hexDigits[letter]} hexadecimal digits after \\${letter}`,
      `"${digits}"`,
    );
  }
  return new LiteralProblem('an escape that repr() writes', `"\\${letter}"`);
}

/** The inside of a bytes literal: printable ASCII and the escapes `\\ \' \" \n \r \t \xNN`. Gives the length. */
export function parseBytesBody(body: string, out: Uint8Array): number | LiteralProblem {
  let length = 0;
  for (let at = 0; at < body.length;) {
    const code = body.charCodeAt(at);
    if (code === 0x5c) {
      const escape = readEscape(body, at, 'bytes');
      if (escape instanceof LiteralProblem) return escape;
      out[length++] = escape.value;
      at = escape.next;
      continue;
    }
    if (code < 0x20 || code > 0x7e)
      return new LiteralProblem('printable ASCII in a bytes literal', `character code ${code}`);
    out[length++] = code;
    at++;
  }
  return length;
}

/** The inside of a str literal, as UTF-8; `\uNNNN` and `\UNNNNNNNN` too; a surrogate has no UTF-8 and is refused. */
function parseTextBody(body: string, out: Uint8Array): number | LiteralProblem {
  let text = body;
  if (body.includes('\\')) {
    text = '';
    for (let at = 0; at < body.length;) {
      const backslash = body.indexOf('\\', at);
      const plainEnd = backslash < 0 ? body.length : backslash;
      text += body.slice(at, plainEnd);
      at = plainEnd;
      if (backslash < 0) break;
      const escape = readEscape(body, at, 'text');
      if (escape instanceof LiteralProblem) return escape;
      const { value, next } = escape;
      if (value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff))
        return new LiteralProblem('a Unicode scalar value', `0x${value.toString(16)}`);
      text += String.fromCodePoint(value);
      at = next;
    }
  }
  if (/\p{Surrogate}/u.test(text))
    return new LiteralProblem('well-formed text', 'a lone surrogate');
  return encodeInto(text, out);
}

/** Whether a quote character inside the body is not escaped, which would end the literal early. */
function endsEarly(body: string, quote: string): boolean {
  for (let at = body.indexOf(quote); at >= 0; at = body.indexOf(quote, at + 1)) {
    let backslashes = 0;
    while (body[at - 1 - backslashes] === '\\') backslashes++;
    if (backslashes % 2 === 0) return true;
  }
  return false;
}

/**
 * A whole literal, `'...'`, `"..."`, `b'...'` or `b"..."`: writes the bytes it stands for (str as UTF-8) to `out` and
 * gives their number. `out` needs room for three bytes per character of the literal.
 */
export function parseLiteral(literal: string, out: Uint8Array): number | LiteralProblem {
  const isBytes = literal.startsWith('b');
  const quoteAt = isBytes ? 1 : 0;
  const quote = literal[quoteAt];
  if ((quote !== "'" && quote !== '"') || literal.length < quoteAt + 2 || !literal.endsWith(quote))
    return new LiteralProblem(
      'a quoted Python str or bytes literal',
      JSON.stringify(literal.slice(0, 40)),
    );
  const body = literal.slice(quoteAt + 1, -1);
  if (endsEarly(body, quote) || /(?<!\\)(?:\\\\)*\\$/.test(body))
    return new LiteralProblem(
      'one literal and nothing after it',
      JSON.stringify(literal.slice(0, 40)),
    );
  return isBytes ? parseBytesBody(body, out) : parseTextBody(body, out);
}
