/** Which settings there are: an entry of `table` is a flag, a key of the configuration file and a field of config.json. */
import { InvalidArgumentError } from 'commander';
import { decimal, folderName, integer } from '../option-values.js';

/** Everything a run is made from; what a command does not have is undefined. */
export interface Settings {
  readonly data?: string;
  readonly validation?: string;
  readonly tokenizer?: string;
  readonly output?: string;
  readonly version?: '4' | '5.0' | '5.1' | '5.2' | '6' | '7';
  readonly layers: number;
  readonly channels: number;
  readonly headSize: number;
  readonly channelMixSize?: number;
  readonly vocabulary?: number;
  readonly model?: string;
  readonly initialState?: string;
  readonly mode: 'lora' | 'full';
  readonly rank: number;
  readonly alpha?: number;
  readonly targets?: readonly string[];
  readonly steps: number;
  readonly sequences: number;
  readonly sequencesAtOnce?: number;
  readonly context: number;
  readonly chunk?: number;
  readonly stopGradientsAtCuts?: boolean;
  readonly order?: 'permuted' | 'sequential' | 'documents';
  readonly seed: number;
  readonly learningRate: number;
  readonly finalLearningRate?: number;
  readonly warmupSteps: number;
  readonly schedule: 'cosine' | 'linear' | 'constant';
  readonly weightDecay: number;
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  readonly gradientNormLimit: number;
  readonly evaluateEvery?: number;
  readonly evaluationSamples: number;
  readonly checkpointEvery?: number;
  readonly keepCheckpoints: number;
  readonly sampleEvery?: number;
  readonly samplePrompt: readonly string[];
  readonly sampleTokens: number;
  readonly backend: string;
  readonly threads?: number;
  readonly instructions?: string;
  readonly device?: number;
}

export type SettingName = keyof Settings;
export type TrainingCommand = 'train' | 'finetune' | 'tune-state';

export interface Setting {
  readonly flags: string;
  readonly description: string;
  readonly parse?: (text: string) => unknown;
  readonly choices?: readonly string[];
  /** May be given several times. */
  readonly isList?: true;
  /** Default: all. */
  readonly of?: readonly TrainingCommand[];
  /** A run that goes on keeps it: other numbers would be another run. */
  readonly fixed?: true;
}

const count = integer({ minimum: 1 });
const positive = decimal({ minimum: 0 });
const share = (text: string): number => {
  const value = decimal({ minimum: 0, maximum: 1 })(text);
  if (value === 1) throw new InvalidArgumentError('Expected a number from 0 to below 1.');
  return value;
};
const withModel = ['finetune', 'tune-state'] as const;

