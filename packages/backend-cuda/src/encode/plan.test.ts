/** Programs as launches: memory that is never shared too early, few launches, rows prepared where a product wants them. */
import type { Limits, Program, WeightFormat } from '@rwkv-ts/backend';
import { buildProgram, type RwkvConfig } from '@rwkv-ts/model';
import { lower, opKinds } from '@rwkv-ts/program';
import { describe, expect, test } from 'vitest';
import { OpScope } from '../../../backend-kit/conformance/op-scope.js';
import { primitiveKinds } from '../../../backend-kit/conformance/session.js';
import { tinyModel, tinyVersions } from '../../../backend-kit/conformance/tiny-models.js';
import { smallConfigs } from '../../../program/test/models.js';
import { tokenSizes } from '../buckets.js';
import { jobBlocks, linearVariants, scratchOf } from '../kernels/linear.js';
import { wkv7ScratchBytes } from '../kernels/wkv7-chunk.js';
import { encodeLaunches } from './arguments.js';
import type { Buffer, Launch } from './graph.js';
import {
  argumentsOf,
  buffersOf,
  everyBucket,
  launches,
  plan,
  type PlanParts,
  playOnArena,
  storedAs,
} from '../../test/planned.js';

const limits: Limits = { tokens: 300, sequences: 5, wanted: 9 };

describe.each(tinyVersions)('RWKV-%s', (version) => {
  const { program } = tinyModel(version);

  test.each([
    ['coarse', opKinds],
    ['primitive', primitiveKinds],
  ] as const)('of %s ops: what is alive together lies apart', (_, kinds) => {
    const lowered = lower(program, kinds);
    for (const tensorCores of ['all', 'none'] as const) {
      const planned = plan(lowered, { limits, tensorCores });
      for (const bucket of everyBucket(limits)) playOnArena(planned, bucket);
    }
  });

  test('launches have a kernel that exists, blocks, and arguments that fit its fields', () => {
    for (const [tokens, kinds] of [
      [1, opKinds],
      [5, primitiveKinds],
      [300, opKinds],
    ] as const) {
      const bucket = { tokens, wanted: 2, sequences: 1 };
      const all = launches(lower(program, kinds), { limits, bucket, candidates: true });
      expect(encodeLaunches(all).words).toHaveLength(8 * all.length);
      for (const launch of all) {
        expect(launch.index).toBeGreaterThanOrEqual(0);
        expect(Math.min(...launch.grid)).toBeGreaterThan(0);
        expect(launch.grid[1]).toBeLessThanOrEqual(65_535);
        expect(launch.jobs?.length ?? 0).toBeLessThanOrEqual(launch.kernel.jobs?.most ?? 0);
      }
    }
  });

  test('without wanted rows, nothing is launched for them', () => {
    const bucket = { tokens: 4, wanted: 0, sequences: 1 };
    const withRows = launches(program, { limits, bucket: { ...bucket, wanted: 1 } });
    const names = launches(program, { limits, bucket }).map(({ kernel }) => kernel.name);
    expect(names.length).toBeLessThan(withRows.length);
    expect(names).not.toContain('select_rows');
  });
});

test.each(smallConfigs.map((config) => [config.version, config] as const))(
  'RWKV-%s of odd sizes encodes',
  (_, config) => {
    playOnArena(plan(buildProgram(config), { limits }), limits);
  },
);

const goose: RwkvConfig = {
  version: '7',
  layers: 3,
  heads: 16,
  headSize: 64,
  channels: 1024,
  channelMixSize: 4096,
  vocabularySize: 65_536,
  normEpsilon: 1e-5,
  headNormEpsilon: 64e-5,
  embeddingNorm: 'separate',
  ranks: { decay: 64, rate: 64, valueResidual: 32, gate: 128 },
};

