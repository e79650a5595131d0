/** `rwkv inspect`: what is in a file, does it fit, and if it is refused, why. */
import { totalmem } from 'node:os';
import type { StateSpec } from '@rwkv-ts/backend';
import { buildProgram, type RwkvConfig } from '@rwkv-ts/model';
import { tokenizerFor } from '@rwkv-ts/tokenizer';
import {
  type ModelFile,
  modelOfRawFile,
  openRawFile,
  type RawFile,
  siblingConfig,
  WeightsError,
} from '@rwkv-ts/weights';
import { type Command, Option } from 'commander';
import { describeFailure, ExitError, type Failure } from '../failure.js';
import { exitCodes } from '../exit-codes.js';
import { collectOverride } from '../option-values.js';
import { addCacheOptions, type CacheOptions, peekReference } from '../remote-models.js';
import { humanBytes, humanCount } from '../sizes.js';
import { table } from '../table.js';
import type { Terminal } from '../terminal.js';

interface InspectOptions extends CacheOptions {
  readonly override?: Readonly<Record<string, number | string>>;
  readonly tensors?: true;
  readonly json?: true;
}

export function addInspect(program: Command, terminal: Terminal): void {
  const command = program
    .command('inspect')
    .summary('what is in a file, and does it fit')
    .description(
      'Reads the headers of a model file: version, sizes, formats, memory needed, and why it is refused if it is.',
    )
    .argument('<file>', 'a file, URL or owner/repo[:file][@revision]')
    .addOption(
      new Option(
        '--override <field=value>',
        'correct a field of the configuration; repeatable',
      ).argParser(collectOverride),
    )
    .option('--tensors', 'list every tensor');
  addCacheOptions(command)
    .option('--json', 'everything, for machines')
    .addHelpText('after', '\nExample:\n  rwkv inspect rwkv7-g1-1.5b.pth --tensors')
    .action(async (reference: string, options: InspectOptions) => {
      await inspect({ reference, options, terminal });
    });
}

async function inspect({
  reference,
  options,
  terminal,
}: {
  reference: string;
  options: InspectOptions;
  terminal: Terminal;
}): Promise<void> {
  await using source = await peekReference(reference, options, terminal);
  await using raw = await openRawFile(source, {
    signal: terminal.signal,
    siblings: (name) => source.openSibling(name),
  });
  let model: ModelFile | undefined;
  let refusal: Failure | undefined;
  try {
    const { configJson, note } = await siblingConfig(raw, {
      siblings: (name) => source.openSibling(name),
      signal: terminal.signal,
    });
    const opened = modelOfRawFile(raw, {
      configJson,
      ...(options.override ? { overrides: options.override } : {}),
    });
    model = note === undefined ? opened : { ...opened, notes: [...opened.notes, note] };
  } catch (error) {
    if (!(error instanceof WeightsError)) throw error;
    refusal = describeFailure(error);
  }
  const facts = {
    name: source.name,
    fileBytes: source.size,
    container: raw.container,
    ...(model ? modelFacts(model) : { error: { code: refusal?.code, message: refusal?.line } }),
  };
  if (options.json)
    await terminal.json({
      ...facts,
      metadata: raw.metadata,
      tensors: options.tensors ? tensorList({ model, raw }) : undefined,
    });
  else await printFacts({ facts, model, raw, options, terminal });
  if (!model) throw new ExitError(exitCodes.input);
}

function modelFacts(model: ModelFile) {
  const program = buildProgram(model.config);
  const parameters = program.weights.reduce((sum, { shape }) => sum + product(shape), 0);
  const formats: Record<string, { tensors: number; bytes: number }> = {};
  for (const { format, byteLength } of model.tensors) {
    const entry = (formats[format] ??= { tensors: 0, bytes: 0 });
    entry.tensors++;
    entry.bytes += byteLength;
  }
  return {
    layout: model.layout,
    config: model.config,
    parameters,
    formats,
    memory: {
      /** As the file has them: what a backend that computes on these formats needs. */
      weights: model.tensors.reduce((sum, { byteLength }) => sum + byteLength, 0),
      /** What the reference backend needs, which computes on f32. */
      weightsAsF32: parameters * 4,
      statePerConversation: stateBytes(program.states),
      machine: totalmem(),
    },
    tokenizer: model.worldTokens ? 'in the file' : tokenizerFor(model.config.vocabularySize),
    tunedState: model.initialStates !== undefined,
    notes: model.notes,
  };
}

