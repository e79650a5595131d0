import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { GenerateError } from './errors.js';
import { StopMatcher } from './stop-matcher.js';

function feed(
  stops: readonly string[],
  pieces: readonly string[],
): { text: string; matched: string | undefined; chunks: string[] } {
  const matcher = new StopMatcher(stops);
  const chunks = pieces.map((piece) => matcher.push(piece));
  if (matcher.matched === undefined) chunks.push(matcher.flush());
  return { text: chunks.join(''), matched: matcher.matched, chunks };
}

/** Letter by letter: the first letter after which the text ends with a stop; of several, the longest. */
function expected(
  stops: readonly string[],
  text: string,
): { text: string; matched: string | undefined } {
  for (let end = 1; end <= text.length; end++) {
    const found = stops.filter((stop) => text.slice(0, end).endsWith(stop));
    const longest = found.sort((a, b) => b.length - a.length)[0];
    if (longest !== undefined)
      return { text: text.slice(0, end - longest.length), matched: longest };
  }
  return { text, matched: undefined };
}

/** Few letters, so that stops overlap themselves and each other; some of several bytes and code units. */
const letters = fc.array(fc.constantFrom('a', 'b', '\n', 'é', '好', '😀'), { maxLength: 30 });
const stop = fc
  .array(fc.constantFrom('a', 'b', '\n', 'é', '好', '😀'), { minLength: 1, maxLength: 5 })
  .map((parts) => parts.join(''));

function cut(text: string, lengths: readonly number[]): string[] {
  const pieces: string[] = [];
  let at = 0;
  for (const length of [...lengths, text.length]) {
    pieces.push(text.slice(at, at + length));
    at += length;
  }
  return pieces;
}

describe('StopMatcher', () => {
  it('gives the text before the first stop to be complete, however the text is cut', () => {
    fc.assert(
      fc.property(
        letters,
        fc.array(stop, { maxLength: 4 }),
        fc.array(fc.nat(6)),
        (text, stops, lengths) => {
          const whole = text.join('');
          const { text: out, matched } = feed(stops, cut(whole, lengths));
          expect({ text: out, matched }).toEqual(expected(stops, whole));
        },
      ),
      { numRuns: 3000 },
    );
  });

  it('gives out text as soon as it is certain', () => {
    fc.assert(
      fc.property(letters, fc.array(stop, { maxLength: 3 }), (text, stops) => {
        const matcher = new StopMatcher(stops);
        let given = '';
        let seen = '';
        for (const letter of text) {
          given += matcher.push(letter);
          seen += letter;
          if (matcher.matched !== undefined) return;
          // What is held back begins a stop; nothing longer does.
          const held = seen.slice(given.length);
          expect(seen.startsWith(given)).toBe(true);
          expect(held === '' || stops.some((each) => each.startsWith(held))).toBe(true);
        }
      }),
      { numRuns: 1000 },
    );
  });

  it('knows these', () => {
    expect(feed(['\n\nUser:'], ['Hi', '\n', '\nUs', 'er: more'])).toEqual({
      text: 'Hi',
      matched: '\n\nUser:',
      chunks: ['Hi', '', '', ''],
    });
    expect(feed(['\n\nUser:'], ['a\n\nUse', 'r\n\nUser:']).text).toBe('a\n\nUser');
    expect(feed(['abcd', 'bc'], ['abcd'])).toMatchObject({ text: 'a', matched: 'bc' });
    expect(feed(['c', 'bc', 'abc'], ['xabc'])).toMatchObject({ text: 'x', matched: 'abc' });
    expect(feed(['aab'], ['aa', 'aab']).chunks).toEqual(['', 'aa']);
    expect(feed([], ['a', 'b']).chunks).toEqual(['a', 'b', '']);
  });

  it.each(['', '\ud83d', 'a\ude00'])('refuses %j', (bad) => {
    expect(() => new StopMatcher(['ok', bad])).toThrow(GenerateError);
  });
});
