/** The prompt: an argument, `--prompt`, `--prompt-file`, `--tokens`, or standard input when something is piped in. */
import { isUtf8 } from 'node:buffer';
import { readFile } from 'node:fs/promises';
import type { Prompt } from '@rwkv-ts/generate';
import { unescapeText } from './escapes.js';
import { InputError, UsageError } from './failure.js';
import { readStandardInput } from './standard-input.js';

export interface PromptOptions {
  readonly prompt?: string;
  readonly promptFile?: string;
  readonly tokens?: readonly number[];
  /** Whether `\n` and the like in the argument or `--prompt` are escapes; files and pipes are taken as they are. */
  readonly escape?: true;
}

/** Undefined when nothing was given and nothing is piped in. */
export async function promptOf(
  { prompt, promptFile, tokens, escape }: PromptOptions,
  { argument, signal }: { argument?: string | undefined; signal: AbortSignal },
): Promise<Prompt | undefined> {
  const given = [argument, prompt, promptFile, tokens].filter((value) => value !== undefined);
  if (given.length > 1)
    throw new UsageError('give one prompt: an argument, --prompt, --prompt-file or --tokens.');
  if (tokens) return tokens;
  if (promptFile !== undefined) return textOf(await readFile(promptFile), promptFile);
  const text = argument ?? prompt;
  if (text !== undefined && text !== '-') return escape ? unescapeText(text) : text;
  if (text === undefined && process.stdin.isTTY) return undefined;
  const piped = await readStandardInput(signal);
  return piped.length === 0 ? undefined : textOf(piped, 'standard input');
}

/** Nothing is replaced and a byte order mark stays: other text than was given would give other numbers without a word. */
function textOf(bytes: Uint8Array, name: string): string {
  if (!isUtf8(bytes))
    throw new InputError(
      `${name} is not UTF-8 text: convert it first. \`rwkv tokenize --file\` takes any bytes.`,
    );
  return new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes);
}
