/** `rwkv tune-state`: the state that texts start from learns, and the model stays as it is. */
import { stateTuning } from '@rwkv-ts/train';
import { openStateFile } from '@rwkv-ts/weights';
import { fileSource } from '@rwkv-ts/weights/node';
import type { Command } from 'commander';
import { addCacheOptions } from '../remote-models.js';
import type { Terminal } from '../terminal.js';
import { openBaseModel } from '../training/base-model.js';
import { runTraining } from '../training/run.js';
import { addSettings } from '../training/settings.js';

export function addTuneState(program: Command, terminal: Terminal): void {
  const command = program
    .command('tune-state')
    .summary('the state that texts start from learns')
    .description(
      'State tuning, for RWKV-5 to 7: only the initial states learn, and the model stays as it is, quantised if it is. The file is a few megabytes and loads everywhere. Ctrl-C saves; --resume goes on, to the bit.',
    )
    .argument('[config]', 'a YAML or JSON file with the options below as keys: learningRate: 1e-2');
  addSettings(command, 'tune-state');
  addCacheOptions(command)
    .option('--resume', 'go on with the run in --output from its newest checkpoint')
    .option('--json', 'one JSON object at the end')
    .addHelpText(
      'after',
      `
Examples:
  rwkv prepare poems.jsonl -o poems --tokenizer rwkv_vocab_v20230424.txt
  rwkv tune-state --model rwkv7-g1.pth --data poems --output runs/poems \\
    --tokenizer rwkv_vocab_v20230424.txt --steps 300
  rwkv generate "Autumn" --model rwkv7-g1.pth \\
    --initial-state runs/poems/states.safetensors \\
    --tokenizer rwkv_vocab_v20230424.txt`,
    )
    .action(async (configFile: string | undefined, options: Record<string, unknown>) => {
      await runTraining({
        command: 'tune-state',
        options,
        configFile,
        terminal,
        openModel: (settings) => openBaseModel(settings, { options, terminal }),
        modeOf: async ({ initialState }, { model }) =>
          stateTuning(
            initialState === undefined
              ? {}
              : {
                  start: await openStateFile(await fileSource(initialState), {
                    config: model.config,
                  }),
                },
          ),
      });
    });
}
