/** `rwkv perplexity`: how well a model predicts a text. */
import { logSoftmaxAt } from '@rwkv-ts/sampler';
import { type Command, InvalidArgumentError } from 'commander';
import { InputError, UsageError } from '../failure.js';
import { addModelOptions, type ModelOptions, openModelFor } from '../model-options.js';
import { integer } from '../option-values.js';
import { promptOf } from '../prompt-input.js';
import type { Terminal } from '../terminal.js';

interface PerplexityOptions extends ModelOptions {
  readonly text?: string;
  readonly file?: string;
  readonly window: number;
  readonly json?: true;
}

export function addPerplexity(program: Command, terminal: Terminal): void {
  const command = program
    .command('perplexity')
    .summary('how well a model predicts a text')
    .description(
      'Measures how well a model predicts a text: perplexity per token, and bits per byte, which compares across tokenizers.',
    )
    .option('--text <text>', 'the text')
    .option('--file <path>', 'the text from a file; a pipe works too');
  addModelOptions(command)
    .option(
      '--window <tokens>',
      'start from an empty state every so many tokens; 0 never does',
      windowLength,
      0,
    )
    .option('--json', '{"tokens", "bytes", "logprob", "perplexity", "bitsPerByte"}')
    .addHelpText(
      'after',
      `
Examples:
  rwkv perplexity --file book.txt
  rwkv perplexity --model model-q4_0.gguf --file held-out.txt --json`,
    )
    .action(async (options: PerplexityOptions) => {
      await perplexity(options, terminal);
    });
}

async function perplexity(options: PerplexityOptions, terminal: Terminal): Promise<void> {
  const { signal } = terminal;
  const text = await promptOf(
    {
      ...(options.text === undefined ? {} : { prompt: options.text }),
      ...(options.file === undefined ? {} : { promptFile: options.file }),
    },
    { signal },
  );
  if (text === undefined && process.stdin.isTTY)
    throw new UsageError('there is no text: give --file, --text or a pipe.');
  if (typeof text !== 'string' || text === '') throw new InputError('the text is empty.');
  await using opened = await openModelFor(options, terminal, { slots: 1 });
  const { model } = opened;
  if (!model.tokenizer)
    throw new UsageError('this model file has no tokenizer in it: pass --tokenizer.');
  const tokens = model.tokenizer.encode(text);
  const window = options.window === 0 ? tokens.length : options.window;
  let [logprob, count] = [0, 0];
  using progress = terminal.progress('Predicting');
  for (let from = 0; from + 1 < tokens.length; from += window) {
    // The first token of a window is context: nothing comes before it that could predict it.
    const part = tokens.subarray(from, from + window);
    if (part.length < 2) break;
    await model.evaluate(part, {
      rows: 'all',
      signal,
      onRow: (row, index) => {
        progress.update(from + index + 1, tokens.length);
        if (index + 1 === part.length) return;
        logprob += logSoftmaxAt(row, part[index + 1]!);
        count++;
      },
    });
  }
  if (count === 0)
    throw new InputError(
      `there is nothing to predict: the text is ${tokens.length} tokens, the window ${window}; two are needed.`,
    );
  // Bytes of the predicted tokens only, so that windows do not flatter the figure.
  const bytes = predictedBytes({
    tokens,
    window,
    tokenBytes: (token) => model.tokenizer!.tokenBytes(token).length,
  });
  const result = {
    tokens: count,
    bytes,
    logprob,
    perplexity: Math.exp(-logprob / count),
    bitsPerByte: -logprob / Math.LN2 / bytes,
  };
  if (options.json) await terminal.json(result);
  else {
    await terminal.line(
      `${count} tokens predicted: perplexity ${result.perplexity.toFixed(4)}, ${result.bitsPerByte.toFixed(4)} bits per byte`,
    );
  }
}

function windowLength(text: string): number {
  const value = integer({ minimum: 0 })(text);
  if (value === 1)
    throw new InvalidArgumentError('A window of one token predicts nothing; give 0, or 2 or more.');
  return value;
}

function predictedBytes({
  tokens,
  window,
  tokenBytes,
}: {
  tokens: Uint32Array;
  window: number;
  tokenBytes: (token: number) => number;
}): number {
  let bytes = 0;
  for (let at = 0; at < tokens.length; at++)
    if (at % window !== 0) bytes += tokenBytes(tokens[at]!);
  return bytes;
}
