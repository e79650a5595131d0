/** `rwkv eval`: perplexity, last words and multiple choice, from files. */
import { createReadStream } from 'node:fs';
import { basename, extname } from 'node:path';
import {
  evaluateItems,
  type EvaluationItem,
  evaluationItem,
  type EvaluationKind,
  evaluationReport,
  type EvaluationResult,
  type Sample,
} from '@rwkv-ts/generate';
import { type Command, InvalidArgumentError } from 'commander';
import { InputError, UsageError } from '../failure.js';
import { linesOf } from '../lines.js';
import { addModelOptions, type ModelOptions, openModelFor } from '../model-options.js';
import { collect, integer } from '../option-values.js';
import { checkOutput, writeWhole } from '../output-file.js';
import { promptOf } from '../prompt-input.js';
import { table } from '../table.js';
import type { Terminal } from '../terminal.js';

interface EvalOptions extends ModelOptions {
  readonly perplexity?: readonly string[];
  readonly lambada?: readonly string[];
  readonly choices?: readonly string[];
  readonly limit?: number;
  readonly batch: number;
  readonly prependEndOfText?: true;
  readonly output?: readonly string[];
  readonly samples?: string;
  readonly json?: true;
}

export function addEval(program: Command, terminal: Terminal): void {
  const command = program
    .command('eval')
    .summary('scores on data sets: perplexity, lambada, multiple choice')
    .description(
      'Scores a model on files in the formats of lm-evaluation-harness, with its prompts and figures. FILE may be NAME=FILE; each option is repeatable.',
    )
    .option('--perplexity <file>', 'a text, or .jsonl with {"text"} a line', collect)
    .option('--lambada <file>', '.jsonl with {"text"} a line: its last word is predicted', collect)
    .option(
      '--choices <file>',
      '.jsonl of hellaswag, piqa, arc, sciq or winogrande, or with query, choices and gold a line',
      collect,
    );
  addModelOptions(command)
    .option('--limit <n>', 'only the first so many items of each file', integer({ minimum: 1 }))
    .option(
      '--batch <n>',
      'sequences that are computed at the same time',
      integer({ minimum: 1, maximum: 1024 }),
      8,
    )
    .option('--prepend-end-of-text', 'begin every prompt with the end-of-text token')
    .option(
      '-o, --output <file>',
      'the results, as FILE.json or FILE.md; repeatable',
      (file: string, earlier: readonly string[] | undefined) => collect(outputFile(file), earlier),
    )
    .option('--samples <file>', 'what was found out about each item, as JSONL')
    .option('--json', 'the results, for machines')
    .addHelpText(
      'after',
      `
Examples:
  rwkv eval -m model.gguf --lambada lambada_test.jsonl --choices arc=arc_easy.jsonl \\
    --output results.json --output results.md
  rwkv eval --perplexity held-out.txt --limit 100`,
    )
    .action(async (options: EvalOptions) => {
      await evaluate(options, terminal);
    });
}

interface Task {
  readonly name: string;
  readonly file: string;
  readonly kind: EvaluationKind;
}

interface TaskResult extends Omit<EvaluationResult, 'samples' | 'kind'> {
  readonly name: string;
  readonly task: (typeof taskNames)[EvaluationKind];
}

/** As the options are called. */
const taskNames = { text: 'perplexity', 'last-word': 'lambada', choice: 'choices' } as const;

async function evaluate(options: EvalOptions, terminal: Terminal): Promise<void> {
  const tasks = tasksOf(options);
  const outputs = [...(options.output ?? []), ...(options.samples ? [options.samples] : [])];
  for (const file of outputs) await checkOutput(file);
  // Before the model, so that a wrong line is told at once.
  const items: EvaluationItem[][] = [];
  for (const task of tasks) items.push(await itemsOf(task, options, terminal));
  await using opened = await openModelFor(options, terminal, { slots: options.batch });
  const { model, backend } = opened;
  const results: TaskResult[] = [];
  const samples: (Sample & { readonly name: string })[] = [];
  for (const [at, { name, kind }] of tasks.entries()) {
    using progress = terminal.progress(name);
    const result = await evaluateItems(model, items[at]!, {
      name,
      prependEndOfText: options.prependEndOfText ?? false,
      onProgress: ({ done, total }) => {
        progress.update(done, total);
      },
      signal: terminal.signal,
    });
    const { items: count, tokens, metrics } = result;
    results.push({ name, task: taskNames[kind], items: count, tokens, metrics });
    if (options.samples) for (const sample of result.samples) samples.push({ name, ...sample });
  }
  const report = {
    model: opened.name,
    fingerprint: model.fingerprint,
    backend: backend.name,
    prependEndOfText: options.prependEndOfText ?? false,
    tasks: results,
  };
  await writeOutputs(options, { report, samples });
  if (options.json) await terminal.json(report);
  else await terminal.line(shown(results));
}

