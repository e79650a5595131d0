/** Models with random weights for the tests of this folder, opened on a backend. */
import type {
  Batch,
  HostWeight,
  Limits,
  Rows,
  States,
  WeightFormat,
  Weights,
} from '@rwkv-ts/backend';
import { createRandomWeights } from '@rwkv-ts/backend-kit';
import { buildProgram, type RwkvConfig } from '@rwkv-ts/model';
import { handOver } from '../../backend-kit/conformance/session.js';
import { tinyModel, tinyVersions } from '../../backend-kit/conformance/tiny-models.js';
import type { CpuBackend, CpuExecutable } from '../src/index.js';

export interface Subject {
  readonly name: string;
  readonly config: RwkvConfig;
  readonly weights: () => readonly HostWeight[];
}

/** One model of every version, all f32. */
export const everyVersion: readonly Subject[] = tinyVersions.map((version) => ({
  name: `RWKV-${version}`,
  config: tinyModel(version).config,
  weights: () => tinyModel(version).weights,
}));

/** Wide enough for every block format. */
export const wideConfig: RwkvConfig = {
  version: '7',
  layers: 2,
  channels: 256,
  channelMixSize: 512,
  vocabularySize: 112,
  normEpsilon: 1e-5,
  embeddingNorm: 'separate',
  heads: 4,
  headSize: 64,
  headNormEpsilon: 64e-5,
  ranks: { decay: 32, rate: 32, valueResidual: 32, gate: 32 },
};

const made = new Map<string, readonly HostWeight[]>();

/** An RWKV-7 whose matrices are stored in the format. */
export function wideSubject(format: WeightFormat): Subject {
  const weights = () => {
    const found = made.get(format) ?? createRandomWeights(wideConfig, { seed: 3, format });
    made.set(format, found);
    return found;
  };
  return { name: `RWKV-7 ${format}`, config: wideConfig, weights };
}

/** Large enough that a step of 256 tokens takes a while; its numbers do not matter. */
export const heavyConfig: RwkvConfig = {
  ...wideConfig,
  layers: 4,
  channels: 512,
  channelMixSize: 2048,
  vocabularySize: 512,
  heads: 8,
};

/** Weights that cost next to nothing to make. */
export async function* cheapWeights(config: RwkvConfig): AsyncGenerator<HostWeight> {
  for (const { name, shape } of buildProgram(config).weights) {
    const count = shape.reduce((product, size) => product * size, 1);
    const values = new Float32Array(count);
    for (let index = 0; index < count; index++) values[index] = (((index * 7) % 13) - 6) / 300;
    yield { name, shape, format: 'f32', bytes: new Uint8Array(values.buffer) };
  }
}

export interface Opened extends AsyncDisposable {
  readonly states: States;
  readonly executable: CpuExecutable;
  readonly vocabularySize: number;
  run(batch: Batch): Promise<Rows>;
}

export const usualLimits: Limits = { tokens: 96, sequences: 6, wanted: 96 };

export interface OpenOptions {
  readonly slots?: number;
  readonly limits?: Limits;
  readonly weights?: AsyncIterable<HostWeight>;
}

export async function openSubject(
  backend: CpuBackend,
  { config, weights: own }: Pick<Subject, 'config'> & Partial<Subject>,
  { slots = 8, limits = usualLimits, weights: given }: OpenOptions = {},
): Promise<Opened> {
  const weights = await backend.upload(given ?? handOver(own?.() ?? []));
  return openOn(backend, { config, weights, slots, limits });
}

/** With weights that are there; they are disposed of with the rest. */
export async function openOn(
  backend: CpuBackend,
  options: { config: RwkvConfig; weights: Weights; slots: number; limits: Limits },
): Promise<Opened> {
  const { config, weights, slots, limits } = options;
  const program = buildProgram(config);
  const states = await backend.createStates(program.states, slots);
  const executable = await backend.compile(program, { weights, states }, limits);
  return {
    states,
    executable,
    vocabularySize: config.vocabularySize,
    run: (batch) => executable.run(batch),
    [Symbol.asyncDispose]: async () => {
      for (const handle of [executable, states, weights]) await handle[Symbol.asyncDispose]();
    },
  };
}

/** Tokens below `below`, the same on every run. */
export function tokensOf(
  count: number,
  { seed, below }: { seed: number; below: number },
): number[] {
  return Array.from(
    { length: count },
    (_, index) => (index * index * 31 + index * 17 + seed * 7) % below,
  );
}
