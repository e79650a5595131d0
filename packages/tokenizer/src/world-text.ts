import { invalidVocabulary } from './errors.js';
import { LiteralProblem, parseLiteral } from './python-literal.js';
import { MAX_TOKEN_BYTES, TokenTableBuilder, type TokenTable } from './token-table.js';
import { END_OF_TEXT } from './world-tokenizer.js';

/** The longest way to write a byte is `\U0000000a`. */
const MAX_LITERAL = 10 * MAX_TOKEN_BYTES + 3;

/**
 * Reads `rwkv_vocab_v20230424.txt` and files like it: lines `id literal length`, where the literal is a Python str or
 * bytes literal (which may hold spaces: only the first and the last space of a line separate) and the length is the
 * token's bytes. Lines may end in \n or \r\n. Ids start at 1; 0 is the end of text.
 */
export function readWorldText(text: string): TokenTable {
  const builder = new TokenTableBuilder();
  const token = new Uint8Array(3 * MAX_LITERAL);
  let line = 0;
  for (let from = 0; from < text.length;) {
    line++;
    const newline = text.indexOf('\n', from);
    const lineEnd = newline < 0 ? text.length : newline;
    const end = lineEnd > from && text[lineEnd - 1] === '\r' ? lineEnd - 1 : lineEnd;
    readLine(text.slice(from, end), `line ${line}`, builder, token);
    from = lineEnd + 1;
  }
  return builder.build(END_OF_TEXT);
}

function readLine(
  line: string,
  where: string,
  builder: TokenTableBuilder,
  token: Uint8Array,
): void {
  const first = line.indexOf(' ');
  const last = line.lastIndexOf(' ');
  if (first < 0 || last === first)
    throw invalidVocabulary(where, '"id literal length"', JSON.stringify(line.slice(0, 40)));
  const id = wholeNumber(line.slice(0, first), where);
  const length = wholeNumber(line.slice(last + 1), where);
  if (id === END_OF_TEXT)
    throw invalidVocabulary(where, 'an id from 1 up (0 is the end of text)', id);
  if (last - first > MAX_LITERAL)
    throw invalidVocabulary(where, `a literal of at most ${MAX_LITERAL} characters`, last - first);
  const found = parseLiteral(line.slice(first + 1, last), token);
  if (found instanceof LiteralProblem) throw invalidVocabulary(where, found.expected, found.got);
  if (found !== length) throw invalidVocabulary(where, `${length} bytes as the line says`, found);
  builder.add(id, token, length, where);
}

function wholeNumber(digits: string, where: string): number {
  if (!/^\d{1,9}$/.test(digits))
    throw invalidVocabulary(where, 'a whole number', JSON.stringify(digits.slice(0, 40)));
  return Number(digits);
}
