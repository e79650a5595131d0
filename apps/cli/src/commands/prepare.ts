/** `rwkv prepare`: texts into the token files that training reads. */
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import type { Tokenizer } from '@rwkv-ts/tokenizer';
import {
  type DocumentSource,
  magicPrime,
  type PreparedShare,
  prepareTokens,
  type TokenWriter,
} from '@rwkv-ts/train';
import { createTokenFiles, tokenFilesPrefix } from '@rwkv-ts/train/node';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { unescapeText } from '../escapes.js';
import { InputError, UsageError } from '../failure.js';
import { decimal, integer } from '../option-values.js';
import { checkOutput } from '../output-file.js';
import { standardInput } from '../standard-input.js';
import type { Terminal } from '../terminal.js';
import { openTokenizer } from '../tokenizers.js';

interface PrepareOptions {
  readonly output: string;
  readonly tokenizer: string;
  readonly format?: DocumentSource['format'];
  readonly separator?: string;
  readonly escape?: true;
  /** Null for `none`. */
  readonly endOfDocument?: number | null;
  readonly heldOut?: number;
  readonly seed: number;
  readonly context?: number;
  readonly force?: true;
  readonly json?: true;
}

/** A pair of files is its prefix with these; what is held out gets a prefix of its own. */
const endings = ['.bin', '.idx'] as const;
const heldOutEnding = '.held-out';

export function addPrepare(program: Command, terminal: Terminal): void {
  program
    .command('prepare')
    .summary('texts to the token files that training reads')
    .description(
      'Turns texts and JSONL into token files, PREFIX.bin and PREFIX.idx, as RWKV-LM and Megatron use them. Streams: files of any size need little memory.',
    )
    .argument('<files...>', 'text, or .jsonl with a document a line; - is standard input')
    .requiredOption('-o, --output <prefix>', 'PREFIX of the files that are written')
    .requiredOption(
      '--tokenizer <which>',
      'a FILE (rwkv_vocab_v20230424.txt, a compact binary or tokenizer.json), 20b or bytes',
    )
    .addOption(
      new Option('--format <format>', 'of all files (default: by their endings)').choices([
        'text',
        'jsonl',
      ]),
    )
    .option(
      '--separator <text>',
      'what stands between the documents of a text (default: one document a file)',
    )
    .option('-e, --escape', 'read \\n, \\t, \\\\ and \\uHHHH in --separator')
    .option(
      '--end-of-document <id>',
      "the token behind every document, or none (default: the tokenizer's end of text)",
      endOfDocument,
    )
    .option(
      '--held-out <share>',
      'up to 0.5: so much goes to PREFIX.held-out.bin and .idx; documents by chance, or the end of a text that is one document',
      decimal({ minimum: 0, maximum: 0.5 }),
    )
    .option(
      '--seed <n>',
      'which documents are held out',
      integer({ minimum: 0, maximum: 2 ** 32 - 1 }),
      0,
    )
    .option(
      '--context <tokens>',
      "also print RWKV-LM's --magic_prime for this context length",
      integer({ minimum: 1, maximum: 2 ** 31 }),
    )
    .option('--force', 'replace existing files')
    .option('--json', '{"bytes", "training": {"files", "tokens", "documents", "learned"}, …}')
    .addHelpText(
      'after',
      `
A line of JSONL is {"text": "…"}, a string, or {"prompt": "…", "completion": "…"}:
of those only the completion is learned, which PREFIX.mask.bin and .idx say.

Examples:
  rwkv prepare book.txt --output book --tokenizer rwkv_vocab_v20230424.txt
  rwkv prepare chats.jsonl --output data/chats --tokenizer bytes \\
    --end-of-document 0 --held-out 0.01`,
    )
    .action(async (files: string[], options: PrepareOptions) => {
      await prepare(files, options, terminal);
    });
}

async function prepare(
  files: readonly string[],
  options: PrepareOptions,
  terminal: Terminal,
): Promise<void> {
  const prefix = tokenFilesPrefix(options.output);
  const share = options.heldOut === 0 ? undefined : options.heldOut;
  const prefixes = [prefix, ...(share === undefined ? [] : [prefix + heldOutEnding])];
  await checkOutputs(prefixes, options);
  const tokenizer = await openTokenizer(options.tokenizer);
  checkEndOfDocument(tokenizer, options);
  const sources: DocumentSource[] = [];
  for (const file of files) sources.push(await sourceOf(file, { options, share, terminal }));
  await using training = await createTokenFiles(prefix, tokenizer);
  await using heldOut =
    share === undefined ? undefined : await createTokenFiles(prefix + heldOutEnding, tokenizer);
  using progress = terminal.progress('Preparing');
  const result = await prepareTokens({
    sources,
    tokenizer,
    training,
    ...(heldOut === undefined || share === undefined
      ? {}
      : { heldOut: { writer: heldOut, share, seed: options.seed } }),
    ...(options.endOfDocument === undefined ? {} : { endOfDocument: options.endOfDocument }),
    onProgress: ({ bytes, bytesTotal }) => {
      if (bytesTotal !== undefined) progress.update(bytes, bytesTotal);
    },
    signal: terminal.signal,
  });
  terminal.signal.throwIfAborted();
  for (const writer of [training, heldOut]) await writer?.close();
  progress[Symbol.dispose]();
  const written = [
    { prefix, share: result.training, type: training.type },
    ...(heldOut === undefined || result.heldOut === undefined
      ? []
      : [{ prefix: prefix + heldOutEnding, share: result.heldOut, type: heldOut.type }]),
  ];
  await report({ bytes: result.bytes, written, options, terminal });
}

