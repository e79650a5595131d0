/** The command line of the three commands. */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import {
  list,
  oneOf,
  parseWords,
  positive,
  UsageError,
  words as wordsOf,
} from '../common/option-values.js';
import { type BackendName, backendNames } from './backends.js';

export const commands = ['machine', 'cpu', 'compare'] as const;
export type Command = (typeof commands)[number];

export const usage = `Speed on the CPU: what the machine can do, what we make of it, and others beside us.

  node dist/cpu.js machine [options]
  node dist/cpu.js cpu [FILE.gguf …] [options]
  node dist/cpu.js compare [FILE.gguf …] --llama-bench PATH --node-llama-cpp FOLDER [options]

Models: the files that are named, or random ones of --shapes in --formats, made in --models when they are missing.

  --shapes 0.1b,0.4b          shapes of tools/fixtures
  --formats f16,q8_0,q4_0     their weight formats
  --models FOLDER             default: bench/out/models
  --threads 1,2               each is measured; default: 1 and all cores
  --rounds 5                  of everything, one after the other
  --seconds 2                 at least, of each measurement
  --batch 1,4,16,32           sequences that decode together; compare: 1,16
  --prefill 32,512,4096       lengths of prompts; compare: 512
  --backend cpu               ${backendNames.join(' or ')}
  --instructions NAME         the instruction set, instead of the best
  --wrap "WORDS"              put before every measured command, for example "flock FILE" or "taskset -c 0"
  --json FILE                 every run, and what ran where
  --write                     also writes bench/results/cpu.md, cpu-compare.md or machine.md
compare:
  --llama-bench PATH          llama.cpp's own measuring program
  --llama-batched-bench PATH  default: beside llama-bench
  --node-llama-cpp FOLDER     where it is installed
  --install                   installs it from the package registry into bench/out/cache
  --tokens 128                of a decode test of the others
`;

export { UsageError };

export interface Options {
  readonly command: Command;
  readonly files: readonly string[];
  readonly shapes: readonly string[];
  readonly formats: readonly string[];
  readonly models: string | undefined;
  readonly threads: readonly number[];
  readonly rounds: number;
  readonly seconds: number;
  readonly batch: readonly number[];
  readonly prefill: readonly number[];
  readonly backend: BackendName;
  readonly instructions: string | undefined;
  readonly wrap: readonly string[];
  readonly json: string | undefined;
  readonly write: boolean;
  readonly llamaBench: string | undefined;
  readonly llamaBatchedBench: string | undefined;
  readonly nodeLlamaCpp: string | undefined;
  readonly install: boolean;
  readonly tokens: number;
}

const named = {
  shapes: { type: 'string', default: '0.1b' },
  formats: { type: 'string', default: 'f16,q8_0,q4_0' },
  models: { type: 'string' },
  threads: { type: 'string' },
  rounds: { type: 'string', default: '5' },
  seconds: { type: 'string', default: '2' },
  batch: { type: 'string' },
  prefill: { type: 'string' },
  backend: { type: 'string', default: 'cpu' },
  instructions: { type: 'string' },
  wrap: { type: 'string' },
  json: { type: 'string' },
  write: { type: 'boolean', default: false },
  'llama-bench': { type: 'string' },
  'llama-batched-bench': { type: 'string' },
  'node-llama-cpp': { type: 'string' },
  install: { type: 'boolean', default: false },
  tokens: { type: 'string', default: '128' },
  help: { type: 'boolean', default: false },
} as const;

/** Nothing where help was asked for. @throws UsageError */
export function readOptions(
  words: readonly string[],
  { cores }: { cores: number },
): Options | undefined {
  const { values, positionals } = parseWords(words, named);
  if (values.help) return undefined;
  const [name, ...files] = positionals;
  const command = oneOf('The command', name ?? 'none', commands);
  const compares = command === 'compare';
  const llamaBench = values['llama-bench'];
  return {
    command,
    files,
    shapes: list(values.shapes),
    formats: list(values.formats),
    models: values.models,
    threads: numbers('--threads', values.threads ?? [...new Set([1, cores])].join(',')),
    rounds: number('--rounds', values.rounds),
    seconds: positive('--seconds', values.seconds),
    batch: numbers('--batch', values.batch ?? (compares ? '1,16' : '1,4,16,32')),
    prefill: numbers('--prefill', values.prefill ?? (compares ? '512' : '32,512,4096')),
    backend: oneOf('--backend', values.backend, backendNames),
    instructions: values.instructions,
    wrap: wordsOf(values.wrap ?? ''),
    json: values.json,
    write: values.write,
    llamaBench,
    llamaBatchedBench: values['llama-batched-bench'] ?? besides(llamaBench),
    nodeLlamaCpp: values['node-llama-cpp'],
    install: values.install,
    tokens: number('--tokens', values.tokens),
  };
}

function besides(llamaBench: string | undefined): string | undefined {
  if (llamaBench === undefined) return undefined;
  const neighbour = join(dirname(llamaBench), 'llama-batched-bench');
  return existsSync(neighbour) ? neighbour : undefined;
}

/** An empty list is allowed: it leaves those tests out. */
function numbers(what: string, text: string): number[] {
  return list(text).map((each) => number(what, each));
}

function number(what: string, text: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value >= 1) return value;
  throw new UsageError(`${what} takes positive integers, got ${text}.`);
}
