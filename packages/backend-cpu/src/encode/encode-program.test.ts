/** Programs as native operations: memory that is never shared too early, slices without copies, prepare7 fused or not. */
import type { Limits, Op, Program, Value } from '@rwkv-ts/backend';
import { buildProgram } from '@rwkv-ts/model';
import { lower, opKinds, validateProgram } from '@rwkv-ts/program';
import { createReferenceBackend } from '@rwkv-ts/reference';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { batchOf } from '../../../backend-kit/conformance/batches.js';
import { OpScope } from '../../../backend-kit/conformance/op-scope.js';
import { open, primitiveKinds } from '../../../backend-kit/conformance/session.js';
import { tinyModel, tinyVersions } from '../../../backend-kit/conformance/tiny-models.js';
import { createCpuBackend } from '../create-cpu-backend.js';
import { operationNames } from '../native.js';
import { encodeProgram, placeActivations, scheduledNodes } from './encode-program.js';
import type { Buffer } from './graph.js';
import type { Scheduled } from './schedule.js';

const rowsOf = (buffer: Buffer, { tokens, wanted, sequences }: Limits) =>
  ({ T: tokens, R: wanted, S: sequences })[buffer.rows];

/**
 * Plays the nodes on an arena whose every number knows the buffer that it belongs to. Within a phase everything is
 * written before and after everything is read, since threads take its nodes in any order.
 */
function playOnArena(nodes: readonly Scheduled[], limits: Limits): void {
  const { offsets, size: floats } = placeActivations(nodes, limits);
  const owners = new Array<Buffer | undefined>(floats).fill(undefined);
  const check = (buffer: Buffer, phase: number) => {
    const start = offsets.get(buffer)!;
    for (let at = start; at < start + rowsOf(buffer, limits) * buffer.width; at++) {
      if (owners[at] !== buffer) expect.fail(`number ${at} is another's in phase ${phase}`);
    }
  };
  const last = nodes.at(-1)?.phase ?? -1;
  for (let phase = 0; phase <= last; phase++) {
    const own = nodes.filter((each) => each.phase === phase).map(({ node }) => node);
    const inArena = (buffers: readonly Buffer[]) =>
      buffers.filter(({ place }) => place === 'arena');
    const reads = inArena(own.flatMap((node) => node.reads));
    const writes = inArena(own.flatMap((node) => node.writes));
    for (const read of reads) check(read, phase);
    for (const write of writes) {
      const start = offsets.get(write)!;
      expect(start % 16).toBe(0);
      const end = start + rowsOf(write, limits) * write.width;
      expect(end).toBeLessThanOrEqual(floats);
      owners.fill(write, start, end);
    }
    for (const buffer of [...reads, ...writes]) check(buffer, phase);
  }
}

const someLimits: readonly Limits[] = [
  { tokens: 1, sequences: 1, wanted: 1 },
  { tokens: 3, sequences: 2, wanted: 1 },
  { tokens: 5, sequences: 3, wanted: 5 },
  { tokens: 2, sequences: 2, wanted: 0 },
];

describe('memory', () => {
  test.each(tinyVersions)('of RWKV-%s is never shared by what is alive together', (version) => {
    const { program } = tinyModel(version);
    for (const kinds of [opKinds, primitiveKinds]) {
      const nodes = scheduledNodes(lower(program, kinds));
      for (const limits of someLimits) playOnArena(nodes, limits);
    }
  });

  test('of other layers, heads and ranks too', () => {
    const size = fc.integer({ min: 1, max: 9 });
    const configs = fc.record({ layers: size, heads: size, rank: size, channelMixSize: size });
    fc.assert(
      fc.property(configs, ({ layers, heads, rank, channelMixSize }) => {
        const config = {
          version: '7' as const,
          layers,
          heads,
          headSize: 4,
          channels: 4 * heads,
          channelMixSize,
          vocabularySize: 7,
          normEpsilon: 1e-5,
          headNormEpsilon: 64e-5,
          embeddingNorm: 'separate' as const,
          ranks: { decay: rank, rate: 1, valueResidual: rank, gate: 2 },
        };
        playOnArena(scheduledNodes(buildProgram(config)), { tokens: 2, sequences: 1, wanted: 1 });
      }),
      { numRuns: 40, seed: 5 },
    );
  });

  test('is reused: a deeper model takes no more', () => {
    const floats = [2, 8].map((layers) => {
      const config = { ...tinyModel('6').config, layers };
      const nodes = scheduledNodes(buildProgram(config));
      return placeActivations(nodes, { tokens: 4, sequences: 1, wanted: 1 }).size;
    });
    expect(floats[1]).toBe(floats[0]);
  });

  test('of random programs', () => {
    const choices = fc.array(fc.tuple(fc.nat(), fc.nat(), fc.nat()), {
      minLength: 1,
      maxLength: 60,
    });
    fc.assert(
      fc.property(choices, (numbers) => {
        const program = randomProgram(numbers);
        validateProgram(program);
        const nodes = scheduledNodes(program);
        for (const limits of someLimits) playOnArena(nodes, limits);
      }),
      { numRuns: 150, seed: 7 },
    );
  });
});