interface Written {
  readonly prefix: string;
  readonly share: PreparedShare;
  readonly type: TokenWriter['type'];
}

async function report({
  bytes,
  written,
  options,
  terminal,
}: {
  bytes: number;
  written: readonly Written[];
  options: PrepareOptions;
  terminal: Terminal;
}): Promise<void> {
  const [training, heldOut] = written.map(({ prefix, share, type }) => ({
    files: filesOf(prefix, share),
    type,
    ...share,
  }));
  const { context } = options;
  const prime =
    context === undefined ? undefined : magicPrime(Math.floor(training!.tokens / context));
  if (options.json) {
    await terminal.json({
      bytes,
      training,
      ...(heldOut === undefined ? {} : { heldOut }),
      ...(context === undefined ? {} : { context, magicPrime: prime ?? null }),
    });
    return;
  }
  for (const each of [training, heldOut]) {
    if (each === undefined) continue;
    const { files, tokens, documents, learned, type } = each;
    const masked = learned === tokens ? '' : `, ${learned} of them learned`;
    await terminal.line(
      `${files.join(', ')}: ${tokens} tokens${masked}, ${documents} ${documents === 1 ? 'document' : 'documents'}, ${type}`,
    );
  }
  if (context === undefined) return;
  await terminal.line(
    prime === undefined
      ? `no magic prime: ${training!.tokens} tokens are fewer than 3 windows of ${context}`
      : `--my_exit_tokens ${training!.tokens} --magic_prime ${prime} --ctx_len ${context}`,
  );
}

function filesOf(prefix: string, { learned, tokens }: PreparedShare): string[] {
  const pairs = learned === tokens ? [prefix] : [prefix, `${prefix}.mask`];
  return pairs.flatMap((pair) => endings.map((ending) => pair + ending));
}

/** Told before the work. */
async function checkOutputs(prefixes: readonly string[], { force }: PrepareOptions): Promise<void> {
  for (const file of prefixes.flatMap((prefix) => endings.map((ending) => prefix + ending))) {
    await checkOutput(file);
    const exists = await stat(file).then(
      () => true,
      () => false,
    );
    if (exists && !force) throw new InputError(`${file} exists already; --force replaces it.`);
  }
}

function checkEndOfDocument(
  { vocabularySize, name }: Tokenizer,
  { endOfDocument: token }: PrepareOptions,
): void {
  if (typeof token === 'number' && token >= vocabularySize)
    throw new UsageError(
      `--end-of-document ${token}: the ${name} tokenizer has the ids 0 to ${vocabularySize - 1}.`,
    );
}

async function sourceOf(
  file: string,
  {
    options,
    share,
    terminal,
  }: { options: PrepareOptions; share: number | undefined; terminal: Terminal },
): Promise<DocumentSource> {
  const { signal } = terminal;
  const format = options.format ?? (/\.(?:jsonl|ndjson)$/i.test(file) ? 'jsonl' : 'text');
  const separator =
    options.separator === undefined || !options.escape
      ? options.separator
      : unescapeText(options.separator);
  if (file === '-') {
    if (share !== undefined && format === 'text' && !separator)
      throw new UsageError(
        'the end of a single document cannot be held out of standard input, whose length is unknown: give a file, --separator or --format jsonl.',
      );
    return { name: 'standard input', format, separator, bytes: standardInput(signal) };
  }
  const { size } = await stat(file);
  return { name: file, format, separator, size, bytes: bytesOf(file, signal) };
}

/** Opens the file when it is its turn. */
async function* bytesOf(file: string, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  for await (const chunk of createReadStream(file, { signal })) yield chunk as Uint8Array;
}

function endOfDocument(text: string): number | null {
  if (text === 'none') return null;
  try {
    return integer({ minimum: 0 })(text);
  } catch {
    throw new InvalidArgumentError('Expected a token id, or none.');
  }
}
