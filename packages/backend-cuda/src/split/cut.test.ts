/** Where programs are cut: by shares, in narrow places, and after what lies on the devices already. */
import type { Op, Program } from '@rwkv-ts/backend';
import { buildProgram, type RwkvConfig } from '@rwkv-ts/model';
import { lower, weightsOf } from '@rwkv-ts/program';
import { describe, expect, test } from 'vitest';
import { primitiveKinds } from '../../../backend-kit/conformance/session.js';
import { tinyModel, tinyVersions } from '../../../backend-kit/conformance/tiny-models.js';
import { type Cut, cutByHomes, cutByShares } from './cut.js';
import { liveValues, necksOf, widthOf } from './liveness.js';
import { segmentsOf } from './segments.js';

const goose: RwkvConfig = {
  version: '7',
  layers: 32,
  heads: 64,
  headSize: 64,
  channels: 4096,
  channelMixSize: 16384,
  vocabularySize: 65536,
  normEpsilon: 1e-5,
  embeddingNorm: 'separate',
  headNormEpsilon: 64e-5,
  ranks: { decay: 128, rate: 128, valueResidual: 96, gate: 480 },
};
const program = buildProgram(goose, { candidates: 8 });

/** Of a program's weights but its tables. */
function sizesOf({ weights }: Program): (op: Op) => number {
  const counts = new Map(
    weights.map(({ name, shape }) => [name, shape.reduce((count, size) => count * size, 1)]),
  );
  return (op) =>
    op.kind === 'embed' ? 0 : weightsOf(op).reduce((sum, name) => sum + counts.get(name)!, 0);
}

function heldBy({ ops }: Program, cut: Cut, bytesOf: (op: Op) => number): number[] {
  const held = Array.from({ length: Math.max(...cut) + 1 }, () => 0);
  for (const [at, device] of cut.entries()) held[device]! += bytesOf(ops[at]!);
  return held;
}

const boundaries = (cut: Cut): number[] =>
  cut.flatMap((device, at) => (at > 0 && device !== cut[at - 1] ? [at] : []));

describe('by shares', () => {
  test.each([[[1, 1]], [[3, 1]], [[1, 2, 5]], [Array.from({ length: 8 }, () => 7.5e10)]] as const)(
    '%j of a 7B model, to half a layer',
    (shares) => {
      const bytesOf = sizesOf(program);
      const held = heldBy(program, cutByShares(program, { shares, bytesOf }), bytesOf);
      const total = held.reduce((sum, bytes) => sum + bytes, 0);
      const whole = shares.reduce((sum: number, share) => sum + share, 0);
      expect(held).toHaveLength(shares.length);
      // Half a layer, and the head, which is about as large.
      for (const [device, bytes] of held.entries())
        expect(Math.abs(bytes / total - shares[device]! / whole)).toBeLessThan(1 / 50);
    },
  );

  test('what crosses is the residual and the first value', () => {
    const bytesOf = sizesOf(program);
    const cut = cutByShares(program, { shares: [1, 1, 1, 1], bytesOf });
    expect(boundaries(cut)).toHaveLength(3);
    const live = liveValues(program);
    for (const at of boundaries(cut)) expect(widthOf(live[at]!)).toBe(2 * 4096);
  });

  test.each(tinyVersions)('RWKV-%s: few values cross, also of primitives', (version) => {
    const { program: tiny, config } = tinyModel(version);
    for (const own of [tiny, lower(tiny, primitiveKinds)]) {
      const cut = cutByShares(own, { shares: [1, 1], bytesOf: sizesOf(own) });
      const live = liveValues(own);
      expect(boundaries(cut)).toHaveLength(1);
      for (const at of boundaries(cut))
        expect(widthOf(live[at]!)).toBeLessThanOrEqual(3 * config.channels);
    }
  });

  test('a device without a share gets nothing, and a model without weights one device', () => {
    const bytesOf = sizesOf(program);
    expect(new Set(cutByShares(program, { shares: [0, 1], bytesOf }))).toEqual(new Set([1]));
    expect(new Set(cutByShares(program, { shares: [1, 0, 1], bytesOf }))).toEqual(new Set([0, 2]));
    const none = cutByShares(program, { shares: [1, 1], bytesOf: () => 0 });
    expect(boundaries(none)).toEqual([]);
  });

  test('more devices than places', () => {
    const { ops } = program;
    const two = { ops: ops.slice(0, 2) };
    const cut = cutByShares(two, { shares: [1, 1, 1, 1], bytesOf: () => 5 });
    expect(cut).toHaveLength(2);
    expect(new Set(cut).size).toBe(2);
    expect(cutByShares({ ops: [] }, { shares: [1, 1], bytesOf: () => 1 })).toEqual([]);
  });
});

