/** The command line of the two commands. */
import type { WeightFormat } from '@rwkv-ts/backend';
import { type ShapeName, shapeNames } from '@rwkv-ts/fixtures/shapes';
import {
  integer,
  list,
  oneOf,
  parseWords,
  positive,
  sizes,
  UsageError,
  weightFormats,
  words as wordsOf,
} from '../common/option-values.js';

export { UsageError };

export const usage = `Speed and memory of the CUDA backend.

  node dist/cuda.js speed [options]    tokens a second, beside what the device gives at most
  node dist/cuda.js soak [options]     memory over many steps and many loads

  --device 0                  as the driver counts them
  --driver FILE               a library that stands in for the driver, with its kernels compiled in
  --json FILE                 everything measured, and on what
  --write                     also writes bench/results/cuda.md and its plots, or cuda-soak.md
speed:
  --shapes 0.1b,0.4b          default: 0.1b,0.4b,1.5b,2.9b,7.2b; shapes of tools/fixtures, random weights
  --formats f16,q8_0,q4_0     their weight formats; also f32, bf16, q4_k, q6_k and so on
  --batch 1,8,64,320,1024     sequences that decode together; 0 for none
  --prefill 512,4096          lengths of prompts; 0 for none
  --candidates 64             likeliest tokens that a decode step gives; 0 for all logits
  --logits 1,8                the batches that are also measured with all logits; 0 for none
  --rounds 5                  of all tests of a model
  --seconds 1                 at least, of each test in each round
  --sparse auto               or never: the second channel-mix matrix is read whole
  --no-limits                 leaves out the device's copy bandwidth and matrix rate
  --python python3            runs RWKV-7 in PyTorch beside it, where its PyTorch sees a GPU; none: not at all
  --peer "COMMAND"            another program instead, run after each round (README.md says what it must print)
soak:
  --steps 100000              decode steps of the demonstration model
  --cycles 20                 loads and disposals of it
`;

export interface Options {
  readonly command: 'speed' | 'soak';
  readonly device: number;
  readonly driver: string | undefined;
  readonly json: string | undefined;
  readonly write: boolean;
  readonly shapes: readonly ShapeName[];
  readonly formats: readonly WeightFormat[];
  readonly batch: readonly number[];
  readonly prefill: readonly number[];
  readonly candidates: number;
  readonly logits: readonly number[];
  readonly rounds: number;
  readonly seconds: number;
  readonly sparse: 'auto' | 'never';
  readonly limits: boolean;
  /** Empty where there is none. */
  readonly peer: readonly string[];
  /** A program, or `none`. */
  readonly python: string;
  readonly steps: number;
  readonly cycles: number;
}

const named = {
  device: { type: 'string', default: '0' },
  driver: { type: 'string' },
  json: { type: 'string' },
  write: { type: 'boolean', default: false },
  shapes: { type: 'string', default: '0.1b,0.4b,1.5b,2.9b,7.2b' },
  formats: { type: 'string', default: 'f16,q8_0,q4_0' },
  batch: { type: 'string', default: '1,8,64,320,1024' },
  prefill: { type: 'string', default: '512,4096' },
  candidates: { type: 'string', default: '64' },
  logits: { type: 'string', default: '1,8' },
  rounds: { type: 'string', default: '5' },
  seconds: { type: 'string', default: '1' },
  sparse: { type: 'string', default: 'auto' },
  'no-limits': { type: 'boolean', default: false },
  peer: { type: 'string', default: '' },
  python: { type: 'string', default: 'python3' },
  steps: { type: 'string', default: '100000' },
  cycles: { type: 'string', default: '20' },
  help: { type: 'boolean', default: false },
} as const;

/** Nothing where help was asked for. @throws UsageError */
export function readOptions(words: readonly string[]): Options | undefined {
  const { values, positionals } = parseWords(words, named);
  if (values.help) return undefined;
  const [command = 'none', ...rest] = positionals;
  if (rest.length > 0) throw new UsageError(`One command must be named, got ${rest[0]} as well.`);
  return {
    command: oneOf('The command', command, ['speed', 'soak']),
    device: integer('--device', values.device, 0),
    driver: values.driver,
    json: values.json,
    write: values.write,
    shapes: list(values.shapes).map((name) => oneOf('--shapes', name, shapeNames)),
    formats: list(values.formats).map((name) => oneOf('--formats', name, weightFormats)),
    batch: sizes('--batch', values.batch),
    prefill: sizes('--prefill', values.prefill),
    candidates: integer('--candidates', values.candidates, 0),
    logits: sizes('--logits', values.logits),
    rounds: integer('--rounds', values.rounds, 1),
    seconds: positive('--seconds', values.seconds),
    sparse: oneOf('--sparse', values.sparse, ['auto', 'never']),
    limits: !values['no-limits'],
    peer: wordsOf(values.peer),
    python: values.python,
    steps: integer('--steps', values.steps, 10),
    cycles: integer('--cycles', values.cycles, 0),
  };
}
