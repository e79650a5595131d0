/** Log probabilities of items on a model. Everything goes through the scheduler, so that items share batches. */
import type { Rows } from '@rwkv-ts/backend';
import { logSoftmaxAt } from '@rwkv-ts/sampler';
import type { Tokenizer } from '@rwkv-ts/tokenizer';
import type { Model } from '../model.js';
import type { Gate } from './gate.js';
import { itemInvalid, type ChoiceItem, type LastWordItem, type TextItem } from './items.js';
import { encodePair } from './encode-pair.js';
import { sum } from './statistics.js';

export interface ScoringContext {
  readonly model: Model;
  readonly tokenizer: Tokenizer;
  /** Whether every context begins with the end-of-text token. An empty one always does. */
  readonly prependEndOfText: boolean;
  /** Through which every sequence goes. */
  readonly gate: Gate;
}

/** What was found out about an item; `index` is its place in the file, from 0. */
export type Sample = TextSample | LastWordSample | ChoiceSample;

export interface TextSample {
  readonly kind: 'text';
  readonly index: number;
  readonly logprob: number;
  /** Predicted tokens, and the bytes of the text they make; words of the whole text. */
  readonly tokens: number;
  readonly bytes: number;
  readonly words: number;
}

export interface LastWordSample {
  readonly kind: 'last-word';
  readonly index: number;
  readonly logprob: number;
  readonly tokens: number;
  /** Whether each token of the word was the likeliest. */
  readonly greedy: boolean;
}

export interface ChoiceSample {
  readonly kind: 'choice';
  readonly index: number;
  /** Of each choice. */
  readonly logprobs: readonly number[];
  /** Predicted tokens of all choices. */
  readonly tokens: number;
  readonly gold: number;
  /** The choice of the highest log probability, and of the highest per character; the first of equals. */
  readonly chosen: number;
  readonly chosenPerCharacter: number;
}

export type Scored<Item extends { readonly kind: Sample['kind'] }> = Omit<
  Extract<Sample, { kind: Item['kind'] }>,
  'index'
>;

/** A text as tokens: behind end-of-text, so that all of it is predicted, where the tokenizer has such a token. */
export function textTokens(tokenizer: Tokenizer, text: string): Uint32Array {
  const own = tokenizer.encode(text);
  return tokenizer.endOfText === undefined ? own : prepended(tokenizer.endOfText, own);
}

/** @throws GenerateError `EVALUATION_INVALID` for a text of less than two tokens where the first is not predicted */
export async function scoreText(
  { text }: TextItem,
  {
    tokens,
    place,
    onToken,
    context: { model, tokenizer, gate },
  }: {
    readonly tokens: Uint32Array;
    readonly place: string;
    readonly onToken: () => void;
    readonly context: ScoringContext;
  },
): Promise<Scored<TextItem>> {
  if (tokens.length < 2) throw itemInvalid(place, 'a text with a token to predict', 'none');
  let logprob = 0;
  const onRow = (row: Rows, index: number) => {
    logprob += logSoftmaxAt(row, tokens[index + 1]!);
    onToken();
  };
  await gate.run((signal) =>
    model.evaluate(tokens.subarray(0, -1), { rows: 'all', signal, onRow }),
  );
  return {
    kind: 'text',
    logprob,
    tokens: tokens.length - 1,
    bytes: sum(Array.from(tokens.subarray(1), (token) => tokenizer.tokenBytes(token).length)),
    words: text.split(/\s+/).length,
  };
}

export async function scoreLastWord(
  item: LastWordItem,
  place: string,
  context: ScoringContext,
): Promise<Scored<LastWordItem>> {
  const [result] = await scorePairs([item], place, context);
  return {
    kind: 'last-word',
    logprob: result!.logprob,
    tokens: result!.tokens,
    greedy: result!.greedy,
  };
}

export async function scoreChoices(
  { options, gold }: ChoiceItem,
  place: string,
  context: ScoringContext,
): Promise<Scored<ChoiceItem>> {
  const results = await scorePairs(options, place, context);
  const logprobs = results.map(({ logprob }) => logprob);
  return {
    kind: 'choice',
    logprobs,
    tokens: sum(results.map(({ tokens }) => tokens)),
    gold,
    chosen: largest(logprobs),
    chosenPerCharacter: largest(logprobs.map((logprob, at) => logprob / options[at]!.length)),
  };
}

interface PairResult {
  readonly logprob: number;
  readonly tokens: number;
  readonly greedy: boolean;
}

interface Pair {
  readonly context: string;
  readonly continuation: string;
}

/** Each context is read once; what follows it goes on from copies of its state. */
async function scorePairs(
  pairs: readonly Pair[],
  place: string,
  context: ScoringContext,
): Promise<PairResult[]> {
  const results = new Array<PairResult>(pairs.length);
  const groups = new Map<string, number[]>();
  for (const [at, pair] of pairs.entries())
    groups.set(pair.context, [...(groups.get(pair.context) ?? []), at]);
  await Promise.all(
    Array.from(groups.values(), async (members) => {
      const scored = await scoreContinuations(
        members.map((at) => pairs[at]!),
        place,
        context,
      );
      for (const [member, at] of members.entries()) results[at] = scored[member]!;
    }),
  );
  return results;
}

/** Of pairs of one context. */
async function scoreContinuations(
  pairs: readonly Pair[],
  place: string,
  { model, tokenizer, prependEndOfText, gate }: ScoringContext,
): Promise<PairResult[]> {
  const encoded = pairs.map((pair) => encodePair(tokenizer, pair));
  if (encoded.some(({ continuation }) => continuation.length === 0))
    throw itemInvalid(place, 'something to predict', 'nothing');
  let tokens = encoded[0]!.context;
  if (prependEndOfText || tokens.length === 0) {
    const { endOfText, name } = tokenizer;
    if (endOfText === undefined)
      throw itemInvalid(
        place,
        'something before what is predicted',
        `nothing, and the ${name} tokenizer has no end of text to begin with`,
      );
    tokens = prepended(endOfText, tokens);
  }
  const state = await gate.run((signal) => model.prefill(tokens, { signal }));
  const score = async (continuation: Uint32Array): Promise<PairResult> => {
    const { logprobs, greedy } = await gate.run((signal) =>
      model.logprobs(continuation, { state, signal }),
    );
    const likeliest = !greedy.includes(0);
    return { logprob: sum(logprobs), tokens: continuation.length, greedy: likeliest };
  };
  // The same answer given twice is as likely both times, also where rounding depends on what else is in the batch.
  const scores = new Map<string, Promise<PairResult>>();
  return Promise.all(
    pairs.map(({ continuation: text }, at) => {
      const scored = scores.get(text) ?? score(encoded[at]!.continuation);
      scores.set(text, scored);
      return scored;
    }),
  );
}

function prepended(first: number, tokens: Uint32Array): Uint32Array {
  const all = new Uint32Array(tokens.length + 1);
  all[0] = first;
  all.set(tokens, 1);
  return all;
}

function largest(values: readonly number[]): number {
  let best = 0;
  for (const [at, value] of values.entries()) if (value > values[best]!) best = at;
  return best;
}
