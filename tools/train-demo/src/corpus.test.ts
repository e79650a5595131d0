import { expect, test } from 'vitest';
import { bibleChapters, holdOut, paragraphs, plain } from './corpus.js';

test('text becomes the nearest ASCII', () => {
  expect(
    plain('\u201cC\u2019est _d\u00e9j\u00e0_ vu\u2026\u201d\u2014\u00c6gir \u00a35 \u4e2d'),
  ).toBe('"C\'est deja vu..."--Aegir 5 ');
});

test('lines of a page become paragraphs', () => {
  expect(paragraphs(['', 'It is a truth', '  universally  acknowledged,', '', null, 'that'])).toBe(
    'It is a truth universally acknowledged,\n\nthat\n',
  );
});

test('verses become chapters', () => {
  const printed =
    'Ge1:1 In the beginning.\nGe1:2 And the earth.\nGe2:1 Thus the heavens.\n1Jo1:1 That.\n';
  expect(bibleChapters(printed)).toBe(
    'In the beginning. And the earth.\n\nThus the heavens.\n\nThat.\n',
  );
  expect(() => bibleChapters('no place here')).toThrow(/must begin with its place/);
});

test('holds out the end of each book, at a paragraph', () => {
  const text = Array.from({ length: 10 }, (_, at) => `paragraph ${at}`).join('\n\n');
  const { training, heldOut } = holdOut(
    [
      { title: 'a', text },
      { title: 'b', text },
    ],
    0.25,
  );
  expect(heldOut.match(/paragraph \d/g)).toEqual(
    ['7', '8', '9', '7', '8', '9'].map((at) => `paragraph ${at}`),
  );
  expect(training.match(/paragraph \d/g)).toHaveLength(14);
});