async function writeOutputs(
  options: EvalOptions,
  {
    report,
    samples,
  }: {
    report: Readonly<Record<'model' | 'fingerprint' | 'backend', string>> & {
      readonly tasks: readonly TaskResult[];
    };
    samples: readonly Sample[];
  },
): Promise<void> {
  const facts = { Model: report.model, Fingerprint: report.fingerprint, Backend: report.backend };
  for (const file of options.output ?? []) {
    const text = file.endsWith('.md')
      ? evaluationReport(report.tasks, facts)
      : `${JSON.stringify(report, undefined, 2)}\n`;
    await writeWhole(file, new TextEncoder().encode(text));
  }
  if (options.samples === undefined) return;
  const lines = samples.map((sample) => `${JSON.stringify(sample)}\n`).join('');
  await writeWhole(options.samples, new TextEncoder().encode(lines));
}

function shown(results: readonly TaskResult[]): string {
  const rows = results.flatMap(({ name, items, metrics }) =>
    Object.entries(metrics).map(([metric, { value, standardError }]) => [
      name,
      items,
      metric,
      value.toFixed(4),
      standardError === null ? '' : standardError.toFixed(4),
    ]),
  );
  return table(['task', 'items', 'metric', 'value', '±'], rows);
}

function tasksOf({ perplexity = [], lambada = [], choices = [] }: EvalOptions): Task[] {
  const tasks = [
    ...perplexity.map((file) => taskOf(file, 'text')),
    ...lambada.map((file) => taskOf(file, 'last-word')),
    ...choices.map((file) => taskOf(file, 'choice')),
  ];
  if (tasks.length === 0)
    throw new UsageError('there is nothing to score: give --perplexity, --lambada or --choices.');
  const twice = tasks.find(({ name }, at) => tasks.findIndex((each) => each.name === name) < at);
  if (twice !== undefined)
    throw new UsageError(`two files are called ${twice.name}: give one as NAME=FILE.`);
  return tasks;
}

function taskOf(text: string, kind: EvaluationKind): Task {
  const [, name, file] = /^([\w.-]+)=(.+)$/.exec(text) ?? [];
  if (name !== undefined && file !== undefined) return { name, file, kind };
  return { name: basename(text, extname(text)), file: text, kind };
}

async function itemsOf(
  { file, kind }: Task,
  { limit = Infinity }: EvalOptions,
  { signal }: Terminal,
): Promise<EvaluationItem[]> {
  if (kind === 'text' && !/\.(?:jsonl|ndjson)$/i.test(file)) {
    const text = await promptOf({ promptFile: file }, { signal });
    return [{ kind, text: text as string }];
  }
  const items: EvaluationItem[] = [];
  let line = 0;
  for await (const text of linesOf(createReadStream(file, { signal }))) {
    line++;
    if (text.trim() === '') continue;
    items.push(itemOf(text, kind, `${file}: line ${line}`));
    if (items.length >= limit) break;
  }
  if (items.length === 0) throw new InputError(`${file} is empty.`);
  return items;
}

function itemOf(text: string, kind: EvaluationKind, place: string): EvaluationItem {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new InputError(`${place} is not JSON: ${text.slice(0, 40)}`, { cause });
  }
  return evaluationItem(value, kind, place);
}

function outputFile(file: string): string {
  if (/\.(?:json|md)$/.test(file)) return file;
  throw new InvalidArgumentError('Expected a file that ends in .json or .md.');
}