/** Names of kernels that a further layer of RWKV-7 adds. */
function layerKernels(parts: Omit<PlanParts, 'limits'> & { readonly tokens: number }): string[] {
  const namesOf = (layers: number) =>
    launches(buildProgram({ ...goose, layers }), {
      ...parts,
      limits,
      bucket: { tokens: parts.tokens, wanted: 1, sequences: 1 },
    }).map(({ kernel }) => kernel.name);
  const [fewer, more] = [namesOf(3), namesOf(4)];
  let same = 0;
  while (fewer[same] === more[same]) same++;
  return more.slice(same - (more.length - fewer.length), same);
}

test.each(['f32', 'f16', 'q8_0', 'q4_k'] as const)('a model of real widths in %s', (format) => {
  const planned = plan(buildProgram(goose), { limits, format });
  for (const tokens of tokenSizes(limits.tokens)) {
    playOnArena(planned, { tokens, wanted: 1, sequences: 1 });
  }
});

describe('a recurrence', () => {
  const own: Limits = { tokens: 1024, sequences: 8, wanted: 1 };
  const namesAt = (config: RwkvConfig, tokens: number, sequences: number): string[] => {
    const bucket = { tokens, sequences, wanted: 1 };
    const all = launches(buildProgram({ ...config, layers: 1 }), { limits: own, bucket });
    encodeLaunches(all);
    return all.map(({ kernel }) => kernel.name).filter((name) => name.startsWith('wkv'));
  };
  const inChunks = ['wkv7_chunks', 'wkv7_carry', 'wkv7_finish'];

  test('goes from token to token where sequences are short, or heads many', () => {
    expect(namesAt(goose, 1, 1)).toEqual(['wkv7_64']);
    expect(namesAt(goose, 48, 1)).toEqual(['wkv7_64']);
    expect(namesAt(goose, 1024, 8)).toEqual(['wkv7_64']);
    expect(namesAt({ ...goose, heads: 64, channels: 4096 }, 1024, 1)).toEqual(['wkv7_64']);
    expect(namesAt({ ...goose, heads: 32, headSize: 32 }, 1024, 1)).toEqual(['wkv7_32']);
  });

  test('goes in chunks where a few may be long; the short ones of the step are left to the other', () => {
    expect(namesAt(goose, 64, 1)).toEqual([...inChunks, 'wkv7_64']);
    expect(namesAt(goose, 192, 2)).toEqual([...inChunks, 'wkv7_64']);
    expect(namesAt(goose, 96, 8)).toEqual([...inChunks, 'wkv7_64']);
    expect(namesAt(goose, 96, 1)).toEqual(inChunks);
    const six: RwkvConfig = { ...goose, version: '6', ranks: { mix: 32, decay: 64 } };
    expect(namesAt(six, 64, 1)).toEqual(['wkv6_64']);
    expect(namesAt(six, 96, 1)).toEqual(['wkv6_chunks', 'wkv6_carry', 'wkv6_finish', 'wkv6_64']);
    expect(namesAt(six, 192, 1)).toEqual(['wkv6_chunks', 'wkv6_carry', 'wkv6_finish']);
  });

  test('leaves no sequence to nobody, and none to both', () => {
    const bucket = { tokens: 64, sequences: 1, wanted: 1 };
    const program = buildProgram({ ...goose, layers: 1 });
    const all = launches(program, { limits: own, bucket }).filter(({ kernel }) =>
      kernel.name.startsWith('wkv'),
    );
    expect(all.map(({ values }) => values['longest'])).toEqual([63, 63, 63, 63]);
    expect(new Set(all.map(({ values }) => values['scratch'])).size).toBe(1);
    const [alone] = launches(program, { limits: own, bucket: { ...bucket, tokens: 1 } }).filter(
      ({ kernel }) => kernel.name.startsWith('wkv'),
    );
    expect(alone!.values['longest']).toBe(0xffffffff);
    const planned = plan(program, { limits: own });
    for (const tokens of tokenSizes(own.tokens)) playOnArena(planned, { ...bucket, tokens });
    const written = planned.nodes.find(({ name }) => name === 'wkv7_64')!.writes;
    const room = written.find(({ kind }) => kind === 'scratch') as { readonly bytes: number };
    expect(room.bytes).toBe(wkv7ScratchBytes({ tokens: own.tokens, heads: 16 }));
  });
});

