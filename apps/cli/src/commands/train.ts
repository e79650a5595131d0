/** `rwkv train`: a new model from token files. */
import { fullTraining, newConfig, newModel } from '@rwkv-ts/train';
import type { Command } from 'commander';
import { runTraining } from '../training/run.js';
import { addSettings } from '../training/settings.js';
import type { Terminal } from '../terminal.js';

/** Official vocabularies are padded so: 65530 ids of World to 65536. */
const vocabularyPadding = 128;

export function addTrain(program: Command, terminal: Terminal): void {
  const command = program
    .command('train')
    .summary('a new model from token files')
    .description(
      'Trains a new model from token files of `rwkv prepare`, from the official initialisation. Ctrl-C saves; --resume goes on, to the bit.',
    )
    .argument('[config]', 'a YAML or JSON file with the options below as keys: learningRate: 6e-4');
  addSettings(command, 'train')
    .option('--resume', 'go on with the run in --output from its newest checkpoint')
    .option('--json', 'one JSON object at the end')
    .addHelpText(
      'after',
      `
The folder holds config.json, log.jsonl, loss.svg, checkpoints/ and in the end
model.safetensors, which every command here and RWKV's Python programs read.

Examples:
  rwkv prepare book.txt -o book --tokenizer bytes --held-out 0.05
  rwkv train --data book --tokenizer bytes --output runs/book --steps 2000
  rwkv train --resume --output runs/book
  rwkv generate "It was" --model runs/book/model.safetensors --tokenizer bytes`,
    )
    .action(async (configFile: string | undefined, options: Record<string, unknown>) => {
      await runTraining({
        command: 'train',
        options,
        configFile,
        terminal,
        modeOf: async () => fullTraining(),
        openModel: async (settings, { tokenizer }) => {
          const padded =
            Math.ceil(tokenizer.vocabularySize / vocabularyPadding) * vocabularyPadding;
          const { version = '7', layers, channels, headSize, channelMixSize } = settings;
          const config = newConfig({
            version,
            layers,
            channels,
            headSize,
            channelMixSize,
            vocabularySize: settings.vocabulary ?? padded,
          });
          return {
            model: newModel(config, { seed: settings.seed }),
            name: `RWKV-${version}, ${layers} layers of ${channels}`,
            async [Symbol.asyncDispose]() {},
          };
        },
      });
    });
}
