/**
 * The settings of the training commands: each is a flag, a key of the configuration file by the flag's name, and a field
 * of a run's config.json. Flags win over the file, the file over what a resumed run had, that over the defaults.
 */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { UsageError } from '../failure.js';
import { collect, decimal, folderName, integer } from '../option-values.js';

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

interface Setting {
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

const table: Readonly<Record<SettingName, Setting>> = {
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
    description: 'of the new model (default: 7)',
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

const defaults = {
  version: '7',
  layers: 6,
  channels: 256,
  headSize: 64,
  mode: 'lora',
  rank: 16,
  steps: 1000,
  sequences: 16,
  context: 256,
  seed: 0,
  warmupSteps: 10,
  schedule: 'cosine',
  beta1: 0.9,
  beta2: 0.99,
  epsilon: 1e-18,
  gradientNormLimit: 1,
  evaluationSamples: 64,
  keepCheckpoints: 3,
  samplePrompt: [],
  sampleTokens: 64,
  backend: 'auto',
} as const satisfies Partial<Settings>;

/** Only what somebody gave. */
export type GivenSettings = Partial<Settings>;

const entries = Object.entries(table) as [SettingName, Setting][];
const takes = ({ of }: Setting, command: TrainingCommand): boolean => of?.includes(command) ?? true;

export function addSettings(command: Command, kind: TrainingCommand): Command {
  for (const [name, setting] of entries) {
    if (!takes(setting, kind)) continue;
    const option = new Option(setting.flags, setting.description);
    if (setting.choices) option.choices(setting.choices);
    else if (setting.isList) option.argParser(collect);
    else if (setting.parse) option.argParser(setting.parse);
    // The flag of `version` is `--rwkv`, since `--version` tells the program's own.
    if (name === 'version') option.attributeName = () => 'version';
    command.addOption(option);
  }
  return command;
}

/** Of all options of a command, those that are settings. */
export function givenFlags(options: Readonly<Record<string, unknown>>): GivenSettings {
  return Object.fromEntries(
    Object.entries(options).filter(([name, value]) => name in table && value !== undefined),
  );
}

/**
 * The keys and values of a configuration file, through the same checks as flags.
 * @throws UsageError that names the file and the key
 */
export function parseSettings(
  values: unknown,
  { file, command }: { readonly file: string; readonly command: TrainingCommand },
): GivenSettings {
  if (typeof values !== 'object' || values === null || Array.isArray(values)) {
    throw new UsageError(`${file}: expected keys with values, such as 'steps: 1000'.`);
  }
  const known = entries.filter(([, setting]) => takes(setting, command)).map(([name]) => name);
  const given: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(values)) {
    const name = known.find((each) => each === key);
    if (name === undefined) {
      throw new UsageError(
        `${file}: '${key}' is no setting of rwkv ${command}; there are ${known.join(', ')}.`,
      );
    }
    if (value !== null) given[name] = parseValue(value, { name, file });
  }
  return given;
}

function parseValue(
  value: unknown,
  { name, file }: { readonly name: SettingName; readonly file: string },
): unknown {
  const { parse, choices, isList, flags } = table[name];
  const wrong = (what: string): UsageError => new UsageError(`${file}: ${name}: ${what}`);
  if (isList) {
    const list: readonly unknown[] = Array.isArray(value) ? value : [value];
    if (list.every((each) => typeof each === 'string')) return list;
    throw wrong('expected texts.');
  }
  if (!flags.includes('<')) {
    if (typeof value === 'boolean') return value;
    throw wrong('expected true or false.');
  }
  if (typeof value !== 'string' && typeof value !== 'number') {
    throw wrong('expected a text or a number.');
  }
  const text = String(value);
  if (choices?.includes(text) === false) throw wrong(`expected one of '${choices.join("', '")}'.`);
  if (parse === undefined) return text;
  try {
    return parse(text);
  } catch (error) {
    if (error instanceof InvalidArgumentError) throw wrong(error.message);
    throw error;
  }
}

const rates: Readonly<Record<string, number>> = {
  train: 6e-4,
  lora: 1e-4,
  full: 1e-5,
  states: 1e-2,
};

/** All layers, the strongest last, with the defaults under them. */
export function mergeSettings(
  layers: readonly GivenSettings[],
  command: TrainingCommand,
): Settings {
  const given: GivenSettings = Object.assign({}, ...layers) as GivenSettings;
  const merged = { ...defaults, ...given };
  const kind = { train: 'train', finetune: merged.mode, 'tune-state': 'states' }[command];
  const tenth = Math.max(1, Math.floor(merged.steps / 10));
  const all = {
    learningRate: rates[kind]!,
    weightDecay: command === 'train' ? 1e-3 : 0,
    evaluateEvery: tenth,
    checkpointEvery: tenth,
    ...merged,
  } as const;
  return Object.fromEntries(
    entries
      .filter(
        ([name, setting]) => takes(setting, command) && (all as GivenSettings)[name] !== undefined,
      )
      .map(([name]) => [name, (all as GivenSettings)[name]]),
  ) as unknown as Settings;
}

/**
 * A run that goes on is the run it was.
 * @throws UsageError for a setting that must stay
 */
export function requireSameRun(before: GivenSettings, now: GivenSettings): void {
  for (const [name, { fixed, flags }] of entries) {
    if (fixed !== true || now[name] === undefined || before[name] === undefined) continue;
    if (JSON.stringify(before[name]) === JSON.stringify(now[name])) continue;
    const flag = /--[a-z0-9-]+/.exec(flags)![0];
    throw new UsageError(
      `${flag} of this run is ${String(before[name])}; with ${String(now[name])} it would be another run: begin one in another folder.`,
    );
  }
}
