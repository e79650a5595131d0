/**
 * Regular expressions over a given alphabet, matched against whole strings.
 *
 *     alternation  sequence | sequence …            an empty sequence matches the empty string
 *     sequence     repeated letters and groups, one after the other
 *     repeated     item, item* item+ item? item{m} item{m,} item{m,n}
 *     item         a letter, `.` (any letter of the alphabet), ( alternation ), [letters a-z], [^letters]
 *     escape       \ before any character takes it literally
 *
 * `^` and `$` outside a class must be escaped: there are no anchors, nor back-references, which are not regular.
 */
import { ExpressivityError } from '../errors.js';
import type { Alphabet } from './alphabet.js';

/** Syntax tree; `letters` are numbers of the alphabet, at least one. */
export type Regex =
  | { readonly kind: 'letters'; readonly letters: readonly number[] }
  | { readonly kind: 'sequence'; readonly parts: readonly Regex[] }
  | { readonly kind: 'alternation'; readonly parts: readonly Regex[] }
  /** `most` is Infinity where there is no bound. */
  | {
      readonly kind: 'repeat';
      readonly part: Regex;
      readonly least: number;
      readonly most: number;
    };

const longestPattern = 10_000;
const deepestNesting = 200;
const mostSuffixes = 10;
const largestCount = 1000;

/** @throws ExpressivityError `REGEX_INVALID` */
export function parseRegex(pattern: string, alphabet: Alphabet): Regex {
  return new Parser(pattern, alphabet).parse();
}

class Parser {
  readonly #characters: readonly string[];
  readonly #alphabet: Alphabet;
  #at = 0;
  #depth = 0;

  constructor(pattern: string, alphabet: Alphabet) {
    this.#characters = Array.from(pattern);
    this.#alphabet = alphabet;
    if (this.#characters.length > longestPattern) {
      this.#fail(`at most ${longestPattern} characters`, `${this.#characters.length}`);
    }
  }

  parse(): Regex {
    const regex = this.#alternation();
    if (this.#next !== undefined) this.#fail('the end, or ( before the )');
    return regex;
  }

  get #next(): string | undefined {
    return this.#characters[this.#at];
  }

  #take(wanted: string): boolean {
    if (this.#next !== wanted) return false;
    this.#at++;
    return true;
  }

  #alternation(): Regex {
    const parts = [this.#sequence()];
    while (this.#take('|')) parts.push(this.#sequence());
    return parts.length === 1 ? parts[0]! : { kind: 'alternation', parts };
  }

  #sequence(): Regex {
    const parts: Regex[] = [];
    while (this.#next !== undefined && this.#next !== '|' && this.#next !== ')') {
      parts.push(this.#repeated());
    }
    return parts.length === 1 ? parts[0]! : { kind: 'sequence', parts };
  }

  #repeated(): Regex {
    let part = this.#item();
    for (let suffixes = 0; ; suffixes++) {
      const count = this.#count();
      if (!count) return part;
      // Each is one more level for those who walk the tree.
      if (suffixes === mostSuffixes) this.#fail(`at most ${mostSuffixes} repetitions of one item`);
      part = { kind: 'repeat', part, least: count[0], most: count[1] };
    }
  }

  #count(): readonly [number, number] | undefined {
    if (this.#take('*')) return [0, Infinity];
    if (this.#take('+')) return [1, Infinity];
    if (this.#take('?')) return [0, 1];
    if (!this.#take('{')) return undefined;
    const least = this.#number();
    let most = least;
    if (this.#take(',')) most = this.#next === '}' ? Infinity : this.#number();
    if (!this.#take('}')) this.#fail('a closing }');
    if (most < least) this.#fail(`at least ${least} repetitions`, `${most}`);
    return [least, most];
  }

  #number(): number {
    let digits = '';
    while (/^\d$/.test(this.#next ?? '')) digits += this.#characters[this.#at++]!;
    if (digits === '' || Number(digits) > largestCount) {
      this.#fail(`a number from 0 to ${largestCount}`, digits === '' ? undefined : digits);
    }
    return Number(digits);
  }

  #item(): Regex {
    if (this.#take('(')) {
      if (++this.#depth > deepestNesting) this.#fail(`at most ${deepestNesting} nested groups`);
      const regex = this.#alternation();
      if (!this.#take(')')) this.#fail('a closing )');
      this.#depth--;
      return regex;
    }
    if (this.#take('[')) return this.#class();
    if (this.#take('.')) return this.#anyBut(new Set());
    if (/^[*+?{}\]^$]$/.test(this.#next ?? '')) this.#fail('a letter, a group or a class');
    const letter = this.#literal();
    return { kind: 'letters', letters: [this.#numberOf(letter)] };
  }

  /** One character, escaped or not. */
  #literal(): string {
    this.#take('\\');
    const letter = this.#next ?? this.#fail('a character');
    this.#at++;
    return letter;
  }

  #class(): Regex {
    const isNegated = this.#take('^');
    const members = new Set<number>();
    while (!this.#take(']')) {
      if (this.#next === undefined) this.#fail('a closing ]');
      const first = this.#literal();
      if (this.#next === '-' && this.#characters[this.#at + 1] !== ']') {
        this.#at++;
        this.#addRange(members, first, this.#literal());
      } else members.add(this.#numberOf(first));
    }
    if (isNegated) return this.#anyBut(members);
    if (members.size === 0) this.#fail('a class with at least one letter');
    return { kind: 'letters', letters: [...members].sort((a, b) => a - b) };
  }

  /** Those letters of the alphabet that lie in the range, by code point. */
  #addRange(members: Set<number>, first: string, last: string): void {
    const [low, high] = [first.codePointAt(0)!, last.codePointAt(0)!];
    const before = members.size;
    for (const [letter, number] of this.#alphabet.numbers) {
      const point = letter.codePointAt(0)!;
      if (point >= low && point <= high) members.add(number);
    }
    if (members.size === before)
      this.#fail('a range with new letters of the alphabet', `${first}-${last}`);
  }

  #anyBut(excluded: ReadonlySet<number>): Regex {
    const letters = this.#alphabet.letters
      .map((_, number) => number)
      .filter((number) => !excluded.has(number));
    if (letters.length === 0) this.#fail('a class with at least one letter');
    return { kind: 'letters', letters };
  }

  #numberOf(letter: string): number {
    const number = this.#alphabet.numbers.get(letter);
    return (
      number ??
      this.#fail(
        `a letter of the alphabet ${JSON.stringify(this.#alphabet.letters.join(''))}`,
        letter,
      )
    );
  }

  #fail(expected: string, got = this.#next): never {
    throw new ExpressivityError({
      code: 'REGEX_INVALID',
      message: `In the pattern, at character ${this.#at + 1}: expected ${expected}, got ${got === undefined ? 'the end' : JSON.stringify(got)}.`,
      expected,
      got,
    });
  }
}
