/** `rwkv tokenize`: text or bytes to ids, and back. */
import { readFile } from 'node:fs/promises';
import type { Tokenizer } from '@rwkv-ts/tokenizer';
import { type Command, Option } from 'commander';
import { unescapeText } from '../escapes.js';
import { InputError, UsageError } from '../failure.js';
import { linesOf } from '../lines.js';
import { tokenList } from '../option-values.js';
import { readStandardInput, standardInput } from '../standard-input.js';
import type { Terminal } from '../terminal.js';
import { openTokenizer } from '../tokenizers.js';

interface TokenizeOptions {
  readonly tokenizer: string;
  readonly file?: string;
  readonly text?: string;
  readonly jsonl?: true;
  readonly decode?: true;
  readonly count?: true;
  readonly escape?: true;
  readonly json?: true;
}

export function addTokenize(program: Command, terminal: Terminal): void {
  program
    .command('tokenize')
    .summary('text to token ids, and back')
    .description('Turns text or bytes into token ids, or, with --decode, ids into text.')
    .requiredOption(
      '--tokenizer <which>',
      'a FILE (rwkv_vocab_v20230424.txt, a compact binary or tokenizer.json), 20b or bytes',
    )
    .addOption(
      new Option('--text <text>', 'the text (with --decode: ids, as 1,2,3)').conflicts([
        'file',
        'jsonl',
      ]),
    )
    .addOption(
      new Option('--file <path>', 'a file of any bytes (with --decode: of ids)').conflicts([
        'text',
        'jsonl',
      ]),
    )
    .addOption(
      new Option(
        '--jsonl',
        'one JSON string or {"hex":"…"} per line of standard input, one array of ids per line out',
      ).conflicts(['text', 'file']),
    )
    .option('--decode', 'ids in; text out, or hex where the bytes are not UTF-8')
    .option('--count', 'only the number of tokens')
    .option('-e, --escape', 'read \\n, \\t, \\\\ and \\uHHHH in --text')
    .option('--json', 'for machines: {"ids": […]}, {"text": "…"} or {"hex": "…"}')
    .addHelpText(
      'after',
      `
Examples:
  rwkv tokenize --tokenizer rwkv_vocab_v20230424.txt --text "Hello world"
  rwkv tokenize --tokenizer bytes --decode --text 72,105
  printf '"one"\\n{"hex":"ff"}\\n' | rwkv tokenize --tokenizer bytes --jsonl`,
    )
    .action(async (options: TokenizeOptions) => {
      if (options.decode && options.count)
        throw new UsageError('--count and --decode exclude each other.');
      const tokenizer = await openTokenizer(options.tokenizer);
      if (options.jsonl) await tokenizeLines({ tokenizer, options, terminal });
      else if (options.decode) await decodeOnce({ tokenizer, options, terminal });
      else await encodeOnce({ tokenizer, options, terminal });
    });
}

interface Job {
  readonly tokenizer: Tokenizer;
  readonly options: TokenizeOptions;
  readonly terminal: Terminal;
}

async function encodeOnce({ tokenizer, options, terminal }: Job): Promise<void> {
  const ids =
    options.text === undefined
      ? tokenizer.encodeBytes(await inputBytes(options, terminal.signal))
      : tokenizer.encode(options.escape ? unescapeText(options.text) : options.text);
  if (options.count)
    await (options.json ? terminal.json({ count: ids.length }) : terminal.line(String(ids.length)));
  else await (options.json ? terminal.json({ ids }) : terminal.line(ids.join(' ')));
}

async function decodeOnce({ tokenizer, options, terminal }: Job): Promise<void> {
  const text = options.text ?? new TextDecoder().decode(await inputBytes(options, terminal.signal));
  const decoded = decodeExactly(tokenizer, parseIds(text, 'the input'));
  if (options.json) await terminal.json(typeof decoded === 'string' ? { text: decoded } : decoded);
  else await terminal.line(typeof decoded === 'string' ? decoded : decoded.hex);
}

/** Line by line, so that a pipe of any length needs the memory of one line. */
async function tokenizeLines({ tokenizer, options, terminal }: Job): Promise<void> {
  let number = 0;
  for await (const line of linesOf(standardInput(terminal.signal))) {
    number++;
    if (line.trim() === '') continue;
    const place = `line ${number}`;
    if (options.decode) {
      await terminal.json(decodeExactly(tokenizer, parseIds(line, place)));
      continue;
    }
    const input = parseLine(line, place);
    const ids = typeof input === 'string' ? tokenizer.encode(input) : tokenizer.encodeBytes(input);
    await terminal.json(options.count ? ids.length : ids);
  }
}

async function inputBytes(options: TokenizeOptions, signal: AbortSignal): Promise<Uint8Array> {
  if (options.file !== undefined) return readFile(options.file);
  if (process.stdin.isTTY)
    throw new UsageError('give --text, --file or --jsonl, or pipe something in.');
  return readStandardInput(signal);
}

function parseLine(line: string, place: string): string | Uint8Array {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (cause) {
    throw new InputError(
      `${place}: expected a JSON string or {"hex":"…"}, got ${line.slice(0, 40)}`,
      { cause },
    );
  }
  if (typeof value === 'string') return value;
  const hex = typeof value === 'object' && value !== null && 'hex' in value ? value.hex : undefined;
  if (typeof hex === 'string' && /^(?:[0-9a-f]{2})*$/i.test(hex)) return Buffer.from(hex, 'hex');
  throw new InputError(`${place}: expected a JSON string or {"hex":"…"}, got ${line.slice(0, 40)}`);
}

function parseIds(text: string, place: string): number[] {
  // `{"ids":[…]}` is what --json printed, so it is taken back.
  const inner = /^\s*\{\s*"ids"\s*:\s*(\[[^\]]*\])\s*\}\s*$/.exec(text)?.[1] ?? text;
  try {
    return tokenList(inner);
  } catch (cause) {
    throw new InputError(`${place}: expected token ids such as 1,2,3 or [1,2,3].`, { cause });
  }
}

/** Text where the bytes are UTF-8, else hex, so that nothing is lost. */
function decodeExactly(
  tokenizer: Tokenizer,
  ids: readonly number[],
): string | { readonly hex: string } {
  const bytes = tokenizer.decodeBytes(ids);
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return { hex: Buffer.from(bytes).toString('hex') };
  }
}
