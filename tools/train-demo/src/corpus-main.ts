/** `node dist/corpus-main.js OUT --root DIR`: writes the training text and the held-out text. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { bibleChapters, type Book, holdOut, paragraphs } from './corpus.js';
import { readRStrings } from './r-data.js';

const usage = `Writes training.txt and held-out.txt into the folder OUT, from books that Debian packages:
six novels of Jane Austen (r-cran-janeaustenr), Moby Dick (r-cran-tokenizers), the King James Bible (bible-kjv).

  node tools/train-demo/dist/corpus-main.js OUT [options]

  --root DIR         where the packages are installed or unpacked. Default /
  --held-out SHARE   of each book, from its end. Default 0.02
`;

const novels = [
  'sensesensibility',
  'prideprejudice',
  'mansfieldpark',
  'emma',
  'northangerabbey',
  'persuasion',
];

function stringsOf(root: string, packageName: string): Map<string, (string | null)[]> {
  const data = join(root, 'usr/lib/R/site-library', packageName, 'data/Rdata');
  return readRStrings(readFileSync(`${data}.rdx`), readFileSync(`${data}.rdb`));
}

function readBooks(root: string): Book[] {
  const austen = stringsOf(root, 'janeaustenr');
  const melville = stringsOf(root, 'tokenizers');
  const bible = execFileSync(
    join(root, 'usr/bin/bible'),
    ['-p', join(root, 'usr/lib'), '-f', 'gen1:1-rev22:21'],
    { encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 },
  );
  const book = (title: string, lines: readonly (string | null)[] | undefined): Book => {
    if (!lines) throw new Error(`The packages have no ${title}.`);
    return { title, text: paragraphs(lines.flatMap((line) => line?.split('\n') ?? [])) };
  };
  return [
    ...novels.map((title) => book(title, austen.get(title))),
    book('mobydick', melville.get('mobydick')),
    { title: 'bible', text: bibleChapters(bible) },
  ];
}

function main(): void {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      root: { type: 'string', default: '/' },
      'held-out': { type: 'string', default: '0.02' },
      help: { type: 'boolean', short: 'h' },
    },
  });
  const [out] = positionals;
  if (values.help === true || out === undefined) {
    process.stdout.write(usage);
    if (values.help !== true) process.exitCode = 2;
    return;
  }
  const share = Number(values['held-out']);
  if (!(share > 0 && share < 1)) throw new Error('--held-out must be between 0 and 1.');
  const books = readBooks(values.root);
  for (const { title, text } of books) console.log(`${title.padEnd(18)} ${text.length} bytes`);
  mkdirSync(out, { recursive: true });
  const { training, heldOut } = holdOut(books, share);
  for (const [name, text] of [
    ['training.txt', training],
    ['held-out.txt', heldOut],
  ] as const) {
    writeFileSync(join(out, name), text);
    const hash = createHash('sha256').update(text).digest('hex');
    console.log(`${name.padEnd(18)} ${text.length} bytes, sha256 ${hash}`);
  }
}

main();
