/** `rwkv generate`: a prompt goes on. The prompt and the text stream to standard output. */
import { setImmediate } from 'node:timers/promises';
import type { GenerationResult, Prompt, StreamChunk } from '@rwkv-ts/generate';
import type { Command } from 'commander';
import { exitCodes } from '../exit-codes.js';
import { ExitError, UsageError } from '../failure.js';
import { addModelOptions, type ModelOptions, openModelFor } from '../model-options.js';
import { integer, tokenList } from '../option-values.js';
import { checkOutput } from '../output-file.js';
import { promptOf, type PromptOptions } from '../prompt-input.js';
import {
  addSamplingOptions,
  checkTokenOptions,
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
    .option('--tokens <ids>', 'the prompt as token ids, 1,2,3', tokenList)
    .option('-e, --escape', 'read \\n, \\t, \\\\ and \\uHHHH in the prompt and in --stop');
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
      'with --json, the n likeliest tokens at each step',
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
  rwkv generate --model model.gguf --escape --stop "\\n\\n" \\
    --prompt "User: Who was Noah?\\n\\nAssistant:"
  rwkv generate --model rwkv7-g1.pth --tokenizer rwkv_vocab_v20230424.txt \\
    --preset conservative --seed 1 --max-tokens 100 < question.txt
  rwkv generate "And God" --state-out god && rwkv generate --state-in god`,
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
  const { signal } = terminal;
  const prompt = await promptOf(options, { argument, signal });
  const generateOptions = generateOptionsOf(options);
  if (options.stateOut !== undefined) await checkOutput(options.stateOut);
  if (prompt === undefined && options.stateIn === undefined) {
    throw new UsageError('no prompt: give one as an argument, with --prompt, or through a pipe.');
  }
  await using opened = await openModelFor(options, terminal, { slots: 1 });
  const { model } = opened;
  const state = await readState(model, options.stateIn);
  checkTokenOptions(options, model.vocabularySize);
  const began = performance.now();
  const stream = model.stream(prompt ?? '', {
    ...generateOptions,
    signal,
    keepState: options.stateOut !== undefined,
    logprobs: options.json === true,
    ...(state ? { state } : {}),
    ...(options.topLogprobs === undefined ? {} : { topLogprobs: options.topLogprobs }),
    ...(options.prependEndOfText ? { prependEndOfText: true } : {}),
  });
  const echo = options.echo && typeof prompt === 'string' ? prompt : '';
  const result = await (options.json
    ? resultOf(stream)
    : showStream({ stream, echo, asIds: model.tokenizer === undefined, terminal }));
  const seconds = (performance.now() - began) / 1000;
  if (options.json) await terminal.json(report({ prompt, result, seconds }));
  if (options.stats) terminal.note(statistics(result, seconds));
  const wasInterrupted = result.finishReason === 'abort';
  if (options.stateOut !== undefined) {
    if (result.state && !wasInterrupted) {
      await writeState(model, { path: options.stateOut, state: result.state });
    } else terminal.note(`interrupted: ${options.stateOut} was not written.`);
  }
  if (wasInterrupted) throw new ExitError(exitCodes.interrupted);
}

/** Drains a stream for its result. */
async function resultOf(stream: AsyncIterable<StreamChunk>): Promise<GenerationResult> {
  let result: GenerationResult | undefined;
  for await (const chunk of stream) result = chunk.result ?? result;
  if (!result) throw new Error('the stream ended without a result');
  return result;
}

/** Prints the prompt and the text as it comes; token ids where there is no tokenizer. */
function showStream({
  stream,
  echo,
  asIds,
  terminal,
}: {
  stream: AsyncIterable<StreamChunk>;
  echo: string;
  asIds: boolean;
  terminal: Terminal;
}): Promise<GenerationResult> {
  async function* shown(): AsyncGenerator<StreamChunk> {
    const iterator = stream[Symbol.asyncIterator]();
    const first = iterator.next();
    // What is wrong with the options is told before anything is printed; a long prompt is echoed before it is read.
    await Promise.race([first, setImmediate()]);
    await terminal.writeSpoken(echo);
    for (let step = await first; step.done !== true; step = await iterator.next()) {
      const { token, text } = step.value;
      if (!asIds) await terminal.writeSpoken(text);
      else if (token !== undefined) await terminal.write(`${token} `);
      yield step.value;
    }
    await terminal.write('\n');
  }
  return resultOf(shown());
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