const countPrepares = (names: readonly string[]) =>
  names.filter((name) => name.startsWith('prepare_')).length;

describe('a layer of RWKV-7', () => {
  test('takes 8 launches for a token with plain weights', () => {
    const names = layerKernels({ tokens: 1 });
    expect(names).toHaveLength(8);
    expect(names.filter((name) => name.startsWith('linear_'))).toHaveLength(5);
    expect(names.filter((name) => name === 'shift_mix')).toHaveLength(2);
    expect(names).toContain('wkv7_64');
  });

  test('takes one more for each product whose rows are prepared', () => {
    expect(countPrepares(layerKernels({ tokens: 4 }))).toBe(0);
    const many = layerKernels({ tokens: 5 });
    expect(many).toHaveLength(13);
    expect(countPrepares(many)).toBe(5);
    const blocks = layerKernels({ tokens: 1, format: 'q8_0' });
    expect(blocks).toHaveLength(13);
    expect(blocks.filter((name) => name === 'prepare_bytes')).toHaveLength(5);
    expect(countPrepares(layerKernels({ tokens: 64, tensorCores: 'none' }))).toBe(0);
  });
});

describe('prepared rows', () => {
  const program = buildProgram(goose);
  const isLowRank = (name: string) => /att\.[wavg][12]\./.test(name);
  const mixed = (name: string): WeightFormat => (isLowRank(name) ? 'f16' : 'q8_0');
  const preparesOf = (tokens: number, parts: Omit<PlanParts, 'limits'>): Launch[] =>
    plan(program, { ...parts, limits })
      .nodes.flatMap((node) => node.launches({ tokens, wanted: 1, sequences: 1 }))
      .filter(({ kernel, rows }) => kernel.name.startsWith('prepare_') && rows === 'T');

  test('are made once for each view and form, for the products of the bucket that read them', () => {
    // The first layer has no value residual; its time mix comes first.
    const [few] = preparesOf(1, { format: mixed });
    expect(few!.kernel.name).toBe('prepare_bytes');
    expect(few!.jobs).toHaveLength(3);
    const [many] = preparesOf(8, { format: mixed });
    expect(many!.kernel.name).toBe('prepare_f16');
    expect(many!.jobs).toHaveLength(6);
  });

  test('are all read in their bucket, and none is read that is not made', () => {
    for (const tokens of [1, 4, 8, 64, 300]) {
      const bucket = { tokens, wanted: 1, sequences: 1 };
      const made = new Set<Buffer>();
      const read = new Set<Buffer>();
      for (const node of plan(program, { format: mixed, limits }).nodes) {
        const prepared = node
          .launches(bucket)
          .flatMap(buffersOf)
          .filter(({ kind }) => kind === 'prepared');
        for (const buffer of prepared) (node.name === 'linear' ? read : made).add(buffer);
      }
      expect(made.size).toBeGreaterThan(0);
      expect(read).toEqual(made);
    }
  });
});

