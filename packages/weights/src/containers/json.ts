import { invalid, shown } from './failures.js';
import { limits } from './limits.js';

export type JsonValue = string | number | boolean | null | readonly JsonValue[] | JsonObject;
/** A Map, so that a key such as `__proto__` is a key like any other. */
export type JsonObject = ReadonlyMap<string, JsonValue>;

/**
 * JSON (RFC 8259), refusing what `JSON.parse` hides: a key that occurs twice. Depth and number of values are bounded
 * (`limits.jsonDepth`, `limits.jsonValues`).
 * @param file for errors
 * @throws WeightsError `CONTAINER_INVALID`
 */
export function parseJson(text: string, file: string): JsonValue {
  const state: JsonState = { text, file, at: 0, valuesLeft: limits.jsonValues };
  const value = readValue(state, 0);
  skipSpace(state);
  if (state.at !== text.length) throw unexpected(state);
  return value;
}

interface JsonState {
  readonly text: string;
  readonly file: string;
  at: number;
  valuesLeft: number;
}

const numberPattern = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
/** A run without quote, backslash or control character: most strings end right there. */
const plainPattern = /[ !#-[\]-\uffff]*/y;
const words = new Map<string, JsonValue>([
  ['true', true],
  ['false', false],
  ['null', null],
]);

function unexpected({ text, file, at }: JsonState): Error {
  const found = at < text.length ? shown(text.slice(at, at + 12)) : 'the end';
  return invalid(file, `its JSON is broken at character ${at}: ${found}`, { got: found });
}

function skipSpace(state: JsonState): void {
  const { text } = state;
  while (state.at < text.length && ' \t\n\r'.includes(text.charAt(state.at))) state.at++;
}

/** Steps over `character`, after white space, if it is next. */
function accept(state: JsonState, character: string): boolean {
  skipSpace(state);
  if (state.text.charAt(state.at) !== character) return false;
  state.at++;
  return true;
}

function require(state: JsonState, character: string): void {
  if (!accept(state, character)) throw unexpected(state);
}

function match(state: JsonState, pattern: RegExp): string {
  pattern.lastIndex = state.at;
  const found = pattern.exec(state.text)?.[0] ?? '';
  state.at += found.length;
  return found;
}

function readValue(state: JsonState, depth: number): JsonValue {
  if (depth > limits.jsonDepth) {
    throw invalid(state.file, `its JSON is nested deeper than ${limits.jsonDepth}`, {
      expected: limits.jsonDepth,
      got: depth,
    });
  }
  state.valuesLeft--;
  if (state.valuesLeft < 0) {
    throw invalid(state.file, `its JSON has more than ${limits.jsonValues} values`, {
      expected: limits.jsonValues,
    });
  }
  skipSpace(state);
  const first = state.text.charAt(state.at);
  if (first === '{') return readObject(state, depth);
  if (first === '[') return readArray(state, depth);
  if (first === '"') return readString(state);
  for (const [word, value] of words) {
    if (state.text.startsWith(word, state.at)) {
      state.at += word.length;
      return value;
    }
  }
  const digits = match(state, numberPattern);
  if (digits === '') throw unexpected(state);
  return Number(digits);
}

function readObject(state: JsonState, depth: number): JsonObject {
  const object = new Map<string, JsonValue>();
  require(state, '{');
  if (accept(state, '}')) return object;
  do {
    skipSpace(state);
    const key = readString(state);
    require(state, ':');
    if (object.has(key))
      throw invalid(state.file, `its JSON has the key ${shown(key)} twice`, { got: key });
    object.set(key, readValue(state, depth + 1));
  } while (accept(state, ','));
  require(state, '}');
  return object;
}

function readArray(state: JsonState, depth: number): readonly JsonValue[] {
  const array: JsonValue[] = [];
  require(state, '[');
  if (accept(state, ']')) return array;
  do {
    array.push(readValue(state, depth + 1));
  } while (accept(state, ','));
  require(state, ']');
  return array;
}

function readString(state: JsonState): string {
  const start = state.at;
  if (state.text.charAt(start) !== '"') throw unexpected(state);
  state.at++;
  const plain = match(state, plainPattern);
  if (state.text.charAt(state.at) === '"') {
    state.at++;
    return plain;
  }
  while (state.text.charAt(state.at) === '\\') {
    state.at += 2;
    match(state, plainPattern);
  }
  if (state.text.charAt(state.at) !== '"') throw unexpected(state);
  state.at++;
  try {
    return JSON.parse(state.text.slice(start, state.at)) as string;
  } catch {
    state.at = start;
    throw unexpected(state);
  }
}
