/**
 * Text that others wrote (tensor names, error messages, what a model says) must not steer the terminal: control
 * characters other than newline and tab become visible as `\x1b`; carriage returns go.
 */
export function printable(text: string): string {
  return text.replace(/\p{Cc}/gu, (character) => {
    if (character === '\n' || character === '\t') return character;
    if (character === '\r') return '';
    return `\\x${(character.codePointAt(0) ?? 0).toString(16).padStart(2, '0')}`;
  });
}

/** As `printable`, on one line. */
export function oneLine(text: string): string {
  return printable(text).replace(/\s*\n\s*/g, ' ');
}
