/**
 * Where the settings of the training commands come from: flags win over the configuration file, the file over what a
 * resumed run had, that over the defaults.
 */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { UsageError } from '../failure.js';
import { collect } from '../option-values.js';
import {
  type Setting,
  type SettingName,
  type Settings,
  table,
  type TrainingCommand,
} from './setting-table.js';

export type { Settings, TrainingCommand };

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
