/** `rwkv chat`: a conversation in the terminal, with its state in the reader's hands. */
import type { Command } from 'commander';
import { Option } from 'commander';
import { ChatSession } from '../chat-session.js';
import { unescapeText } from '../escapes.js';
import { addModelOptions, type ModelOptions, openModelFor } from '../model-options.js';
import {
  addSamplingOptions,
  checkTokenOptions,
  generateOptionsOf,
  type SamplingOptions,
} from '../sampling-options.js';
import type { Terminal } from '../terminal.js';

interface ChatCommandOptions extends ModelOptions, SamplingOptions {
  readonly system?: string;
  readonly style: 'g1' | 'world';
  readonly think: 'none' | 'fake' | 'think';
  readonly thinkLength?: 'short' | 'normal' | 'long';
  readonly load?: string;
}

export function addChat(program: Command, terminal: Terminal): void {
  const command = program
    .command('chat')
    .summary('talk with a model')
    .description(
      'Talks with a model. The state can be saved, forked and loaded at any point; type /help inside.',
    )
    .option('--system <text>', 'what comes before the conversation')
    .addOption(
      new Option(
        '--style <style>',
        'g1: answers may hold blank lines; world: they end at the first',
      )
        .choices(['g1', 'world'])
        .default('g1'),
    )
    .addOption(
      new Option('--think <mode>', 'think first; fake gives an empty thought, which costs nothing')
        .choices(['none', 'fake', 'think'])
        .default('none'),
    )
    .addOption(
      new Option('--think-length <length>', 'how much to think').choices([
        'short',
        'normal',
        'long',
      ]),
    )
    .addOption(new Option('--load <file>', 'go on with a saved conversation').conflicts(['system']))
    .option('-e, --escape', 'read \\n, \\t, \\\\ and \\uHHHH in --system and --stop');
  addModelOptions(command);
  addSamplingOptions(command, { maxTokens: 1024 })
    .addHelpText(
      'after',
      `
Example:
  rwkv chat --model rwkv7-g1-1.5b.pth --think think \\
    --tokenizer rwkv_vocab_v20230424.txt

Ctrl-C stops an answer, clears a half-typed line, and leaves at an empty one.`,
    )
    .action(async (options: ChatCommandOptions) => {
      const generateOptions = generateOptionsOf(options);
      const system =
        options.system !== undefined && options.escape
          ? unescapeText(options.system)
          : options.system;
      await using opened = await openModelFor(options, terminal, { slots: 1 });
      checkTokenOptions(options, opened.model.vocabularySize);
      const session = new ChatSession({
        model: opened.model,
        terminal,
        settings: {
          ...generateOptions,
          style: options.style,
          think: options.think,
          ...(options.thinkLength === undefined ? {} : { thinkLength: options.thinkLength }),
        },
        ...(system === undefined ? {} : { system }),
      });
      if (options.load !== undefined) await session.load(options.load);
      await session.run();
    });
}
