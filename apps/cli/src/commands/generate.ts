/** `rwkv generate`: a prompt goes on. The prompt and the text stream to standard output. */
import type { GenerationResult, Prompt } from '@rwkv-ts/generate';
import type { Command } from 'commander';
import { exitCodes } from '../exit-codes.js';
import { ExitError, UsageError } from '../failure.js';
import { addModelOptions, type ModelOptions, openModelFor } from '../model-options.js';
import { integer, tokenList } from '../option-values.js';
import { promptOf, type PromptOptions } from '../prompt-input.js';
import {
  addSamplingOptions,
  generateOptionsOf,
  type SamplingOptions,
} from '../sampling-options.js';
import { readState, writeState } from '../states.js';
import type { Terminal } from '../terminal.js';

interface GenerateCommandOptions extends ModelOptions, PromptOptions, SamplingOptions {
  readonly stateIn?: string;
  readonly stateOut?: string;
  readonly topLogprobs?: number;
  readonly prependEndOfText?: true;
  readonly echo: boolean;
  readonly stats?: true;
  readonly json?: true;
}

export function addGenerate(program: Command, terminal: Terminal): void {
  const command = program
    .command('generate')
    .summary('go on from a prompt')
    .description('Goes on from a prompt, streaming the text as it comes.')
    .argument('[prompt]', 'the text to go on from; "-" or a pipe reads standard input')
    .option('-p, --prompt <text>', 'the same as an option')
    .option('--prompt-file <path>', 'the same from a file')
    .option('--tokens <ids>', 'the prompt as token ids, 1,2,3', tokenList);
  addModelOptions(command);
  addSamplingOptions(command, { maxTokens: 256 })
    .option('--state-in <file>', 'go on from a saved state')
    .option('--state-out <file>', 'save the state after the text')
    .option(
      '--prepend-end-of-text',
      'feed the end-of-text token first, as training documents begin',
    )
    .option(
      '--top-logprobs <n>',
      'with --json: the n likeliest tokens at each step',
      integer({ minimum: 0, maximum: 1024 }),
    )
    .option('--no-echo', 'do not repeat the prompt')
    .option('--stats', 'tokens per second, on standard error')
    .option('--json', 'one JSON object at the end instead of a stream')
    .addHelpText(
      'after',
      `
Examples:
  rwkv generate "In the beginning"
  rwkv generate --model rwkv7-g1.pth --tokenizer rwkv_vocab_v20230424.txt --prompt "User: hi\\n\\nAssistant:" --stop "\\n\\n"
  rwkv generate --model model.gguf --preset conservative --seed 1 --max-tokens 100 < question.txt`,
    )
    .action(async (argument: string | undefined, options: GenerateCommandOptions) => {
      await generate({ argument, options, terminal });
    });
}

async function generate({
  argument,
  options,
  terminal,
}: {
  argument: string | undefined;
  options: GenerateCommandOptions;
  terminal: Terminal;
}): Promise<void> {
  const prompt = await promptOf(options, argument);
  if (prompt === undefined && options.stateIn === undefined) {
    throw new UsageError('no prompt: give one as an argument, with --prompt, or through a pipe.');
  }
  await using opened = await openModelFor(options, terminal, { slots: 1 });
  const { model } = opened;
  const state = await readState(model, options.stateIn);
  const began = performance.now();
  let result: GenerationResult | undefined;
  if (options.echo && !options.json && typeof prompt === 'string') await terminal.write(prompt);
  const stream = model.stream(prompt ?? '', {
    ...generateOptionsOf(options),
    signal: terminal.signal,
    keepState: options.stateOut !== undefined,
    logprobs: options.json === true,
    ...(state ? { state } : {}),
    ...(options.topLogprobs === undefined ? {} : { topLogprobs: options.topLogprobs }),
    ...(options.prependEndOfText ? { prependEndOfText: true } : {}),
  });
  for await (const chunk of stream) {
    if (!options.json && chunk.text !== '') await terminal.write(chunk.text);
    result = chunk.result ?? result;
  }
  if (!result) throw new Error('the stream ended without a result');
  const seconds = (performance.now() - began) / 1000;
  if (options.json) await terminal.json(report({ prompt, result, seconds }));
  else await terminal.write('\n');
  if (options.stats) terminal.note(statistics(result, seconds));
  if (options.stateOut !== undefined && result.state) {
    await writeState(model, { path: options.stateOut, state: result.state });
  }
  if (result.finishReason === 'abort') throw new ExitError(exitCodes.interrupted);
}

function report({
  prompt,
  result,
  seconds,
}: {
  prompt: Prompt | undefined;
  result: GenerationResult;
  seconds: number;
}) {
  const { text, tokens, finishReason, usage, logprobs, stop } = result;
  return {
    prompt,
    text,
    tokens,
    finishReason,
    ...(stop === undefined ? {} : { stop }),
    usage,
    logprobs,
    seconds,
  };
}

function statistics({ usage }: GenerationResult, seconds: number): string {
  const rate = (usage.promptTokens - usage.cachedTokens + usage.completionTokens) / seconds;
  return `${usage.promptTokens} prompt + ${usage.completionTokens} new tokens in ${seconds.toFixed(2)} s (${rate.toFixed(1)} tokens/s)`;
}
