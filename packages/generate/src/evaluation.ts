/** Logits and probabilities of given tokens: everything that needs no sampling. */
import type { Rows } from '@rwkv-ts/backend';
import { logSoftmaxAt } from '@rwkv-ts/sampler';
import { GenerateError, optionInvalid } from './errors.js';
import type { EvaluateOptions, LogprobsResult } from './model-types.js';
import type { PromptStart } from './prompt-start.js';
import { RowCollector } from './row-collector.js';
import type { Scheduler } from './scheduler.js';
import { finished } from './sequence.js';

export interface EvaluateInput {
  readonly start: PromptStart;
  readonly options: EvaluateOptions;
  readonly vocabularySize: number;
}

/**
 * Rows for the prompt's own tokens; a state's pending ones are fed without.
 * @throws GenerateError `OPTION_INVALID`
 */
export async function evaluate(
  scheduler: Scheduler,
  { start, options, vocabularySize }: EvaluateInput,
): Promise<{ logits: Rows; rows: number; snapshot: Uint8Array | undefined }> {
  const { rows = 'last', onRow, keepState = false, signal } = options;
  if (!['last', 'all'].includes(rows)) throw optionInvalid('rows', 'last or all', rows);
  const { tokens, pending, initial } = start;
  const skipped = rows === 'all' ? Math.min(pending, tokens.length - 1) : 0;
  const count = rows === 'all' ? tokens.length - skipped : 1;
  const collector = new RowCollector(count, vocabularySize);
  const snapshot = await scheduler.run({
    name: 'Evaluation',
    initial,
    tokens,
    rows,
    keepState,
    signal,
    receive: (row, index) => {
      if (index >= skipped) (onRow ?? collector.add)(row, index - skipped);
      return finished;
    },
  });
  return { logits: collector.rows, rows: count, snapshot };
}

/** @throws GenerateError `PROMPT_EMPTY` when there is no token to predict */
export async function logprobsOf(
  scheduler: Scheduler,
  { start, signal }: { start: PromptStart; signal: AbortSignal | undefined },
): Promise<LogprobsResult> {
  const { tokens: all, pending, initial } = start;
  // With a state, its pending tokens are context; without one, the first token is.
  const context = Math.max(1, pending);
  if (all.length <= context) {
    throw new GenerateError({
      code: 'PROMPT_EMPTY',
      message: 'There is no token to predict: give at least two, or one after a state',
      expected: context + 1,
      got: all.length,
    });
  }
  const tokens = all.slice(context);
  const logprobs = new Float64Array(tokens.length);
  const greedy = new Uint8Array(tokens.length);
  await scheduler.run({
    name: 'Evaluation',
    initial,
    tokens: all.subarray(0, all.length - 1),
    rows: 'all',
    signal,
    receive: (row, index) => {
      const at = index - (context - 1);
      if (at < 0) return finished;
      const token = tokens[at]!;
      logprobs[at] = logSoftmaxAt(row, token);
      greedy[at] = isLikeliest(row, token) ? 1 : 0;
      return finished;
    },
  });
  return { tokens, logprobs, greedy };
}

function isLikeliest(row: Rows, token: number): boolean {
  const logit = row[token]!;
  for (let other = 0; other < row.length; other++)
    if (row[other]! > logit || (row[other] === logit && other < token)) return false;
  return true;
}
