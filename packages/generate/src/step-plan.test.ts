import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Planned, type WantedRows, planStep } from './step-plan.js';

interface Fake extends Planned {
  remaining: number;
  readonly rows: WantedRows;
  readonly paused: boolean;
  take: number;
}

const sequence = fc.record({
  remaining: fc.oneof(fc.constant(1), fc.nat(40)),
  rows: fc.constantFrom<WantedRows[]>('none', 'last', 'all'),
  paused: fc.oneof({ weight: 4, arbitrary: fc.constant(false) }, fc.constant(true)),
  take: fc.constant(-1),
});
const limits = fc.record({
  tokens: fc.integer({ min: 1, max: 24 }),
  sequences: fc.integer({ min: 1, max: 6 }),
  wanted: fc.integer({ min: 1, max: 6 }),
});
const sequences = fc.array(sequence, { maxLength: 8 });
const prefillTokens = fc.integer({ min: 1, max: 16 });

function rowsOf({ rows, take, remaining }: Fake): number {
  return rows === 'all' ? take : rows === 'last' && take === remaining ? Number(take > 0) : 0;
}

describe('planStep', () => {
  it('keeps every limit, and moves as long as anybody is ready', () => {
    fc.assert(
      fc.property(sequences, limits, prefillTokens, (all: Fake[], bounds, prefill) => {
        planStep(all, { limits: bounds, prefillTokens: prefill });
        const sum = (of: (each: Fake) => number): number =>
          all.reduce((total, each) => total + of(each), 0);
        expect(sum(({ take }) => take)).toBeLessThanOrEqual(bounds.tokens);
        expect(sum(({ take }) => Number(take > 0))).toBeLessThanOrEqual(bounds.sequences);
        expect(sum(rowsOf)).toBeLessThanOrEqual(bounds.wanted);
        for (const { take, remaining, paused } of all) {
          expect(take).toBeGreaterThanOrEqual(0);
          expect(take).toBeLessThanOrEqual(paused ? 0 : remaining);
        }
        const first = all.find(({ paused, remaining }) => !paused && remaining > 0);
        if (first !== undefined) expect(first.take).toBeGreaterThan(0);
      }),
      { numRuns: 3000 },
    );
  });

  it('serves everybody who decodes where the limits have room, and bounds what prompts add', () => {
    fc.assert(
      fc.property(
        sequences,
        prefillTokens,
        fc.nat(3),
        fc.nat(30),
        (all: Fake[], prefill, spare, more) => {
          const ready = all.filter(({ paused, remaining }) => !paused && remaining > 0);
          const decoding = ready.filter(({ remaining }) => remaining === 1);
          const bound = decoding.length + 1 + spare;
          planStep(all, {
            limits: { tokens: bound + more, sequences: 8, wanted: bound },
            prefillTokens: prefill,
          });
          expect(decoding.every(({ take }) => take === 1)).toBe(true);
          if (decoding.length === 0) return;
          const prompts = ready.reduce(
            (sum, { take, remaining }) => sum + (remaining > 1 ? take : 0),
            0,
          );
          expect(prompts).toBeLessThanOrEqual(prefill);
        },
      ),
      { numRuns: 2000 },
    );
  });

  it('finishes everybody under any limits, when the first goes last after each step', () => {
    fc.assert(
      fc.property(sequences, limits, prefillTokens, (given: Fake[], bounds, prefill) => {
        let all = given.filter(({ paused, remaining }) => !paused && remaining > 0);
        // Each goes on decoding when its prompt is read, so there is always somebody to starve the others.
        const left = new Map(all.map((each) => [each, each.remaining + 3]));
        const bound = all.length * ([...left.values()].reduce((sum, value) => sum + value, 0) + 1);
        for (let step = 0; left.size > 0; step++) {
          expect(step).toBeLessThanOrEqual(bound);
          planStep(all, { limits: bounds, prefillTokens: prefill });
          for (const each of all) {
            each.remaining -= each.take;
            if (each.remaining === 0) each.remaining = 1;
            const rest = (left.get(each) ?? 0) - each.take;
            if (rest > 0) left.set(each, rest);
            else left.delete(each);
          }
          all = [...all.slice(1), ...all.slice(0, 1)];
        }
      }),
      { numRuns: 500 },
    );
  });

  it('shares the prefill budget', () => {
    const prompts = Array.from({ length: 4 }, (): Fake => ({
      remaining: 100,
      rows: 'last',
      paused: false,
      take: 0,
    }));
    planStep(prompts, { limits: { tokens: 64, sequences: 8, wanted: 8 }, prefillTokens: 8 });
    expect(prompts.map(({ take }) => take)).toEqual([16, 16, 16, 16]);
    prompts.push({ remaining: 1, rows: 'last', paused: false, take: 0 });
    planStep(prompts, { limits: { tokens: 64, sequences: 8, wanted: 8 }, prefillTokens: 8 });
    expect(prompts.map(({ take }) => take)).toEqual([2, 2, 2, 2, 1]);
  });
});
