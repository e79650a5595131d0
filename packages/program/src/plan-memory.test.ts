import type { Op, Program, Value } from '@rwkv-ts/backend';
import { buildProgram } from '@rwkv-ts/model';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { primitiveKinds, smallConfigs } from '../test/models.js';
import { readsOf, writesOf } from './access.js';
import { lower } from './lower.js';
import { type MemoryPlan, type MemoryPlanOptions, planMemory } from './plan-memory.js';

interface Lifetime {
  readonly value: Value;
  readonly from: number;
  readonly to: number;
}

/** First and last op of every value, by a search of its own. */
function lifetimes({ ops, output }: Program): Lifetime[] {
  return ops.flatMap((op, from) =>
    writesOf(op).map((value) => {
      const lastRead = ops.findLastIndex((other) =>
        readsOf(other).some((read) => read.id === value.id),
      );
      return { value, from, to: value.id === output.id ? ops.length : Math.max(from, lastRead) };
    }),
  );
}

interface Block {
  readonly offset: number;
  readonly end: number;
  readonly from: number;
  readonly to: number;
}

function blocksOf(program: Program, plan: MemoryPlan, options: MemoryPlanOptions): Block[] {
  const { limits, elementBytes = 4, scratchBytes } = options;
  const values = lifetimes(program).map(({ value, from, to }) => {
    const rows = value.rows === 'T' ? limits.tokens : limits.wanted;
    const offset = plan.offsets.get(value.id) ?? NaN;
    return { offset, end: offset + rows * value.width * elementBytes, from, to };
  });
  const scratch = program.ops.flatMap((op, index) => {
    const bytes = scratchBytes?.(op, index) ?? 0;
    if (bytes === 0) return [];
    const offset = plan.scratch.get(index) ?? NaN;
    return [{ offset, end: offset + bytes, from: index, to: index }];
  });
  return [...values, ...scratch];
}

function checkPlan(program: Program, options: MemoryPlanOptions): MemoryPlan {
  const plan = planMemory(program, options);
  const blocks = blocksOf(program, plan, options);
  for (const [index, a] of blocks.entries()) {
    expect(a.offset % (options.alignment ?? 256)).toBe(0);
    expect(a.end).toBeLessThanOrEqual(plan.bytes);
    for (const b of blocks.slice(0, index)) {
      const together = a.from <= b.to && b.from <= a.to;
      const overlap = a.offset < b.end && b.offset < a.end;
      if (together && overlap) expect.fail(`${JSON.stringify(a)} overlaps ${JSON.stringify(b)}`);
    }
  }
  return plan;
}

/** A random straight-line program; only what planMemory reads is meaningful. */
const anyProgram = fc
  .array(
    fc.record({
      width: fc.integer({ min: 1, max: 40 }),
      rows: fc.constantFrom<'T' | 'R'>('T', 'R'),
      reads: fc.array(fc.nat(), { maxLength: 3 }),
    }),
    { minLength: 1, maxLength: 30 },
  )
  .chain((nodes) => fc.tuple(fc.constant(nodes), fc.nat({ max: nodes.length - 1 })))
  .map(([nodes, last]): Program => {
    const values = nodes.map(({ width, rows }, id): Value => ({ id, rows, width }));
    const pick = (at: number, index: number): Value => values[at % Math.max(index, 1)]!;
    const ops = nodes.map(({ reads }, index): Op => {
      const out = values[index]!;
      const [x = index, y = x, by = x] = reads;
      return index === 0
        ? { kind: 'embed', out, table: 'e', by: 'input' }
        : { kind: 'lerp', out, x: pick(x, index), y: pick(y, index), by: pick(by, index) };
    });
    return { weights: [], states: [], ops, output: values[last]! };
  });

describe('planMemory', () => {
  it('never gives the same memory to two values alive together', () => {
    const anyOptions = fc.record({
      limits: fc.record({ tokens: fc.integer({ min: 1, max: 9 }), wanted: fc.nat({ max: 5 }) }),
      alignment: fc.constantFrom(1, 4, 16, 256),
      elementBytes: fc.constantFrom(2, 4, 8),
      scratchBytes: fc.constantFrom(
        () => 0,
        (_: Op, index: number) => (index % 3) * 20,
      ),
    });
    fc.assert(
      fc.property(anyProgram, anyOptions, (program, options) => {
        checkPlan(program, options);
      }),
      { numRuns: 300 },
    );
  });

  const limits = { tokens: 8, wanted: 2 };

  it.each(smallConfigs)('reuses memory in v$version', (config) => {
    const program = lower(buildProgram(config), primitiveKinds);
    const plan = checkPlan(program, { limits, alignment: 4 });
    const all = lifetimes(program).map(
      ({ value }) => (value.rows === 'T' ? limits.tokens : limits.wanted) * value.width * 4,
    );
    expect(plan.bytes).toBeLessThan(all.reduce((sum, bytes) => sum + bytes, 0) / 2);
  });

  it('does not grow with the number of layers', () => {
    const bytes = [3, 12].map((layers) => {
      const config = { ...smallConfigs[0]!, layers };
      return planMemory(lower(buildProgram(config), primitiveKinds), { limits }).bytes;
    });
    expect(bytes[1]).toBe(bytes[0]);
  });
});