function tensorList({ model, raw }: { model: ModelFile | undefined; raw: RawFile }) {
  if (model)
    return model.tensors.map(({ name, shape, format, from }) => ({ name, shape, format, from }));
  return [...raw.tensors.values()].map(({ name, shape, format }) => ({ name, shape, format }));
}

async function printFacts({
  facts,
  model,
  raw,
  options,
  terminal,
}: {
  facts: {
    name: string;
    fileBytes: number;
    container: string;
    error?: { readonly message: string | undefined };
  } & Partial<ReturnType<typeof modelFacts>>;
  model: ModelFile | undefined;
  raw: RawFile;
  options: InspectOptions;
  terminal: Terminal;
}): Promise<void> {
  const lines: [string, string][] = [
    [
      'file',
      `${facts.name}, ${humanBytes(facts.fileBytes)}, ${facts.container}, ${raw.tensors.size} tensors`,
    ],
  ];
  if (facts.config && facts.memory && facts.formats && facts.parameters !== undefined) {
    const { memory } = facts;
    lines.push(
      [
        'model',
        `RWKV-${facts.config.version}, ${humanCount(facts.parameters)} parameters, ${facts.layout} layout`,
      ],
      ['sizes', describeSizes(facts.config)],
      [
        'weights',
        Object.entries(facts.formats)
          .map(
            ([format, { tensors, bytes }]) => `${format}: ${tensors} tensors, ${humanBytes(bytes)}`,
          )
          .join('; '),
      ],
      [
        'memory',
        `${humanBytes(memory.weights)} as stored, ${humanBytes(memory.weightsAsF32)} as f32; ${humanBytes(memory.statePerConversation)} per conversation, whatever its length`,
      ],
      ['fits', describeFit(memory)],
      ['tokenizer', describeTokenizer(facts.tokenizer, facts.config)],
    );
    if (facts.tunedState) lines.push(['state', 'holds a tuned initial state']);
    for (const note of facts.notes ?? []) lines.push(['note', note]);
  } else lines.push(['refused', facts.error?.message ?? 'unknown']);
  for (const [label, text] of lines) await terminal.line(`${label.padEnd(10)} ${text}`);
  if (options.tensors) {
    const rows = tensorList({ model, raw }).map(({ name, shape, format }) => [
      name,
      shape.join(' × '),
      format,
    ]);
    await terminal.line(`\n${table(['tensor', 'shape', 'format'], rows)}`);
  }
}

function describeTokenizer(kind: string | undefined, { vocabularySize }: RwkvConfig): string {
  switch (kind) {
    case 'in the file':
    case undefined:
      return kind ?? `none known for ${vocabularySize} tokens; pass --tokenizer`;
    case 'world':
      return 'World; pass --tokenizer rwkv_vocab_v20230424.txt';
    case '20b':
      return '20B of the Pile models; pass --tokenizer 20b';
    default:
      return kind;
  }
}

function describeSizes(config: RwkvConfig): string {
  const parts = [
    `${config.layers} layers`,
    `${config.channels} channels`,
    ...('heads' in config ? [`${config.heads} heads of ${config.headSize}`] : []),
    `channel mix ${config.channelMixSize}`,
    `vocabulary ${config.vocabularySize}`,
    ...('ranks' in config
      ? [
          `ranks ${Object.entries(config.ranks)
            .map(([name, rank]) => `${name} ${rank}`)
            .join(', ')}`,
        ]
      : []),
  ];
  return parts.join('; ');
}

function describeFit({
  weights,
  weightsAsF32,
  machine,
}: {
  weights: number;
  weightsAsF32: number;
  machine: number;
}): string {
  const total = humanBytes(machine);
  if (weightsAsF32 < machine * 0.9) return `yes, in this machine's ${total}, also as f32`;
  if (weights < machine * 0.9) return `as stored, in this machine's ${total}; as f32 it does not`;
  return `not in this machine's ${total}: a quantised file would be smaller (rwkv convert --format q4_k)`;
}

function stateBytes(states: readonly StateSpec[]): number {
  return states.reduce((sum, { shape }) => sum + product(shape) * 4, 0);
}

function product(shape: readonly number[]): number {
  return shape.reduce((result, size) => result * size, 1);
}
