/** The `expressivity` command. */
import process from 'node:process';
import { describeFailure } from './failure.js';
import { createProgram } from './program.js';

try {
  await createProgram().parseAsync();
} catch (error) {
  const { exitCode, line } = describeFailure(error);
  process.exitCode = exitCode;
  if (line !== undefined) process.stderr.write(`error: ${line}\n`);
}