describe('by homes', () => {
  const bytesOf = sizesOf(program);
  const earlier = cutByShares(program, { shares: [2, 1, 1], bytesOf });
  const at = new Map(program.ops.map((op, index) => [op, earlier[index]!]));

  test('the same program goes the same way', () => {
    const costOf = (op: Op, device: number) => (at.get(op) === device ? 0 : bytesOf(op));
    const cut = cutByHomes(program, { devices: 3, costOf });
    expect(heldBy(program, cut, bytesOf)).toEqual(heldBy(program, earlier, bytesOf));
    expect(boundaries(cut)).toHaveLength(2);
  });

  test('a small weight elsewhere is brought, a large one is gone to', () => {
    const linears = program.ops.filter((op) => op.kind === 'linear');
    const strange = linears[5]!;
    for (const [bytes, devices] of [
      [1000, [0]],
      [1e9, [0, 1]],
    ] as const) {
      const costOf = (op: Op, device: number) =>
        device === (op === strange ? 1 : 0) ? 0 : op === strange ? bytes : 1e8;
      const cut = cutByHomes(program, { devices: 2, costOf });
      expect(new Set(cut)).toEqual(new Set(devices));
      expect(cut[program.ops.indexOf(strange)]).toBe(devices.at(-1));
    }
  });

  test('what a device cannot do it does not get', () => {
    const costOf = (op: Op, device: number) =>
      op.kind === 'time-mix7' && device === 0 ? Infinity : device * 1e12;
    const cut = cutByHomes(program, { devices: 2, costOf });
    for (const [index, op] of program.ops.entries())
      expect(cut[index]).toBe(op.kind === 'time-mix7' ? 1 : 0);
  });
});

test('necks are what is lower than both sides, at whole length', () => {
  expect(necksOf([0, 5, 3, 3, 4, 2, 2, 0])).toEqual([2, 3, 5, 6]);
  expect(necksOf([0, 9, 7, 9, 2, 9, 6, 9, 0])).toEqual([4, 6]);
  expect(necksOf([0, 0])).toEqual([]);
  expect(necksOf([0, 7, 0])).toEqual([1]);
  expect(necksOf([0, 1, 2, 3, 0])).toEqual([1]);
});

test('what a segment exports the next one imports, and what is needed later passes through', () => {
  const cut = cutByShares(program, { shares: [1, 1, 1], bytesOf: sizesOf(program) });
  const segments = segmentsOf(program, cut);
  expect(segments.map(({ device }) => device)).toEqual([0, 1, 2]);
  expect(segments.flatMap(({ ops }) => ops)).toEqual(program.ops);
  expect(segments[0]!.imports).toEqual([]);
  expect(segments[2]!.exports).toEqual([]);
  for (const at of [0, 1]) expect(segments[at]!.exports).toBe(segments[at + 1]!.imports);
  const first = segments[0]!.exports.map(({ id }) => id);
  const second = segments[1]!.exports.map(({ id }) => id);
  // The first value.
  expect(first.filter((id) => second.includes(id))).toHaveLength(1);
});
