/** Segments as plans: what arrives is there, what departs is whole at the end, and all of it is in its own device's memory. */
import type { Program } from '@rwkv-ts/backend';
import { lower, opKinds, weightsOf } from '@rwkv-ts/program';
import { describe, expect, test } from 'vitest';
import { OpScope } from '../../../backend-kit/conformance/op-scope.js';
import { primitiveKinds } from '../../../backend-kit/conformance/session.js';
import { tinyModel, tinyVersions } from '../../../backend-kit/conformance/tiny-models.js';
import { addressesFor, everyBucket, plan, playOnArena, storedAs } from '../../test/planned.js';
import { launchesFor } from '../encode/plan.js';
import { segmentsOf } from './segments.js';

const limits = { tokens: 90, sequences: 5, wanted: 9 };

describe.each(tinyVersions)('RWKV-%s', (version) => {
  const { program } = tinyModel(version);

  test.each([
    ['coarse', opKinds],
    ['primitive', primitiveKinds],
  ] as const)('of %s ops, cut anywhere', (_, kinds) => {
    const own = lower(program, kinds);
    for (let at = 1; at < own.ops.length; at += kinds === opKinds ? 1 : 5) {
      const cut = own.ops.map((_op, index) => (index < at ? 0 : 1));
      const segments = segmentsOf(own, cut);
      const plans = segments.map((segment) => plan(own, { limits, segment }));
      expect(plans[0]!.exports.map(({ rows, width }) => [rows, width])).toEqual(
        plans[1]!.imports.map(({ rows, width }) => [rows, width]),
      );
      expect(plans.filter(({ output }) => output)).toHaveLength(1);
      for (const planned of plans)
        for (const bucket of everyBucket(limits).slice(0, 6)) playOnArena(planned, bucket);
    }
  });

  test('a launch names no weight and no state but those of its segment', () => {
    const middle = program.ops.length >> 1;
    const cut = program.ops.map((_, index) => (index < middle ? 0 : 1));
    for (const segment of segmentsOf(program, cut)) {
      const own = new Set(segment.ops.flatMap(weightsOf));
      const addresses = addressesFor(program, storedAs(program, 'f16'));
      const seen = new Set<string>();
      const planned = plan(program, { limits, segment });
      const launches = launchesFor(planned, limits, {
        candidates: false,
        addresses: {
          ...addresses,
          matrix: (name) => {
            seen.add(name);
            return addresses.matrix(name);
          },
        },
      });
      expect(launches.length).toBeGreaterThan(0);
      for (const { parameter } of planned.parameters.placed) seen.add(parameter.weight);
      expect([...seen].filter((name) => !own.has(name))).toEqual([]);
    }
  });
});

test('a slice that crosses is copied out of what it is a slice of', () => {
  const scope = new OpScope({ seed: 1 });
  const x = scope.input(12);
  const [part, doubled, out] = [scope.value(5), scope.value(5), scope.value(5, 'R')];
  scope.emit({ kind: 'slice', out: part, x, start: 3 });
  scope.emit({ kind: 'scale', out: doubled, x: part, factor: 2 });
  scope.emit({ kind: 'select-rows', out, x: doubled });
  const program: Program = scope.program(out);
  const at = program.ops.findIndex(({ kind }) => kind === 'scale');
  const cut = program.ops.map((_, index) => (index < at ? 0 : 1));
  const [first, second] = segmentsOf(program, cut).map((segment) =>
    plan(program, { limits, segment }),
  );
  expect(first!.nodes.map(({ name }) => name)).toContain('copy');
  expect(first!.exports).toMatchObject([{ rows: 'T', width: 5 }]);
  expect(second!.imports).toMatchObject([{ rows: 'T', width: 5 }]);
});
