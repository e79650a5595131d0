/** The prompt: an argument, `--prompt`, `--prompt-file`, `--tokens`, or standard input when something is piped in. */
import { readFile } from 'node:fs/promises';
import type { Prompt } from '@rwkv-ts/generate';
import { UsageError } from './failure.js';

export interface PromptOptions {
  readonly prompt?: string;
  readonly promptFile?: string;
  readonly tokens?: readonly number[];
}

/** Undefined when nothing was given and nothing is piped in. */
export async function promptOf(
  { prompt, promptFile, tokens }: PromptOptions,
  argument?: string,
): Promise<Prompt | undefined> {
  const given = [argument, prompt, promptFile, tokens].filter((value) => value !== undefined);
  if (given.length > 1)
    throw new UsageError('give one prompt: an argument, --prompt, --prompt-file or --tokens.');
  if (tokens) return tokens;
  if (promptFile !== undefined) return readFile(promptFile, 'utf8');
  const text = argument ?? prompt;
  if (text !== undefined && text !== '-') return text;
  if (text === undefined && process.stdin.isTTY) return undefined;
  return readStandardInput();
}

async function readStandardInput(): Promise<string | undefined> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of process.stdin) chunks.push(chunk as Uint8Array);
  return chunks.length === 0 ? undefined : Buffer.concat(chunks).toString('utf8');
}
