/** Sampler options on the command line, for `generate` and `chat`. */
import type { GenerateOptions } from '@rwkv-ts/generate';
import { samplerPresets } from '@rwkv-ts/sampler';
import { type Command, Option } from 'commander';
import { unescapeText } from './escapes.js';
import { UsageError } from './failure.js';
import { collect, collectBias, decimal, integer, tokenList } from './option-values.js';

export interface SamplingOptions {
  readonly preset?: keyof typeof samplerPresets;
  readonly greedy?: true;
  readonly temperature?: number;
  readonly topK?: number;
  readonly topP?: number;
  readonly minP?: number;
  readonly typicalP?: number;
  readonly mirostat?: number;
  readonly mirostatRate: number;
  readonly presencePenalty?: number;
  readonly frequencyPenalty?: number;
  readonly penaltyDecay?: number;
  readonly repetitionPenalty?: number;
  readonly repetitionWindow?: number;
  readonly logitBias?: ReadonlyMap<number, number>;
  readonly ban?: readonly number[];
  readonly seed?: number;
  readonly maxTokens?: number;
  readonly stop?: readonly string[];
  readonly stopTokens?: readonly number[];
  readonly ignoreEndOfText?: true;
  /** Whether `stop` holds escapes. */
  readonly escape?: true;
}

export function addSamplingOptions(
  command: Command,
  { maxTokens }: { maxTokens: number },
): Command {
  const range = (minimum: number, maximum: number) => decimal({ minimum, maximum });
  return command
    .option('-n, --max-tokens <n>', 'most tokens to make', integer({ minimum: 1 }), maxTokens)
    .option('--seed <n>', 'the same seed and prompt give the same text', integer({ minimum: 0 }))
    .addOption(
      new Option(
        '--preset <name>',
        'sampler settings by name; options below override them one by one (default: bytes for byte models; else pipeline, in chat rwkv-chat or reasoning)',
      ).choices(Object.keys(samplerPresets)),
    )
    .option('--greedy', 'always the likeliest token: --preset greedy')
    .option('-t, --temperature <t>', '0 is greedy', range(0, 1e6))
    .option('--top-p <p>', 'keep the likeliest tokens up to this probability', range(0, 1))
    .option('--top-k <k>', 'keep the k likeliest tokens; 0 is off', integer({ minimum: 0 }))
    .option(
      '--min-p <p>',
      'keep tokens at least this fraction as likely as the likeliest',
      range(0, 1),
    )
    .option('--typical-p <p>', 'locally typical sampling', range(0, 1))
    .option('--mirostat <bits>', 'steer the average surprise to this many bits', range(0, 64))
    .option('--mirostat-rate <rate>', 'how fast mirostat steers', range(0, 1), 0.1)
    .option('--presence-penalty <x>', 'off the logit of tokens seen', range(-100, 100))
    .option('--frequency-penalty <x>', 'off the logit per time seen', range(-100, 100))
    .option('--penalty-decay <x>', 'what counts are multiplied by at each token', range(0, 1))
    .option('--repetition-penalty <x>', 'divides the logits of tokens seen', range(0.01, 100))
    .option(
      '--repetition-window <n>',
      'how many tokens the repetition penalty looks back',
      integer({ minimum: 1, maximum: 65536 }),
    )
    .option('--logit-bias <id=x>', 'added to a token; repeatable', collectBias)
    .option('--ban <ids>', 'tokens never chosen, as 1,2,3', tokenList)
    .option('--stop <text>', 'end before this text; repeatable', collect)
    .option('--stop-tokens <ids>', 'end before these tokens, as 1,2,3', tokenList)
    .option('--ignore-end-of-text', 'go on after the end-of-text token');
}

/** Only what was given, so that presets keep the rest. */
export function generateOptionsOf(options: SamplingOptions): GenerateOptions {
  if (options.greedy && (options.temperature ?? 0) !== 0)
    throw new UsageError('--greedy and --temperature exclude each other.');
  if (options.greedy && (options.preset ?? 'greedy') !== 'greedy')
    throw new UsageError('--greedy and --preset exclude each other.');
  const { mirostat, mirostatRate, ban, greedy, stop, escape } = options;
  const names = [
    'preset',
    'temperature',
    'topK',
    'topP',
    'minP',
    'typicalP',
    'presencePenalty',
    'frequencyPenalty',
    'penaltyDecay',
    'repetitionPenalty',
    'repetitionWindow',
    'logitBias',
    'seed',
    'maxTokens',
    'stopTokens',
    'ignoreEndOfText',
  ] as const;
  const given = Object.fromEntries(
    names.filter((name) => options[name] !== undefined).map((name) => [name, options[name]]),
  ) as GenerateOptions;
  return {
    ...given,
    ...(greedy ? { preset: 'greedy' } : {}),
    ...(stop ? { stop: escape ? stop.map(unescapeText) : stop } : {}),
    ...(ban ? { bannedTokens: ban } : {}),
    ...(mirostat === undefined
      ? {}
      : { mirostat: { targetSurprise: mirostat, learningRate: mirostatRate } }),
  };
}

/** The library's message could not name the option. @throws UsageError */
export function checkTokenOptions(
  { ban, logitBias, stopTokens }: SamplingOptions,
  vocabularySize: number,
): void {
  for (const [option, tokens] of [
    ['--ban', ban],
    ['--logit-bias', logitBias?.keys()],
    ['--stop-tokens', stopTokens],
  ] as const) {
    for (const token of tokens ?? []) {
      if (token < vocabularySize) continue;
      throw new UsageError(
        `${option}: this model's token ids run from 0 to ${vocabularySize - 1}, got ${token}.`,
      );
    }
  }
}
