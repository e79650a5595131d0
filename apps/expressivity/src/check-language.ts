/** One language from its pattern to a checked model. */
import type { Backend } from '@rwkv-ts/backend';
import { type CompiledDfa, compileDfa } from './construction/compile-dfa.js';
import { Recogniser, type RecogniserOptions } from './construction/recogniser.js';
import { createAlphabet } from './regular/alphabet.js';
import { acceptedPrefixes, type Dfa, dfaOfRegex } from './regular/dfa.js';
import type { Language } from './regular/languages.js';
import { randomStrings, type RandomStringsOptions } from './regular/random-strings.js';

export interface CompiledLanguage {
  readonly dfa: Dfa;
  readonly compiled: CompiledDfa;
}

/** @throws ExpressivityError */
export function compileLanguage({ pattern, alphabet }: Omit<Language, 'name'>): CompiledLanguage {
  const dfa = dfaOfRegex(pattern, createAlphabet(alphabet));
  return { dfa, compiled: compileDfa(dfa) };
}

export interface CheckResult {
  readonly strings: number;
  readonly acceptedStrings: number;
  readonly longest: number;
  /** Every prefix of every string is an answer. */
  readonly prefixes: number;
  readonly wrongStrings: number;
  readonly wrongPrefixes: number;
  /** Logits that are not exactly those of the construction. */
  readonly inexact: number;
  readonly seconds: number;
}

export interface CheckOptions extends RandomStringsOptions, RecogniserOptions {
  readonly onProgress?: (strings: number) => void;
}

/** Compares the model with the automaton on every prefix of random strings. */
export async function checkLanguage(
  backend: Backend,
  { dfa, compiled }: CompiledLanguage,
  { onProgress, ...options }: CheckOptions,
): Promise<CheckResult> {
  const strings = randomStrings(dfa, options);
  const started = performance.now();
  await using recogniser = await Recogniser.create(backend, compiled, options);
  const totals = { acceptedStrings: 0, prefixes: 0, wrongStrings: 0, wrongPrefixes: 0, inexact: 0 };
  let done = 0;
  for await (const { index, accepted, inexact } of recogniser.recognise(strings)) {
    const expected = acceptedPrefixes(dfa, strings[index]!);
    const wrong = expected.reduce((sum, answer, at) => sum + Number(answer !== accepted[at]), 0);
    totals.acceptedStrings += expected.at(-1)!;
    totals.prefixes += expected.length;
    totals.wrongPrefixes += wrong;
    totals.wrongStrings += Number(wrong > 0);
    totals.inexact += inexact;
    onProgress?.(++done);
  }
  const longest = strings.reduce((most, { length }) => Math.max(most, length), 0);
  const seconds = (performance.now() - started) / 1000;
  return { strings: strings.length, longest, seconds, ...totals };
}
