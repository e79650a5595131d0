/** The command's grammar. */
import { createRequire } from 'node:module';
import { Command } from 'commander';
import { addBench } from './commands/bench.js';
import { addCache } from './commands/cache.js';
import { addChat } from './commands/chat.js';
import { addConvert } from './commands/convert.js';
import { addDoctor } from './commands/doctor.js';
import { addEval } from './commands/eval.js';
import { addFinetune } from './commands/finetune.js';
import { addGenerate } from './commands/generate.js';
import { addInspect } from './commands/inspect.js';
import { addLogits } from './commands/logits.js';
import { addPerplexity } from './commands/perplexity.js';
import { addPrepare } from './commands/prepare.js';
import { addTokenize } from './commands/tokenize.js';
import { addTrain } from './commands/train.js';
import { addTuneState } from './commands/tune-state.js';
import type { Terminal } from './terminal.js';

const { version } = createRequire(import.meta.url)('../package.json') as { version: string };

const help = { showGlobalOptions: false, sortSubcommands: false, minWidthToWrap: 30 };

export function createProgram(terminal: Terminal): Command {
  const program = new Command('rwkv')
    .description('RWKV language models, v4 to v7, from their original files.')
    .version(version, '-V, --version')
    .configureHelp(help)
    .configureOutput({ outputError: () => undefined })
    .addHelpText(
      'after',
      `
Examples:
  rwkv generate "In the beginning"       the bundled demonstration model
  rwkv chat --model rwkv7-g1-2.9b.pth --tokenizer rwkv_vocab_v20230424.txt
  rwkv inspect model.gguf                what is in a file, and does it fit
  rwkv convert model.pth model.gguf --format q8_0

With --json a failure is {"error":{"code","message"}} on standard output.
Exit codes: 0 done, 1 failed, 2 wrong command line, 3 unusable input,
4 no usable backend or not enough memory, 130 interrupted.`,
    )
    .exitOverride();
  for (const add of [
    addGenerate,
    addChat,
    addTokenize,
    addInspect,
    addLogits,
    addConvert,
    addPerplexity,
    addEval,
    addBench,
    addPrepare,
    addTrain,
    addFinetune,
    addTuneState,
    addDoctor,
    addCache,
  ]) {
    add(program, terminal);
  }
  // Settings are inherited only by commands made after them, so each gets its own.
  for (const command of program.commands.flatMap((each) => [each, ...each.commands]))
    command
      .exitOverride()
      .configureHelp(help)
      // `main` prints errors, all in one way.
      .configureOutput({ outputError: () => undefined });
  return program;
}
