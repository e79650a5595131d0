/** Errors as one line and an exit code: 0 done, 1 failed, 2 wrong command line, 3 unusable input. */
import { RwkvError } from '@rwkv-ts/backend';
import { CommanderError } from 'commander';

/** The model disagreed with the automaton. */
export class CheckFailed extends Error {
  override readonly name = 'CheckFailed';
}

export interface Failure {
  readonly exitCode: 0 | 1 | 2 | 3;
  /** Undefined where everything was said. */
  readonly line?: string;
}

export function describeFailure(error: unknown): Failure {
  if (error instanceof CommanderError) {
    // Commander has printed its message, or the help that was asked for.
    return { exitCode: error.exitCode === 0 ? 0 : 2 };
  }
  if (error instanceof CheckFailed) return { exitCode: 1, line: error.message };
  if (RwkvError.isInstance(error)) return { exitCode: 3, line: error.message };
  if (error instanceof Error && 'syscall' in error) return { exitCode: 3, line: error.message };
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return { exitCode: 1, line: `unexpected failure, please report it: ${text}` };
}
