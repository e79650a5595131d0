/** The command line of the two commands. */
import type { WeightFormat } from '@rwkv-ts/backend';
import type { WebGpuTier } from '@rwkv-ts/backend-webgpu';
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

export const usage = `Speed and memory of the WebGPU backend, on the adapter that the package webgpu finds.

  node dist/webgpu.js speed [options]    what a step asks of WebGPU, JavaScript's time, tokens a second
  node dist/webgpu.js soak [options]     memory over many steps and many loads

  --dawn "WORDS"              for Dawn, for example "backend=vulkan adapter=NVIDIA"
  --json FILE                 everything measured, and on what
  --write                     also writes bench/results/webgpu.md or webgpu-soak.md
speed:
  --shapes 0.1b,0.4b          default: 0.1b,0.4b,1.5b,2.9b,7.2b; shapes of tools/fixtures, random weights
  --formats f16,q8_0,q4_0     their weight formats
  --batch 1,8,64              sequences that decode together
  --prefill 512               lengths of prompts; 0 for none
  --seconds 2                 at least, of each measurement
  --candidates 64             likeliest tokens read back where not all logits are; 0 leaves that out
  --tier auto                 or plain, or subgroups
  --no-bandwidth              leaves out the device's copy bandwidth
soak:
  --steps 50000               decode steps of the demonstration model
  --cycles 20                 loads and disposals of it
`;

export { UsageError };

export interface Options {
  readonly command: 'speed' | 'soak';
  readonly dawn: readonly string[];
  readonly json: string | undefined;
  readonly write: boolean;
  readonly shapes: readonly ShapeName[];
  readonly formats: readonly WeightFormat[];
  readonly batch: readonly number[];
  readonly prefill: readonly number[];
  readonly seconds: number;
  readonly candidates: number;
  readonly tier: WebGpuTier | 'auto';
  readonly bandwidth: boolean;
  readonly steps: number;
  readonly cycles: number;
}

const named = {
  dawn: { type: 'string', default: '' },
  json: { type: 'string' },
  write: { type: 'boolean', default: false },
  shapes: { type: 'string', default: '0.1b,0.4b,1.5b,2.9b,7.2b' },
  formats: { type: 'string', default: 'f16,q8_0,q4_0' },
  batch: { type: 'string', default: '1,8,64' },
  prefill: { type: 'string', default: '512' },
  seconds: { type: 'string', default: '2' },
  candidates: { type: 'string', default: '64' },
  tier: { type: 'string', default: 'auto' },
  'no-bandwidth': { type: 'boolean', default: false },
  steps: { type: 'string', default: '50000' },
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
    dawn: wordsOf(values.dawn),
    json: values.json,
    write: values.write,
    shapes: list(values.shapes).map((name) => oneOf('--shapes', name, shapeNames)),
    formats: list(values.formats).map((name) => oneOf('--formats', name, weightFormats)),
    batch: list(values.batch).map((each) => integer('--batch', each, 1)),
    prefill: sizes('--prefill', values.prefill),
    seconds: positive('--seconds', values.seconds),
    candidates: integer('--candidates', values.candidates, 0),
    tier: oneOf('--tier', values.tier, ['auto', 'plain', 'subgroups']),
    bandwidth: !values['no-bandwidth'],
    steps: integer('--steps', values.steps, 10),
    cycles: integer('--cycles', values.cycles, 0),
  };
}
