/** The `rwkv` command. */
import process from 'node:process';
import colors from 'picocolors';
import { exitCodes } from './exit-codes.js';
import { describeFailure } from './failure.js';
import { createProgram } from './program.js';
import { createTerminal } from './terminal.js';

const terminal = createTerminal();
try {
  await createProgram(terminal).parseAsync();
  process.exitCode = terminal.interrupted() ? exitCodes.interrupted : exitCodes.ok;
} catch (error) {
  const { exitCode, line, code } = describeFailure(error);
  const json = process.argv.includes('--json');
  if (line !== undefined && json)
    process.stdout.write(
      `${JSON.stringify({ error: { code: code ?? 'FAILED', message: line } })}\n`,
    );
  if (line !== undefined) process.stderr.write(`${colors.red('error')}: ${line}\n`);
  process.exitCode = exitCode;
}
