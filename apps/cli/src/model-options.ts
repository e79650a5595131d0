/** The options that every command with a model shares, and opening the model by them. */
import type { Backend } from '@rwkv-ts/backend';
import { demoModel } from '@rwkv-ts/demo-model';
import { type LoadModelOptions, loadModel, type Model } from '@rwkv-ts/generate';
import { fileSource } from '@rwkv-ts/weights/node';
import { type Command, Option } from 'commander';
import { parseAdapter } from './adapters.js';
import { findBackend } from './backends.js';
import { collect, collectOverride } from './option-values.js';
import type { Terminal } from './terminal.js';
import { openTokenizer } from './tokenizers.js';

export interface ModelOptions {
  readonly model?: string;
  readonly tokenizer?: string;
  readonly backend: string;
  readonly override?: Readonly<Record<string, number | string>>;
  readonly adapter?: readonly string[];
  readonly initialState?: string;
}

/** What `--model` stands for when it is not given. */
export const demoModelName = 'the bundled demonstration model';

export function addModelOptions(command: Command): Command {
  return command
    .option(
      '-m, --model <reference>',
      `a file, URL or owner/repo[:file][@revision] (default: ${demoModelName})`,
    )
    .option(
      '--tokenizer <which>',
      'a FILE (rwkv_vocab_v20230424.txt or tokenizer.json), 20b or bytes (default: the one in the model file; bytes for 256 tokens)',
    )
    .option('--backend <name>', 'what computes; `rwkv doctor` lists them', 'auto')
    .addOption(
      new Option(
        '--override <field=value>',
        'correct a field of the configuration, for example headNormEpsilon=1e-5; repeatable',
      ).argParser(collectOverride),
    )
    .option(
      '--adapter <file>',
      'merge a LoRA, PiSSA, DiSHA or Bone file at load; FILE[,alpha=N][,init=FILE]; repeatable',
      collect,
    )
    .option('--initial-state <file>', 'start from a tuned state (time_state)');
}

export interface OpenedModel extends AsyncDisposable {
  readonly model: Model;
  readonly backend: Backend;
  /** Shown to people. */
  readonly name: string;
}

/** Loads the model with a progress bar; the model and its backend are disposed of together. */
export async function openModelFor(
  options: ModelOptions,
  terminal: Terminal,
  loading: Pick<LoadModelOptions, 'slots' | 'limits'> = {},
): Promise<OpenedModel> {
  const choice = findBackend(options.backend);
  // Small inputs first, so that a typo is told before a large model has been read.
  const tokenizer =
    options.tokenizer === undefined ? undefined : await openTokenizer(options.tokenizer);
  const adapters = await Promise.all((options.adapter ?? []).map(parseAdapter));
  const initialState =
    options.initialState === undefined ? undefined : await fileSource(options.initialState);
  const name = options.model ?? demoModelName;
  const backend = await choice.create();
  using progress = terminal.progress('Loading');
  try {
    const model = await loadModel(options.model ?? demoModel.url, {
      ...loading,
      backend,
      signal: terminal.signal,
      onProgress: ({ done, total }) => {
        progress.update(done, total);
      },
      ...(tokenizer ? { tokenizer } : {}),
      ...(options.override ? { overrides: options.override } : {}),
      ...(adapters.length > 0 ? { adapters } : {}),
      ...(initialState ? { initialState } : {}),
    });
    return {
      model,
      backend,
      name,
      async [Symbol.asyncDispose]() {
        await model[Symbol.asyncDispose]();
        await backend[Symbol.asyncDispose]();
      },
    };
  } catch (error) {
    await backend[Symbol.asyncDispose]();
    throw error;
  }
}
