import { GenerateError, aborted, optionInvalid } from '../errors.js';
import type { Model } from '../model.js';
import { requireTokenizer } from '../prompt-start.js';
import { Gate } from './gate.js';
import type { EvaluationItem, EvaluationKind } from './items.js';
import {
  type ChoiceSample,
  type LastWordSample,
  type Sample,
  type ScoringContext,
  type TextSample,
  scoreChoices,
  scoreLastWord,
  scoreText,
  textTokens,
} from './score.js';
import {
  type Metric,
  meanOf,
  negativeExponential,
  ratioOf,
  sum,
  transformed,
} from './statistics.js';

export interface EvaluateItemsOptions {
  /** What items are called in errors: `hellaswag.jsonl`. */
  readonly name?: string;
  /**
   * Feeds the end-of-text token before every context, as RWKV's own scripts do and lm-evaluation-harness does not. Default
   * false. Texts always begin with it where the tokenizer has one, and so does what has no context.
   */
  readonly prependEndOfText?: boolean;
  /**
   * Sequences that run or wait for a slot at the same time, and items in work, of each of which a state is held. Default
   * twice the model's slots.
   */
  readonly concurrency?: number;
  /** Done and in all: items, or tokens of texts. */
  readonly onProgress?: (progress: { readonly done: number; readonly total: number }) => void;
  readonly signal?: AbortSignal;
}

export interface EvaluationResult {
  readonly kind: EvaluationKind;
  readonly items: number;
  /** Tokens that were predicted. */
  readonly tokens: number;
  /**
   * By the names of lm-evaluation-harness. Texts: `perplexity` (of a token), `word_perplexity`, `byte_perplexity`,
   * `bits_per_byte`. Last words: `acc` (every token of the word is the likeliest), `perplexity` (of a word). Choices: `acc`
   * and `acc_norm` (the right one has the highest log probability, and the highest per character).
   */
  readonly metrics: Readonly<Record<string, Metric>>;
  /** Item by item, in their order. */
  readonly samples: readonly Sample[];
}

/**
 * Evaluates a model on items of one kind. Contexts that choices share are read once.
 * @throws GenerateError `EVALUATION_INVALID`, `TOKENIZER_REQUIRED`, `OPTION_INVALID`, `ABORTED`, `FORWARD_FAILED`, …
 */
export async function evaluateItems(
  model: Model,
  items: readonly EvaluationItem[],
  {
    name = 'the items',
    prependEndOfText = false,
    concurrency = 2 * model.load.slots,
    onProgress,
    signal,
  }: EvaluateItemsOptions = {},
): Promise<EvaluationResult> {
  const kind = kindOf(items, name);
  if (!Number.isSafeInteger(concurrency) || concurrency < 1)
    throw optionInvalid('concurrency', 'a positive integer', concurrency);
  const tokenizer = requireTokenizer(model.tokenizer, model.vocabularySize);
  if (prependEndOfText && tokenizer.endOfText === undefined)
    throw optionInvalid(
      'prependEndOfText',
      'a tokenizer with an end-of-text token',
      `the ${tokenizer.name} tokenizer`,
    );
  const gate = new Gate(concurrency);
  const context = { model, tokenizer, prependEndOfText, gate };
  const job = createJob(items, { name, context, onProgress });
  const samples = new Array<Sample>(items.length);
  await runAll(items.length, {
    concurrency,
    gate,
    signal,
    work: async (index) => {
      samples[index] = { ...(await job(index)), index };
    },
  });
  return {
    kind,
    items: items.length,
    tokens: sum(samples.map(({ tokens }) => tokens)),
    metrics: metricsOf(samples),
    samples,
  };
}

function kindOf(items: readonly EvaluationItem[], name: string): EvaluationKind {
  const kind = items[0]?.kind;
  if (kind !== undefined && items.every((item) => item.kind === kind)) return kind;
  throw new GenerateError({
    code: 'EVALUATION_INVALID',
    message: `${name}: expected at least one item, and all of one kind, got ${items.length}`,
    expected: 'items of one kind',
    got: items.length,
  });
}