/** Ops chosen by three numbers each, of values of any earlier ones. */
function randomProgram(choices: readonly (readonly [number, number, number])[]): Program {
  const scope = new OpScope({ seed: 1 });
  const values: Value[] = [scope.input(12), scope.input(8)];
  for (const [kind, first, second] of choices) {
    const x = values[first % values.length]!;
    const same = values.filter(({ width, rows }) => width === x.width && rows === x.rows);
    const y = same[second % same.length]!;
    const out = scope.value(x.width, x.rows);
    const makers: readonly (() => Value)[] = [
      () => (scope.emit({ kind: 'add', out, x, y }), out),
      () => (scope.emit({ kind: 'mul', out, x, y }), out),
      () => (scope.emit({ kind: 'scale', out, x, factor: 0.5 }), out),
      () => (scope.emit({ kind: 'lerp', out, x, y, by: x }), out),
      () => {
        const start = second % x.width;
        const part = scope.value(1 + (first % (x.width - start)), x.rows);
        scope.emit({ kind: 'slice', out: part, x, start });
        return part;
      },
      () => {
        if (x.rows === 'R') return x;
        scope.emit({ kind: 'shift', out, x, state: scope.state([x.width]) });
        return out;
      },
      () => {
        const wide = scope.value(1 + (second % 20), x.rows);
        scope.emit({ kind: 'matmul', out: wide, x, weight: scope.matrix(wide.width, x.width) });
        return wide;
      },
      () => {
        if (x.rows === 'R') return x;
        const wanted = scope.value(x.width, 'R');
        scope.emit({ kind: 'select-rows', out: wanted, x });
        return wanted;
      },
    ];
    values.push(makers[kind % makers.length]!());
  }
  return scope.program(values.at(-1)!);
}

describe('a slice', () => {
  const scope = new OpScope({ seed: 2 });
  const x = scope.input(24);
  const [part, inner, sum] = [scope.value(10), scope.value(4), scope.value(4)];
  scope.emit({ kind: 'slice', out: part, x, start: 6 });
  scope.emit({ kind: 'slice', out: inner, x: part, start: 3 });
  scope.emit({ kind: 'add', out: sum, x: inner, y: inner });

  test('is a view: no operation, columns added up', () => {
    const nodes = scheduledNodes(scope.program(sum)).map(({ node }) => node);
    expect(nodes.map(({ operation }) => operation)).toEqual(['embed', 'add', 'select-rows']);
    const [embed, add] = nodes;
    expect(add?.fields[1]).toEqual({ view: { buffer: embed!.writes[0], column: 9 } });
    expect((add!.fields[1] as { view: { buffer: Buffer } }).view.buffer).toBe(embed!.writes[0]);
  });

  test('that is the output is copied', () => {
    const own = new OpScope({ seed: 2 });
    const wanted = own.wantedInput(24);
    const out = own.value(7, 'R');
    own.emit({ kind: 'slice', out, x: wanted, start: 5 });
    const nodes = scheduledNodes(own.program(out)).map(({ node }) => node);
    expect(nodes.map(({ operation }) => operation)).toEqual(['embed', 'select-rows', 'copy']);
    expect(nodes[2]!.writes[0]!.place).toBe('output');
  });
});

