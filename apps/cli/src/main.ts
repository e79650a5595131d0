/** The `rwkv` command. */
import process from 'node:process';
import { errorColors } from './colors.js';
import { exitCodes } from './exit-codes.js';
import { describeFailure } from './failure.js';
import { oneLine, printable } from './printable.js';
import { createProgram } from './program.js';
import { createTerminal } from './terminal.js';

const terminal = createTerminal();
try {
  await createProgram(terminal).parseAsync();
  process.exitCode = terminal.interrupted() ? exitCodes.interrupted : exitCodes.ok;
} catch (error) {
  const { exitCode, line, code } = describeFailure(error);
  process.exitCode = exitCode;
  if (line !== undefined) {
    if (process.argv.includes('--json')) await terminal.json({ error: { code, message: line } });
    if (exitCode === exitCodes.interrupted) terminal.note(line);
    else {
      // A stack, and what was tried to reach a device, are lists.
      const isList = exitCode === exitCodes.failed || exitCode === exitCodes.backend;
      const shown = isList ? printable(line) : oneLine(line);
      process.stderr.write(`${errorColors.red('error')}: ${shown}\n`);
    }
  }
}