export const table: Readonly<Record<SettingName, Setting>> = {
  data: {
    flags: '--data <prefix>',
    description: 'token files to learn from, PREFIX.bin and .idx of `rwkv prepare`',
    fixed: true,
  },
  validation: {
    flags: '--validation <prefix>',
    description: 'held-out token files (default: PREFIX.held-out where they are)',
  },
  tokenizer: {
    flags: '--tokenizer <which>',
    description: 'of the token files: a FILE, 20b or bytes',
  },
  output: {
    flags: '-o, --output <folder>',
    description: "the run's folder: configuration, log, checkpoints, loss curve",
    parse: folderName,
  },
  version: {
    flags: '--rwkv <version>',
    description: 'of the new model; version in a file (default: 7)',
    choices: ['4', '5.0', '5.1', '5.2', '6', '7'],
    of: ['train'],
    fixed: true,
  },
  layers: {
    flags: '--layers <n>',
    description: 'of the new model (default: 6)',
    parse: integer({ minimum: 1, maximum: 1024 }),
    of: ['train'],
    fixed: true,
  },
  channels: {
    flags: '--channels <n>',
    description: 'width of the new model (default: 256)',
    parse: integer({ minimum: 1, maximum: 1 << 17 }),
    of: ['train'],
    fixed: true,
  },
  headSize: {
    flags: '--head-size <n>',
    description: 'channels of a head (default: 64)',
    parse: count,
    of: ['train'],
    fixed: true,
  },
  channelMixSize: {
    flags: '--channel-mix-size <n>',
    description: 'hidden width of the channel mix (default: as the official trainer)',
    parse: count,
    of: ['train'],
    fixed: true,
  },
  vocabulary: {
    flags: '--vocabulary <n>',
    description: "token ids of the new model (default: the tokenizer's; 65536 for World)",
    parse: count,
    of: ['train'],
    fixed: true,
  },
  model: {
    flags: '-m, --model <reference>',
    description: 'the base: a file, URL or owner/repo[:file][@revision]',
    of: withModel,
  },
  initialState: {
    flags: '--initial-state <file>',
    description: 'a tuned state to start from (default: zeros)',
    of: ['tune-state'],
    fixed: true,
  },
  mode: {
    flags: '--mode <mode>',
    description: 'lora: small matrices beside frozen ones; full: every weight (default: lora)',
    choices: ['lora', 'full'],
    of: ['finetune'],
    fixed: true,
  },
  rank: {
    flags: '--rank <n>',
    description: 'of the LoRA matrices (default: 16)',
    parse: count,
    of: ['finetune'],
    fixed: true,
  },
  alpha: {
    flags: '--alpha <x>',
    description: "LoRA's scale is alpha / rank (default: twice the rank)",
    parse: positive,
    of: ['finetune'],
    fixed: true,
  },
  targets: {
    flags: '--targets <name>',
    description:
      'matrices that get LoRA, such as att.key; repeatable (default: all large ones in the blocks)',
    isList: true,
    of: ['finetune'],
    fixed: true,
  },
  steps: {
    flags: '--steps <n>',
    description: 'updates in all (default: 1000)',
    parse: count,
  },
  sequences: {
    flags: '--sequences <n>',
    description: 'samples of an update (default: 16)',
    parse: count,
  },
  sequencesAtOnce: {
    flags: '--sequences-at-once <n>',
    description: 'samples that run side by side; fewer need less memory (default: all)',
    parse: count,
  },
  context: {
    flags: '--context <tokens>',
    description: 'of a sample (default: 256)',
    parse: integer({ minimum: 1, maximum: 1 << 24 }),
    fixed: true,
  },
  chunk: {
    flags: '--chunk <tokens>',
    description: 'that run at once; longer samples run chunk by chunk (default: the context)',
    parse: count,
  },
  stopGradientsAtCuts: {
    flags: '--stop-gradients-at-cuts',
    description: 'between chunks: a third faster, and blind to what lies further back',
  },
  order: {
    flags: '--order <order>',
    description:
      'permuted windows as RWKV-LM, the data in sequence, or documents (default: permuted; documents where there is a mask)',
    choices: ['permuted', 'sequential', 'documents'],
    fixed: true,
  },
  seed: {
    flags: '--seed <n>',
    description: 'of new weights and of the order of the data (default: 0)',
    parse: integer({ minimum: 0, maximum: 2 ** 32 - 1 }),
    fixed: true,
  },
  learningRate: {
    flags: '--learning-rate <x>',
    description: 'after the warm-up (default: 6e-4 train, 1e-4 lora, 1e-5 full, 1e-2 states)',
    parse: positive,
  },
  finalLearningRate: {
    flags: '--final-learning-rate <x>',
    description: 'at the end (default: a tenth)',
    parse: positive,
  },
  warmupSteps: {
    flags: '--warmup-steps <n>',
    description: 'updates over which the rate rises (default: 10)',
    parse: integer({ minimum: 0 }),
  },
  schedule: {
    flags: '--schedule <shape>',
    description: 'from there to the end (default: cosine)',
    choices: ['cosine', 'linear', 'constant'],
  },
  weightDecay: {
    flags: '--weight-decay <x>',
    description: 'of the large matrices (default: 0.001 train, else 0)',
    parse: positive,
  },
  beta1: { flags: '--beta1 <x>', description: 'of AdamW (default: 0.9)', parse: share },
  beta2: { flags: '--beta2 <x>', description: 'of AdamW (default: 0.99)', parse: share },
  epsilon: { flags: '--epsilon <x>', description: 'of AdamW (default: 1e-18)', parse: positive },
  gradientNormLimit: {
    flags: '--gradient-norm-limit <x>',
    description: 'gradients are scaled down to this norm (default: 1)',
    parse: positive,
  },
  evaluateEvery: {
    flags: '--evaluate-every <n>',
    description: 'updates, on held-out data (default: a tenth of --steps)',
    parse: count,
  },
  evaluationSamples: {
    flags: '--evaluation-samples <n>',
    description: 'of held-out data in an evaluation (default: 64, or all)',
    parse: count,
  },
  checkpointEvery: {
    flags: '--checkpoint-every <n>',
    description: 'updates (default: a tenth of --steps)',
    parse: count,
  },
  keepCheckpoints: {
    flags: '--keep-checkpoints <n>',
    description: 'the newest (default: 3)',
    parse: count,
  },
  sampleEvery: {
    flags: '--sample-every <n>',
    description: 'updates; texts go to standard error and the log (default: never)',
    parse: count,
  },
  samplePrompt: {
    flags: '--sample-prompt <text>',
    description: 'what a text begins with; repeatable (default: the end-of-text token)',
    isList: true,
  },
  sampleTokens: {
    flags: '--sample-tokens <n>',
    description: 'of a text (default: 64)',
    parse: count,
  },
  backend: {
    flags: '--backend <name>',
    description: 'what computes; `rwkv doctor` lists them (default: auto)',
  },
  threads: {
    flags: '--threads <n>',
    description: 'threads that compute (default: one for each core)',
    parse: integer({ minimum: 1, maximum: 256 }),
  },
  instructions: {
    flags: '--instructions <name>',
    description: 'the instruction set that computes (default: the best here)',
  },
  device: {
    flags: '--device <n>',
    description: 'the GPU that computes (default: 0)',
    parse: integer({ minimum: 0, maximum: 255 }),
  },
};
