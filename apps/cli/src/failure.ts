/** Errors as one readable line with what to do, and the exit code that fits. */
import { RwkvError } from '@rwkv-ts/backend';
import { CommanderError } from 'commander';
import { type ExitCode, exitCodes } from './exit-codes.js';

/** A mistake in the command line that the argument parser cannot see. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** An input the command was given that does not serve: a missing file, an unreadable token. */
export class InputError extends Error {
  override readonly name = 'InputError';
}

/** Thrown to end the command early with a code after everything was already said. */
export class ExitError extends Error {
  override readonly name = 'ExitError';
  readonly exitCode: ExitCode;
  constructor(exitCode: ExitCode) {
    super(`exit ${exitCode}`);
    this.exitCode = exitCode;
  }
}

const backendCodes = new Set([
  'DEVICE_UNAVAILABLE',
  'DEVICE_LOST',
  'OUT_OF_MEMORY',
  'UNSUPPORTED_OP',
  'BACKEND_UNSUPPORTED',
]);

/** Neither the command line nor an input was wrong. */
const failedCodes = new Set(['SINK_FAILED', 'CHECKPOINT_FAILED', 'DIVERGED']);

/** What to do about an error, where one can say more than the message does. */
const hints: Readonly<Record<string, string>> = {
  STATE_MISMATCH: 'A state belongs to the model it was made with; load it with that model.',
  LAYOUT_UNKNOWN: '`rwkv inspect FILE --tensors` lists what is in a file.',
  DEVICE_UNAVAILABLE: 'Until then `--backend auto` computes with what works here.',
  OUT_OF_MEMORY: 'Try a smaller model, or shorter or fewer sequences at once.',
  STORAGE_FULL: '`rwkv cache list` shows what takes room; --no-cache keeps nothing.',
  RATE_LIMITED: 'What was downloaded is kept: the same command goes on with it later.',
  BACKEND_UNSUPPORTED: '`--backend auto` takes one that can.',
  VOCABULARY_MISMATCH: 'Pass the --tokenizer this model was trained with.',
};

/** Messages for those who call the library, said again for those at the command line. */
const withToken = ({ message }: RwkvError): string =>
  message.replace('pass `token`', 'set HF_TOKEN to an access token');
const rewordings: Readonly<Record<string, (error: RwkvError) => string>> = {
  ACCESS_DENIED: withToken,
  GATED: withToken,
  TOKENIZER_REQUIRED: ({ expected }) => {
    const wanted =
      expected === 'world'
        ? '--tokenizer rwkv_vocab_v20230424.txt, the vocabulary of the World models'
        : expected === '20b'
          ? '--tokenizer 20b, the vocabulary of the Pile models'
          : '--tokenizer FILE, 20b or bytes';
    return `this model file has no tokenizer in it: pass ${wanted}, or --tokens instead of text.`;
  },
};

export interface Failure {
  readonly exitCode: ExitCode;
  /** Undefined when nothing needs saying. */
  readonly line?: string;
  /** Stable, for machines; there whenever `line` is. */
  readonly code?: string;
}

export function describeFailure(error: unknown): Failure {
  if (error instanceof ExitError) return { exitCode: error.exitCode };
  if (error instanceof CommanderError) return describeParserError(error);
  if (error instanceof UsageError)
    return { exitCode: exitCodes.usage, code: 'USAGE', line: error.message };
  if (error instanceof InputError)
    return { exitCode: exitCodes.input, code: codeOf(error.cause) ?? 'INPUT', line: error.message };
  if (isAbort(error))
    return { exitCode: exitCodes.interrupted, code: 'INTERRUPTED', line: 'interrupted' };
  if (RwkvError.isInstance(error)) return describeTyped(error);
  const system = describeSystemError(error);
  if (system) return system;
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return {
    exitCode: exitCodes.failed,
    code: 'UNEXPECTED',
    line: `unexpected failure, please report it: ${text}`,
  };
}

/** Messages of the library that do not name the file get its path in front. */
export async function inFile<Result>(path: string, work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (cause) {
    if (isAbort(cause)) throw cause;
    const { line, exitCode } = describeFailure(cause);
    if (line === undefined || exitCode !== exitCodes.input) throw cause;
    throw new InputError(line.startsWith(path) ? line : `${path}: ${line}`, { cause });
  }
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string'
    ? error.code
    : undefined;
}

function describeParserError({ code, exitCode, message }: CommanderError): Failure {
  if (exitCode === 0) return { exitCode: exitCodes.ok };
  // The parser has printed the help already.
  if (code === 'commander.help') return { exitCode: exitCodes.usage };
  const text = message.replace(/^error: /, '').replace(/\s*\n\s*/g, ' ');
  const line = `${text.replace(/[^.)?]$/, '$&.')} --help lists the options.`;
  return { exitCode: exitCodes.usage, code: 'USAGE', line };
}

function describeTyped(error: RwkvError): Failure {
  const optionMistake = error.code === 'OPTION_INVALID' || error.code.startsWith('SAMPLER_OPTION');
  let exitCode: ExitCode = exitCodes.input;
  if (optionMistake) exitCode = exitCodes.usage;
  else if (backendCodes.has(error.code)) exitCode = exitCodes.backend;
  else if (failedCodes.has(error.code) || error.code.startsWith('STORAGE_'))
    exitCode = exitCodes.failed;
  const message = rewordings[error.code]?.(error) ?? error.message;
  const hint = hints[error.code];
  const separator = message.includes('\n') ? '\n' : ' ';
  const line = hint ? `${message.replace(/[^.!?]$/, '$&.')}${separator}${hint}` : message;
  return { exitCode, code: error.code, line };
}

const systemMessages: Readonly<Record<string, string>> = {
  ENOENT: 'no such file',
  EACCES: 'permission denied',
  EISDIR: 'this is a folder',
  ENOTDIR: 'a part of the path is not a folder',
  ENOSPC: 'the disk is full',
};

function describeSystemError(error: unknown): Failure | undefined {
  const code = codeOf(error);
  const message = code === undefined ? undefined : systemMessages[code];
  if (!(error instanceof Error) || code === undefined || message === undefined) return undefined;
  const path = 'path' in error && typeof error.path === 'string' ? `${error.path}: ` : '';
  const exitCode = code === 'ENOSPC' ? exitCodes.failed : exitCodes.input;
  return { exitCode, line: `${path}${message}`, code };
}

export function isAbort(error: unknown): boolean {
  if (RwkvError.isInstance(error)) return error.code === 'ABORTED';
  return error instanceof Error && error.name === 'AbortError';
}
