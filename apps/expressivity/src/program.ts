/** The command's grammar. */
import { Command } from 'commander';
import { addMemory } from './commands/memory.js';
import { addRegular } from './commands/regular.js';

export function createProgram(): Command {
  const program = new Command('expressivity')
    .description("The RWKV papers' claims as experiments anyone can repeat.")
    .exitOverride()
    .showHelpAfterError('(--help lists the options)');
  addRegular(program);
  addMemory(program);
  // Settings are inherited only by commands made after them.
  for (const command of program.commands)
    command.exitOverride().showHelpAfterError('(--help lists the options)');
  return program;
}