type Unplaced = Sample extends infer Each
  ? Each extends Sample
    ? Omit<Each, 'index'>
    : never
  : never;

/** What scores the item of an index, and tells how far everything is. */
function createJob(
  items: readonly EvaluationItem[],
  {
    name,
    context,
    onProgress,
  }: { name: string; context: ScoringContext; onProgress: EvaluateItemsOptions['onProgress'] },
): (index: number) => Promise<Unplaced> {
  const tokens = items.map((item) =>
    item.kind === 'text' ? textTokens(context.tokenizer, item.text) : undefined,
  );
  let total = 0;
  for (const each of tokens) total += each === undefined ? 1 : Math.max(0, each.length - 1);
  let done = 0;
  const advance = () => {
    done++;
    onProgress?.({ done, total });
  };
  return async (index) => {
    const item = items[index]!;
    const place = items.length === 1 ? name : `${name}: item ${index + 1}`;
    if (item.kind === 'text')
      return scoreText(item, { tokens: tokens[index]!, place, onToken: advance, context });
    const sample =
      item.kind === 'choice'
        ? await scoreChoices(item, place, context)
        : await scoreLastWord(item, place, context);
    advance();
    return sample;
  };
}

/** Works through `count` indices, some at a time. The first failure stops everything, and is thrown when all has ended. */
async function runAll(
  count: number,
  {
    concurrency,
    gate,
    signal,
    work,
  }: {
    concurrency: number;
    gate: Gate;
    signal: AbortSignal | undefined;
    work: (index: number) => Promise<void>;
  },
): Promise<void> {
  let next = 0;
  let failure: { readonly error: unknown } | undefined;
  const fail = (error: unknown) => {
    failure ??= { error };
    gate.stop(error);
  };
  const abort = () => {
    fail(aborted('Evaluation', signal!));
  };
  if (signal?.aborted === true) abort();
  signal?.addEventListener('abort', abort, { once: true });
  const worker = async () => {
    while (next < count && failure === undefined) await work(next++).catch(fail);
  };
  await Promise.all(Array.from({ length: Math.min(concurrency, count) }, worker));
  signal?.removeEventListener('abort', abort);
  if (failure !== undefined) throw failure.error;
}

function metricsOf(samples: readonly Sample[]): Record<string, Metric> {
  const [first] = samples;
  if (first?.kind === 'text') return textMetrics(samples as readonly TextSample[]);
  return first?.kind === 'last-word'
    ? lastWordMetrics(samples as readonly LastWordSample[])
    : choiceMetrics(samples as readonly ChoiceSample[]);
}

function textMetrics(samples: readonly TextSample[]): Record<string, Metric> {
  const logprobs = samples.map(({ logprob }) => logprob);
  const per = (unit: 'tokens' | 'words' | 'bytes') =>
    ratioOf(
      logprobs,
      samples.map((sample) => sample[unit]),
    );
  return {
    perplexity: transformed(per('tokens'), negativeExponential),
    word_perplexity: transformed(per('words'), negativeExponential),
    byte_perplexity: transformed(per('bytes'), negativeExponential),
    bits_per_byte: transformed(per('bytes'), {
      apply: (value) => -value / Math.LN2,
      slope: () => 1 / Math.LN2,
    }),
  };
}

function lastWordMetrics(samples: readonly LastWordSample[]): Record<string, Metric> {
  return {
    acc: meanOf(samples.map(({ greedy }) => Number(greedy))),
    perplexity: transformed(meanOf(samples.map(({ logprob }) => logprob)), negativeExponential),
  };
}

function choiceMetrics(samples: readonly ChoiceSample[]): Record<string, Metric> {
  return {
    acc: meanOf(samples.map(({ chosen, gold }) => Number(chosen === gold))),
    acc_norm: meanOf(
      samples.map(({ chosenPerCharacter, gold }) => Number(chosenPerCharacter === gold)),
    ),
  };
}