describe('products of one launch', () => {
  const program = buildProgram(goose);
  const stored = storedAs(program, 'f16');
  const linear = plan(program, { limits }).nodes.filter(({ name }) => name === 'linear');

  test('have blocks one after the other, and scratch of their own', () => {
    const { counterBytes } = plan(program, { limits });
    let [scratched, largestCounters] = [0, 0];
    for (const tokens of tokenSizes(limits.tokens)) {
      for (const node of linear) {
        const [launch] = node.launches({ tokens, wanted: 9, sequences: 1 });
        const { format, layout } = stored(nameOf(launch!.jobs![0]!['matrix']));
        const variants = linearVariants({ format, layout, features: { tensorCores: 'all' } });
        const rows = launch!.rows === 'T' ? tokens : 9;
        const variant = variants.find(({ mostRows }) => rows <= mostRows)!;
        expect(launch!.kernel.name).toBe(variant.kernel.name);
        let [block, partials, counters] = [0, 0, 0];
        for (const job of launch!.jobs!) {
          const matrix = stored(nameOf(job['matrix']));
          const { partialBytes, counterBytes: own } = scratchOf(variant, matrix, rows);
          expect(job['first_block']).toBe(block);
          block += jobBlocks(variant, matrix);
          if (partialBytes === 0) {
            expect([job['partials'], job['counters']]).toEqual([undefined, undefined]);
            continue;
          }
          scratched++;
          const room = job['partials'] as { scratch: { bytes: number }; offset: number };
          const count = job['counters'] as { counters: number };
          expect(room.offset % 16).toBe(0);
          expect(room.offset).toBeGreaterThanOrEqual(partials);
          expect(count.counters).toBeGreaterThanOrEqual(counters);
          partials = room.offset + partialBytes;
          counters = count.counters + own;
          expect(partials).toBeLessThanOrEqual(room.scratch.bytes);
          largestCounters = Math.max(largestCounters, counters);
        }
        expect(launch!.parts).toBe(block);
      }
    }
    expect(scratched).toBeGreaterThan(0);
    expect(counterBytes).toBe(largestCounters);
  });

  test('are at most eight, of one format and layout', () => {
    const scope = new OpScope({ seed: 1 });
    const x = scope.input(16);
    const outs = Array.from({ length: 11 }, (_, index) => {
      const out = scope.value(8 + index);
      scope.emit({ kind: 'matmul', out, x, weight: scope.matrix(8 + index, 16) });
      return out;
    });
    const own = scope.program(outs[0]!);
    const names = own.weights.map(({ name }) => name);
    const format = (name: string): WeightFormat => (names.indexOf(name) % 11 === 3 ? 'f32' : 'f16');
    const counts = plan(own, { limits, format }).nodes.flatMap((node) =>
      node.name === 'linear' ? [node.launches(limits)[0]!.jobs!.length] : [],
    );
    expect(counts.toSorted((a, b) => a - b)).toEqual([1, 2, 8]);
  });
});

const nameOf = (argument: Launch['values'][string]): string =>
  (argument as { readonly matrix: string }).matrix;

describe('what run gives out', () => {
  test('is an answer in the arena, candidates only where a step asks for them', () => {
    const scope = new OpScope({ seed: 3 });
    const x = scope.wantedInput(5000);
    const [output, candidates] = [scope.value(5000, 'R'), scope.value(2 * 100 + 1, 'R')];
    scope.emit({ kind: 'scale', out: output, x, factor: 2 });
    scope.emit({ kind: 'top-k', out: candidates, x: output, count: 100 });
    const program: Program = { ...scope.program(output), candidates };
    const planned = plan(program, { limits });
    expect(planned.output!.width).toBe(5000);
    expect(planned.candidates!.width).toBe(201);
    expect(planned.candidates!.offset).not.toBe(planned.output!.offset);
    const bucket = { tokens: 2, wanted: 2, sequences: 1 };
    const names = (wanted: boolean) =>
      launches(program, { limits, bucket, candidates: wanted }).map(({ kernel }) => kernel.name);
    expect(names(false)).not.toContain('top_k');
    expect(names(true).slice(names(false).length)).toEqual(['top_k', 'top_k_merge']);
    playOnArena(planned, bucket);
  });

  test('as a slice is copied', () => {
    const scope = new OpScope({ seed: 4 });
    const x = scope.wantedInput(24);
    const out = scope.value(7, 'R');
    scope.emit({ kind: 'slice', out, x, start: 5 });
    const { nodes } = plan(scope.program(out), { limits });
    const copy = nodes.at(-1)!;
    expect(copy.name).toBe('copy');
    const [launch] = copy.launches(limits);
    expect(argumentsOf(launch!)[0]).toMatchObject({ view: { column: 5 } });
  });
});

test('memory is reused: a deeper model takes no more, larger limits do', () => {
  const sizes = [3, 8].map((layers) => {
    return plan(buildProgram({ ...goose, layers }), { limits }).arena.size;
  });
  expect(sizes[1]).toBe(sizes[0]);
  const larger = plan(buildProgram(goose), { limits: { ...limits, tokens: 600 } });
  expect(larger.arena.size).toBeGreaterThan(1.8 * sizes[0]!);
});
