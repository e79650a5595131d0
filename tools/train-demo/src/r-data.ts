/**
 * Character vectors out of the data folder of an installed R package: `Rdata.rdx` names objects and says where each lies
 * in `Rdata.rdb`; both hold values in R's serialisation, version 2 or 3, big endian ("XDR"), compressed with zlib
 * (R Internals, section 1.8). Knows just the value types that such data has, and refuses the rest.
 */
import { gunzipSync, inflateSync } from 'node:zlib';

/** A value as far as character data needs it: attributes are dropped but for `names`. */
export type RValue =
  | null
  | readonly (string | null)[]
  | Float64Array
  | { readonly values: readonly RValue[]; readonly names: readonly (string | null)[] };

/** What a data folder holds more of than any of ours would. */
const mostBytes = 64 * 1024 * 1024;

/** SEXPTYPE numbers of the values, and the codes of those that a stream writes without their content. */
const type = {
  symbol: 1,
  pairlist: 2,
  character: 9,
  logical: 10,
  integer: 13,
  real: 14,
  strings: 16,
  list: 19,
  emptyEnvironment: 242,
  globalEnvironment: 253,
  nil: 254,
  reference: 255,
} as const;

const hasAttributes = 0x200;
const hasTag = 0x400;

class RReader {
  readonly #bytes: Buffer;
  #at = 0;
  /** What `reference` counts: symbols, in order. */
  readonly #symbols: string[] = [];

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
    const magic = bytes.toString('latin1', 0, 2);
    if (magic !== 'X\n') throw new Error(`R data must begin with X, got ${JSON.stringify(magic)}.`);
    this.#at = 2;
    const version = this.#integer();
    if (version !== 2 && version !== 3)
      throw new Error(`R data must be version 2 or 3, got ${version}.`);
    this.#integer();
    this.#integer();
    if (version === 3) this.#text(this.#integer());
  }

  value(): RValue {
    const flags = this.#integer();
    const attributed = (flags & hasAttributes) !== 0;
    switch (flags & 0xff) {
      case type.nil:
      case type.emptyEnvironment:
      case type.globalEnvironment:
        return null;
      case type.symbol:
        this.#symbols.push(this.#string() ?? '');
        return [this.#symbols.at(-1)!];
      case type.reference:
        return [this.#symbols[(flags >>> 8) - 1] ?? null];
      case type.pairlist:
        return this.#pairlist(flags);
      case type.integer:
      case type.logical: {
        const numbers = Float64Array.from({ length: this.#count(4) }, () => this.#integer());
        if (attributed) this.value();
        return numbers;
      }
      case type.real: {
        const numbers = Float64Array.from({ length: this.#count(8) }, () => this.#double());
        if (attributed) this.value();
        return numbers;
      }
      case type.strings: {
        const strings = Array.from({ length: this.#count(4) }, () => this.#string());
        if (attributed) this.value();
        return strings;
      }
      case type.list: {
        const values = Array.from({ length: this.#count(4) }, () => this.value());
        const attributes = attributed ? this.value() : null;
        return { values, names: namesIn(attributes) };
      }
      default:
        throw new Error(
          `R data has a value of type ${flags & 0xff}, which text data does not have.`,
        );
    }
  }

  /** A linked list of tagged values: its head's flags are read already. */
  #pairlist(flags: number): RValue {
    const values: RValue[] = [];
    const names: (string | null)[] = [];
    for (let own = flags; (own & 0xff) !== type.nil; own = this.#integer()) {
      if ((own & 0xff) !== type.pairlist) throw new Error('An R list ends in something else.');
      if ((own & hasAttributes) !== 0) this.value();
      const tag = (own & hasTag) === 0 ? null : this.value();
      names.push(Array.isArray(tag) ? (tag as (string | null)[])[0]! : null);
      values.push(this.value());
    }
    return { values, names };
  }

  #string(): string | null {
    const kind = this.#integer() & 0xff;
    if (kind !== type.character) throw new Error(`R data has type ${kind} in place of a string.`);
    const length = this.#integer();
    return length < 0 ? null : this.#text(length);
  }

  #text(length: number): string {
    const text = this.#bytes.toString('utf8', this.#at, this.#need(length));
    this.#at += length;
    return text;
  }

  #integer(): number {
    this.#need(4);
    this.#at += 4;
    return this.#bytes.readInt32BE(this.#at - 4);
  }

  #double(): number {
    this.#need(8);
    this.#at += 8;
    return this.#bytes.readDoubleBE(this.#at - 8);
  }

  /** A length, which the rest of the data must be able to hold. */
  #count(bytesEach: number): number {
    const count = this.#integer();
    this.#need(count * bytesEach);
    return count;
  }

  #need(bytes: number): number {
    const end = this.#at + bytes;
    if (bytes >= 0 && end <= this.#bytes.length) return end;
    throw new Error(
      `R data ends at byte ${this.#bytes.length}, within a value that needs ${bytes} more from ${this.#at}.`,
    );
  }
}

function namesIn(attributes: RValue): readonly (string | null)[] {
  if (attributes === null || !('names' in attributes)) return [];
  const at = attributes.names.indexOf('names');
  const names = attributes.values[at];
  return Array.isArray(names) ? (names as (string | null)[]) : [];
}

/** One value of uncompressed serialised bytes. */
export function readRValue(bytes: Buffer): RValue {
  return new RReader(bytes).value();
}

/**
 * The character vectors of a lazy-load database, by name.
 * @throws Error saying what is wrong with the files
 */
export function readRStrings(index: Buffer, database: Buffer): Map<string, (string | null)[]> {
  const whole = index[0] === 0x1f ? gunzipSync(index, limit) : inflateSync(index, limit);
  const [variables] = listOf(readRValue(whole), 'variables');
  const { values, names } = namedList(variables);
  const found = new Map<string, (string | null)[]>();
  for (const [at, name] of names.entries()) {
    const place = values[at];
    if (name === null || !(place instanceof Float64Array) || place.length !== 2) {
      throw new Error('The index of R data must name an offset and a length for each object.');
    }
    const [offset, length] = place as unknown as [number, number];
    const part = database.subarray(offset, offset + length);
    if (part.length !== length || length < 5)
      throw new Error(`${name} lies outside of the database.`);
    const value = readRValue(inflateSync(part.subarray(4), limit));
    if (Array.isArray(value)) found.set(name, value as (string | null)[]);
  }
  return found;
}

const limit = { maxOutputLength: mostBytes };

function namedList(value: RValue | undefined): Extract<RValue, { names: unknown }> {
  if (value && 'names' in value) return value;
  throw new Error('The index of R data must be a list with names.');
}

function listOf(value: RValue, ...wanted: string[]): RValue[] {
  const { values, names } = namedList(value);
  return wanted.map((name) => values[names.indexOf(name)] ?? null);
}
