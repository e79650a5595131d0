/** `rwkv convert`: any readable layout to safetensors or GGUF, with quantisation. */
import { stat } from 'node:fs/promises';
import { worldTokenizerToGguf } from '@rwkv-ts/tokenizer';
import {
  ggufFormats,
  type ModelFile,
  openModel,
  type PlainFormat,
  type WeightsProgress,
  writeGguf,
  writeSafetensors,
} from '@rwkv-ts/weights';
import { fileSink } from '@rwkv-ts/weights/node';
import { formatInfo, formatNames, isWeightFormat } from '@rwkv-ts/formats';
import type { WeightFormat } from '@rwkv-ts/backend';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { parseAdapter } from '../adapters.js';
import { InputError, UsageError } from '../failure.js';
import { collect, collectOverride } from '../option-values.js';
import { checkOutput } from '../output-file.js';
import { addCacheOptions, type CacheOptions, openReference } from '../remote-models.js';
import { humanBytes } from '../sizes.js';
import type { Terminal } from '../terminal.js';
import { openTokenizer } from '../tokenizers.js';

type Target = 'safetensors' | 'fla' | 'gguf';

interface ConvertOptions extends CacheOptions {
  readonly to?: Target;
  readonly format?: WeightFormat;
  readonly tokenizer?: string;
  readonly adapter?: readonly string[];
  readonly override?: Readonly<Record<string, number | string>>;
  readonly force?: true;
  readonly json?: true;
}

const formats = formatNames.filter(isWeightFormat);

export function addConvert(program: Command, terminal: Terminal): void {
  const command = program
    .command('convert')
    .summary('any readable layout to safetensors or GGUF')
    .description(
      'Writes a model anew: official or fla safetensors, or GGUF for llama.cpp (v6 and v7), quantised if asked. Streams: memory is the largest tensor.',
    )
    .argument('<input>', 'a file, URL or owner/repo[:file][@revision]')
    .argument('<output>', 'a .safetensors or .gguf file')
    .addOption(
      new Option('--to <target>', "default: by the output's ending").choices([
        'safetensors',
        'fla',
        'gguf',
      ]),
    )
    .option(
      '--format <format>',
      `of the matrices: ${formats.join(', ')} (default: as in the input; f16 for GGUF)`,
      weightFormat,
    )
    .option('--tokenizer <file>', "GGUF: the World vocabulary to put in (default: the input's own)")
    .option(
      '--adapter <file>',
      'merge a LoRA, PiSSA, DiSHA or Bone file; FILE[,alpha=N][,init=FILE]; repeatable',
      collect,
    )
    .addOption(
      new Option(
        '--override <field=value>',
        'correct a field of the configuration; repeatable',
      ).argParser(collectOverride),
    )
    .option('--force', 'replace an existing output');
  addCacheOptions(command)
    .option('--json', 'what was written, for machines')
    .addHelpText(
      'after',
      `
Examples:
  rwkv convert rwkv7-g1-1.5b.pth model.gguf --format q5_k \\
    --tokenizer rwkv_vocab_v20230424.txt
  rwkv convert model.bin model.safetensors`,
    )
    .action(async (input: string, output: string, options: ConvertOptions) => {
      await convert({ input, output, options, terminal });
    });
}

async function convert({
  input,
  output,
  options,
  terminal,
}: {
  input: string;
  output: string;
  options: ConvertOptions;
  terminal: Terminal;
}): Promise<void> {
  const target = targetOf(output, options);
  await checkOutput(output);
  if (!options.force && (await exists(output)))
    throw new InputError(`${output} exists already; --force replaces it.`);
  const { signal } = terminal;
  const adapters = await Promise.all((options.adapter ?? []).map(parseAdapter));
  await using source = await openReference(input, options, terminal);
  await using model = await openModel(source, {
    adapters,
    signal,
    siblings: (name) => source.openSibling(name),
    ...(options.override ? { overrides: options.override } : {}),
  });
  // Before the output is begun, so that a wrong tokenizer costs nothing.
  const worldTokens = target === 'gguf' ? await worldTokensFor(model, options) : undefined;
  await using sink = await fileSink(output);
  using progress = terminal.progress('Converting');
  const following = {
    signal,
    onProgress: ({ bytes, bytesTotal }: WeightsProgress) => {
      progress.update(bytes, bytesTotal);
    },
  };
  if (target === 'gguf') {
    await writeGguf(model, sink, {
      ...following,
      formats: ggufFormats(options.format ?? 'f16'),
      ...(worldTokens ? { worldTokens } : {}),
      ...(model.chatTemplate === undefined ? {} : { chatTemplate: model.chatTemplate }),
    });
    // Said only of a file that was written: a refusal needs no advice on tokenizers.
    if (!worldTokens)
      terminal.note(
        'no tokenizer is in the file, so llama.cpp will not run it; --tokenizer rwkv_vocab_v20230424.txt puts one in.',
      );
  } else {
    await writeSafetensors(model, sink, {
      ...following,
      layout: target === 'fla' ? 'fla' : 'official',
      ...(options.format ? { format: options.format as PlainFormat } : {}),
    });
  }
  const { size } = await stat(output);
  if (options.json)
    await terminal.json({
      output,
      target,
      bytes: size,
      version: model.config.version,
      notes: model.notes,
    });
  else {
    for (const note of model.notes) terminal.note(note);
    await terminal.line(`${output}: RWKV-${model.config.version}, ${humanBytes(size)}`);
  }
}

function targetOf(output: string, { to, format, tokenizer }: ConvertOptions): Target {
  const [, ending = ''] = /\.(safetensors|gguf)$/i.exec(output) ?? [];
  const target = to ?? (ending.toLowerCase() as Target | '');
  if (target === '')
    throw new UsageError(`${output}: the ending must be .safetensors or .gguf, or say --to.`);
  if (target !== 'gguf' && format !== undefined && formatInfo(format).blockSize > 1) {
    throw new UsageError(`safetensors holds f32, f16 and bf16, not ${format}; write a .gguf file.`);
  }
  if (target !== 'gguf' && tokenizer !== undefined)
    throw new UsageError('only GGUF files hold a tokenizer.');
  return target;
}

async function worldTokensFor(
  model: ModelFile,
  options: ConvertOptions,
): Promise<readonly string[] | undefined> {
  if (options.tokenizer === undefined) return model.worldTokens;
  const tokenizer = await openTokenizer(options.tokenizer);
  if (tokenizer.name !== 'world')
    throw new UsageError(
      `GGUF files hold the World tokenizer; ${options.tokenizer} is the ${tokenizer.name} tokenizer.`,
    );
  return worldTokenizerToGguf(tokenizer);
}

function weightFormat(text: string): WeightFormat {
  const name = text.toLowerCase();
  if (isWeightFormat(name)) return name;
  throw new InvalidArgumentError(`Expected one of ${formats.join(', ')}.`);
}

async function exists(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined)) !== undefined;
}
