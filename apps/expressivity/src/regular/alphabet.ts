/** An alphabet: its letters in order, one Unicode character each. Letters are numbers below `letters.length` elsewhere. */
import { ExpressivityError } from '../errors.js';

export interface Alphabet {
  readonly letters: readonly string[];
  /** The number of a letter. */
  readonly numbers: ReadonlyMap<string, number>;
}

const largestAlphabet = 256;

/** @throws ExpressivityError `ALPHABET_INVALID` */
export function createAlphabet(text: string): Alphabet {
  const letters = Array.from(text);
  const numbers = new Map(letters.map((letter, number) => [letter, number]));
  if (letters.length < 1 || letters.length > largestAlphabet || numbers.size !== letters.length) {
    throw new ExpressivityError({
      code: 'ALPHABET_INVALID',
      message: `An alphabet must have 1 to ${largestAlphabet} different letters, got ${JSON.stringify(text)}.`,
      expected: largestAlphabet,
      got: letters.length,
    });
  }
  return { letters, numbers };
}

/** A string as numbers of letters. @throws ExpressivityError `STRING_INVALID` */
export function encodeString(text: string, { letters, numbers }: Alphabet): Uint32Array {
  return Uint32Array.from(Array.from(text), (letter) => {
    const number = numbers.get(letter);
    if (number !== undefined) return number;
    throw new ExpressivityError({
      code: 'STRING_INVALID',
      message: `The letter ${JSON.stringify(letter)} is not in the alphabet ${JSON.stringify(letters.join(''))}.`,
      expected: letters,
      got: letter,
    });
  });
}
