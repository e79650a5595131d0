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
]);

/** What to do about an error, where one can say more than the message does. */
const hints: Readonly<Record<string, string>> = {
  CONTAINER_UNKNOWN: 'Readable: .pth, .safetensors, .gguf, rwkv.cpp .bin, web-rwkv .st.',
  TOKENIZER_REQUIRED:
    'Pass --tokenizer FILE (rwkv_vocab_v20230424.txt or tokenizer.json), 20b or bytes.',
  STATE_MISMATCH: 'A state belongs to the model it was made with; load it with that model.',
  LAYOUT_UNKNOWN: 'Run `rwkv inspect FILE --tensors` to see what is in the file.',
  OUT_OF_MEMORY: 'Try a quantised file: `rwkv convert MODEL OUT.gguf --format q8_0`.',
};

export interface Failure {
  readonly exitCode: ExitCode;
  /** Undefined when nothing needs saying. */
  readonly line?: string;
  readonly code?: string;
}

export function describeFailure(error: unknown): Failure {
  if (error instanceof ExitError) return { exitCode: error.exitCode };
  if (error instanceof CommanderError) {
    // The parser has printed its own message, or help was asked for.
    return { exitCode: error.exitCode === 0 ? exitCodes.ok : exitCodes.usage };
  }
  if (error instanceof UsageError) return { exitCode: exitCodes.usage, line: error.message };
  if (error instanceof InputError) return { exitCode: exitCodes.input, line: error.message };
  if (isAbort(error)) return { exitCode: exitCodes.interrupted };
  if (RwkvError.isInstance(error)) return describeTyped(error);
  const system = describeSystemError(error);
  if (system) return system;
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return { exitCode: exitCodes.failed, line: `unexpected failure: ${text}` };
}

function describeTyped(error: RwkvError): Failure {
  const optionMistake = error.code === 'OPTION_INVALID' || error.code.startsWith('SAMPLER_OPTION');
  let exitCode: ExitCode = exitCodes.input;
  if (optionMistake) exitCode = exitCodes.usage;
  else if (backendCodes.has(error.code)) exitCode = exitCodes.backend;
  else if (error.code === 'SINK_FAILED') exitCode = exitCodes.failed;
  const hint = hints[error.code];
  return { exitCode, code: error.code, line: hint ? `${error.message} ${hint}` : error.message };
}

const systemMessages: Readonly<Record<string, string>> = {
  ENOENT: 'no such file',
  EACCES: 'permission denied',
  EISDIR: 'this is a folder',
  ENOTDIR: 'a part of the path is not a folder',
  ENOSPC: 'the disk is full',
};

function describeSystemError(error: unknown): Failure | undefined {
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string')
    return undefined;
  const message = systemMessages[error.code];
  if (!message) return undefined;
  const path = 'path' in error && typeof error.path === 'string' ? `${error.path}: ` : '';
  const exitCode = error.code === 'ENOSPC' ? exitCodes.failed : exitCodes.input;
  return { exitCode, line: `${path}${message}`, code: error.code };
}

export function isAbort(error: unknown): boolean {
  if (RwkvError.isInstance(error)) return error.code === 'ABORTED';
  return error instanceof Error && error.name === 'AbortError';
}
