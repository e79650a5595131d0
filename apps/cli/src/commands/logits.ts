/** `rwkv logits`: the raw numbers, for comparing implementations. */
import type { Model } from '@rwkv-ts/generate';
import type { Command } from 'commander';
import { UsageError } from '../failure.js';
import { addModelOptions, type ModelOptions, openModelFor } from '../model-options.js';
import { integer, tokenList } from '../option-values.js';
import { checkOutput } from '../output-file.js';
import { promptOf, type PromptOptions } from '../prompt-input.js';
import { readState, writeState } from '../states.js';
import type { Terminal } from '../terminal.js';

interface LogitsOptions extends ModelOptions, PromptOptions {
  readonly all?: true;
  readonly top: number;
  readonly stateIn?: string;
  readonly stateOut?: string;
  readonly json?: true;
}

export function addLogits(program: Command, terminal: Terminal): void {
  const command = program
    .command('logits')
    .summary('the numbers after a prompt, for comparing implementations')
    .description('Prints the logits after the last token, or after every token.')
    .option('--tokens <ids>', 'the prompt as token ids, 1,2,3', tokenList)
    .option('-p, --prompt <text>', 'the prompt as text')
    .option('--prompt-file <path>', 'the prompt from a file')
    .option('-e, --escape', 'read \\n, \\t, \\\\ and \\uHHHH in --prompt');
  addModelOptions(command)
    .option('--all', 'a row after every token, not only the last')
    .option(
      '--top <n>',
      'without --json: how many tokens to list per row',
      integer({ minimum: 1 }),
      5,
    )
    .option('--state-in <file>', 'go on from a saved state')
    .option('--state-out <file>', 'save the state after the prompt')
    .option('--json', '{"version", "vocabularySize", "tokens", "rows", "logits": [[…]]}')
    .addHelpText(
      'after',
      `
Examples:
  rwkv logits --model model.pth --tokens 1,2,3 --backend reference-f64 --json
  rwkv logits --model tiny-rwkv-5v1-730K-FP32.bin --tokenizer bytes \\
    --prompt '"in' --override headNormEpsilon=1e-5`,
    )
    .action(async (options: LogitsOptions) => {
      await logits(options, terminal);
    });
}

async function logits(options: LogitsOptions, terminal: Terminal): Promise<void> {
  const { signal } = terminal;
  const prompt = await promptOf(options, { signal });
  if (options.stateOut !== undefined) await checkOutput(options.stateOut);
  if (prompt === undefined) throw new UsageError('no prompt: give --tokens or --prompt.');
  await using opened = await openModelFor(options, terminal, { slots: 1 });
  const { model } = opened;
  const tokens = typeof prompt === 'string' ? textTokens(model.tokenizer, prompt) : [...prompt];
  const state = await readState(model, options.stateIn);
  const rows: (Float32Array | Float64Array)[] = [];
  using progress = terminal.progress('Computing');
  const result = await model.evaluate(tokens, {
    rows: options.all ? 'all' : 'last',
    onRow: (row) => {
      rows.push(row.slice());
      progress.update(rows.length, options.all ? tokens.length : 1);
    },
    keepState: options.stateOut !== undefined,
    signal,
    ...(state ? { state } : {}),
  });
  progress[Symbol.dispose]();
  if (options.json) await printJson({ model, tokens, rows, terminal });
  else {
    const first = tokens.length - result.rows;
    for (const [index, row] of rows.entries()) {
      await terminal.line(`after ${tokens[first + index]}: ${best(row, options.top).join('  ')}`);
    }
  }
  if (options.stateOut !== undefined && result.state) {
    await writeState(model, { path: options.stateOut, state: result.state });
  }
}

/** Row by row: all rows of a long prompt make a text that is larger than one string can be. */
async function printJson({
  model,
  tokens,
  rows,
  terminal,
}: {
  model: Model;
  tokens: readonly number[];
  rows: readonly (Float32Array | Float64Array)[];
  terminal: Terminal;
}): Promise<void> {
  const head = JSON.stringify({
    version: model.config?.version,
    vocabularySize: model.vocabularySize,
    tokens,
    rows: rows.length,
  });
  await terminal.write(`${head.slice(0, -1)},"logits":[`);
  for (const [index, row] of rows.entries())
    await terminal.write(`${index === 0 ? '' : ','}[${row.join(',')}]`);
  await terminal.write(']}\n');
}

function textTokens(
  tokenizer: { encode(text: string): Uint32Array } | undefined,
  text: string,
): number[] {
  if (!tokenizer)
    throw new UsageError(
      'this model has no tokenizer: pass --tokenizer, or the prompt as --tokens.',
    );
  return [...tokenizer.encode(text)];
}

function best(row: Float32Array | Float64Array, count: number): string[] {
  return Array.from(row, (logit, token) => ({ logit, token }))
    .sort((a, b) => b.logit - a.logit)
    .slice(0, count)
    .map(({ logit, token }) => `${token} ${logit.toFixed(4)}`);
}
