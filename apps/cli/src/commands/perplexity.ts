/** `rwkv perplexity`: how well a model predicts a text. */
import type { Command } from 'commander';
import { InputError } from '../failure.js';
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
      'start from an empty state every so many tokens; 0 carries the state through',
      integer({ minimum: 0 }),
      0,
    )
    .option('--json', '{"tokens","bytes","logprob","perplexity","bitsPerByte"}')
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
  const text = await promptOf({
    ...(options.text === undefined ? {} : { prompt: options.text }),
    ...(options.file === undefined ? {} : { promptFile: options.file }),
  });
  if (typeof text !== 'string' || text === '')
    throw new InputError('there is no text: give --file, --text or a pipe.');
  await using opened = await openModelFor(options, terminal, { slots: 1 });
  const { model } = opened;
  if (!model.tokenizer) throw new InputError('this model has no tokenizer: pass --tokenizer.');
  const tokens = model.tokenizer.encode(text);
  const window = options.window === 0 ? tokens.length : options.window;
  let [logprob, count] = [0, 0];
  using progress = terminal.progress('Predicting');
  for (let from = 0; from + 1 < tokens.length; from += window) {
    // The first token of a window is context: nothing comes before it that could predict it.
    const part = tokens.subarray(from, from + window);
    if (part.length < 2) break;
    const { logprobs } = await model.logprobs(part, { signal: terminal.signal });
    for (const value of logprobs) logprob += value;
    count += logprobs.length;
    progress.update(from + part.length, tokens.length);
  }
  if (count === 0)
    throw new InputError(`the text must be at least two tokens, got ${tokens.length}.`);
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
