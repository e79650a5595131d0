/** `--escape`: \n, \t, \r, \\, \", \', \xHH (up to 7f) and \uHHHH in texts of the command line. */
import { UsageError } from './failure.js';

const simple: Readonly<Record<string, string>> = {
  n: '\n',
  t: '\t',
  r: '\r',
  '\\': '\\',
  '"': '"',
  "'": "'",
};

/** @throws UsageError for an escape that means nothing, so that a typo does not become text. */
export function unescapeText(text: string): string {
  return text.replace(
    /\\(?:x([0-7][0-9a-f])|u([0-9a-f]{4})|([^]?))/gi,
    (whole, byte: string | undefined, unit: string | undefined, letter: string | undefined) => {
      const hex = byte ?? unit;
      if (hex !== undefined) return String.fromCharCode(Number.parseInt(hex, 16));
      const meaning = letter === undefined ? undefined : simple[letter];
      if (meaning !== undefined) return meaning;
      throw new UsageError(
        `--escape: '${whole}' means nothing; there are \\n \\t \\r \\\\ \\" \\' \\xHH (to \\x7f) and \\uHHHH.`,
      );
    },
  );
}