/** Runs on the backend, and on the reference. */
async function expectAsReference(scope: OpScope, out: Value): Promise<void> {
  const options = { program: scope.program(out), weights: scope.hostWeights };
  const batch = batchOf(
    [
      { slot: 1, tokens: [3, 1, 4, 1, 5] },
      { slot: 0, tokens: [9] },
    ],
    [1, 4, 5],
  );
  await using cpu = createCpuBackend({ threads: 2 });
  await using reference = createReferenceBackend({ precision: 'f64' });
  const [got, want] = await Promise.all(
    [cpu, reference].map(async (backend) => (await open(backend, options)).run(batch)),
  );
  expect(got!.length).toBe(want!.length);
  for (const [index, value] of want!.entries()) expect(got![index]).toBeCloseTo(value, 4);
}

describe('the output', () => {
  test('is read by later ops from the output rows', async () => {
    const scope = new OpScope({ seed: 4 });
    const x = scope.wantedInput(20);
    const [out, part, doubled] = [scope.value(20, 'R'), scope.value(6, 'R'), scope.value(6, 'R')];
    scope.emit({ kind: 'scale', out, x, factor: 3 });
    scope.emit({ kind: 'slice', out: part, x: out, start: 2 });
    scope.emit({ kind: 'add', out: doubled, x: part, y: part });
    const program = scope.program(out);
    const { words } = encodeProgram(program, someLimits[2]!, {
      weight: () => ({ index: 0, count: 61 * 20 }),
      state: () => 0,
    });
    // The last operation: code, phase, rows; width, then base, offset and stride of x, out and y.
    const add = [...words].slice(-13);
    expect(add.slice(0, 7)).toEqual([operationNames.indexOf('add'), 3, 1, 6, 2, 2, 20]);
    await expectAsReference(scope, out);
  });

  test('may be a slice of what others read', async () => {
    const scope = new OpScope({ seed: 5 });
    const x = scope.wantedInput(20);
    const [first, out] = [scope.value(20, 'R'), scope.value(9, 'R')];
    scope.emit({ kind: 'add', out: first, x, y: x });
    scope.emit({ kind: 'slice', out, x: first, start: 11 });
    await expectAsReference(scope, out);
  });
});

describe('prepare7', () => {
  const { program, weights } = tinyModel('7');
  const kindsOf = (given: Program) => scheduledNodes(given).map(({ node }) => node.operation);
  const second = program.ops.filter((op) => op.kind === 'prepare7')[1]!;
  /** Another reader of the key, right before the recurrence that reads it. */
  const at = program.ops.findIndex(
    ({ kind }, index) => kind === 'time-mix7' && index > program.ops.indexOf(second),
  );
  const x = second.key;
  const id = 1 + Math.max(...program.ops.flatMap((op) => idsOf(op)));
  const reader: Op = { kind: 'scale', out: { ...x, id }, x, factor: 2 };
  const changed: Program = { ...program, ops: program.ops.toSpliced(at, 0, reader) };

  test('is done by the recurrence that alone reads its results', () => {
    expect(kindsOf(program)).not.toContain('prepare7');
    expect(kindsOf(changed).filter((kind) => kind === 'prepare7')).toHaveLength(1);
  });

  test('gives the same numbers either way', async () => {
    await using backend = createCpuBackend({ threads: 2 });
    const batch = batchOf([{ slot: 0, tokens: [3, 1, 4, 1, 5, 9, 2, 6] }]);
    const [fused, apart] = await Promise.all(
      [program, changed].map(async (each) => {
        const session = await open(backend, { program: each, weights });
        return session.run(batch);
      }),
    );
    for (const [index, value] of fused!.entries()) expect(apart![index]).toBeCloseTo(value, 4);
  });
});

/** Ids of every value that an op mentions. */
function idsOf(op: Op): number[] {
  return [...JSON.stringify(op).matchAll(/"id":(\d+)/g)].map(([, id]) => Number(id));
}
