/** Public-domain books as plain text: paragraphs of one line each, one blank line between them, ASCII. */

export interface Book {
  readonly title: string;
  readonly text: string;
}

const replacements: readonly (readonly [RegExp, string])[] = [
  [/[\u201c\u201d]/g, '"'],
  [/[\u2018\u2019]/g, "'"],
  [/\u2014/g, '--'],
  [/\u2013/g, '-'],
  [/\u2026/g, '...'],
  [/\u00e6/g, 'ae'],
  [/\u00c6/g, 'Ae'],
  [/\u0153/g, 'oe'],
  // Emphasis, as plain-text editions mark it.
  [/_/g, ''],
];

/** The nearest ASCII text; what has none is left out. */
export function plain(text: string): string {
  let result = text;
  for (const [from, to] of replacements) result = result.replace(from, to);
  return result.normalize('NFD').replace(/[^\n -~]/g, '');
}

/** Lines of a printed page, with blank ones between paragraphs, as one line a paragraph. */
export function paragraphs(lines: readonly (string | null)[]): string {
  const joined: string[] = [];
  let current: string[] = [];
  for (const line of [...lines, '']) {
    const words = plain(line ?? '').trim();
    if (words !== '') {
      current.push(words);
    } else if (current.length > 0) {
      joined.push(current.join(' ').replace(/ {2,}/g, ' '));
      current = [];
    }
  }
  return `${joined.join('\n\n')}\n`;
}

/**
 * The output of `bible -f gen1:1-rev22:21`, a verse a line behind its place: chapters become paragraphs.
 */
export function bibleChapters(printed: string): string {
  const chapters: string[] = [];
  let [current, chapter]: [string[], string] = [[], ''];
  for (const line of printed.split('\n')) {
    const match = /^(.+?:)\d+ (.*)$/.exec(line);
    if (!match) {
      if (line.trim() !== '')
        throw new Error(
          `A line of the Bible must begin with its place, got ${JSON.stringify(line)}.`,
        );
      continue;
    }
    if (match[1] !== chapter && current.length > 0) {
      chapters.push(current.join(' '));
      current = [];
    }
    chapter = match[1]!;
    current.push(plain(match[2]!).trim());
  }
  chapters.push(current.join(' '));
  return `${chapters.join('\n\n')}\n`;
}

/** Cuts the end of each book off, at a paragraph, for evaluation: what is held out is at least `share` of it. */
export function holdOut(
  books: readonly Book[],
  share: number,
): { training: string; heldOut: string } {
  const [training, heldOut]: [string[], string[]] = [[], []];
  for (const { text } of books) {
    const cut = text.lastIndexOf('\n\n', Math.floor(text.length * (1 - share)));
    const at = cut === -1 ? text.length : cut + 1;
    training.push(text.slice(0, at));
    heldOut.push(text.slice(at).trimStart());
  }
  return { training: training.join('\n\n'), heldOut: heldOut.join('\n\n') };
}
