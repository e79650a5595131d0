/** `rwkv finetune`: a model learns more, by LoRA or in every weight. */
import { fullTraining, loraTraining } from '@rwkv-ts/train';
import type { Command } from 'commander';
import { addCacheOptions } from '../remote-models.js';
import type { Terminal } from '../terminal.js';
import { openBaseModel } from '../training/base-model.js';
import { runTraining } from '../training/run.js';
import { addSettings } from '../training/settings.js';

export function addFinetune(program: Command, terminal: Terminal): void {
  const command = program
    .command('finetune')
    .summary('a model learns more, by LoRA or in every weight')
    .description(
      'Goes on training a model with token files of `rwkv prepare`. LoRA leaves the model as it is, quantised if it is, and writes an adapter. Ctrl-C saves; --resume goes on, to the bit.',
    )
    .argument('[config]', 'a YAML or JSON file with the options below as keys: learningRate: 1e-4');
  addSettings(command, 'finetune');
  addCacheOptions(command)
    .option('--resume', 'go on with the run in --output from its newest checkpoint')
    .option('--json', 'one JSON object at the end')
    .addHelpText(
      'after',
      `
Of documents of JSONL with a prompt and a completion, only completions are learned.

Examples:
  rwkv prepare chats.jsonl -o chats --tokenizer rwkv_vocab_v20230424.txt
  rwkv finetune --model rwkv7-g1.pth --data chats --rank 16 \\
    --tokenizer rwkv_vocab_v20230424.txt --output runs/chats --steps 500
  rwkv chat --model rwkv7-g1.pth --adapter runs/chats/adapter.safetensors \\
    --tokenizer rwkv_vocab_v20230424.txt
  rwkv convert rwkv7-g1.pth merged.safetensors --adapter runs/chats/adapter.safetensors`,
    )
    .action(async (configFile: string | undefined, options: Record<string, unknown>) => {
      await runTraining({
        command: 'finetune',
        options,
        configFile,
        terminal,
        openModel: (settings) => openBaseModel(settings, { options, terminal }),
        modeOf: async ({ mode, rank, alpha, targets, seed }) =>
          mode === 'full' ? fullTraining() : loraTraining({ rank, alpha, targets, seed }),
      });
    });
}
