/** That nothing of a level waits for anything else of it, by a check of its own. */
import { buildProgram } from '@rwkv-ts/model';
import { lower } from '@rwkv-ts/program';
import { describe, expect, it } from 'vitest';
import { smallConfigs } from '../../../program/test/models.js';
import { draftsOf } from './encode-training.js';
import { trainingKinds } from './forward.js';
import type { Draft } from './graph.js';
import { levelsOf } from './levels.js';

const limits = { tokens: 16, sequences: 2, wanted: 16, slots: 2 };

const drafts = (config: (typeof smallConfigs)[number]): readonly Draft[] => {
  const program = lower(buildProgram(config), new Set(trainingKinds));
  const trainable = [
    ...program.weights.map(({ name }) => ({ kind: 'weight', name }) as const),
    ...program.states.map(({ name }) => ({ kind: 'initial-state', name }) as const),
  ];
  return draftsOf(program, { trainable, limits });
};

const shares = (one: Draft, other: Draft) =>
  one.writes.filter((each) => other.writes.includes(each) || other.reads.includes(each));

/** Whether tasks that take blocks of rows through both, in this order, do what one after the other does. */
const inOneChain = (one: Draft, other: Draft): boolean =>
  [one, other].every(({ units }) => units === 'row-blocks') && one.wanted === other.wanted;

describe.each(smallConfigs)('v$version', (config) => {
  const all = drafts(config);
  const levels = levelsOf(all);

  it('holds every draft once, parts one after the other', () => {
    expect(levels.flatMap((level) => level.drafts).length).toBe(all.length);
    expect(new Set(levels.flatMap((level) => level.drafts))).toEqual(new Set(all));
    const parts = levels.map(({ part }) => part);
    expect(parts.join()).toMatch(/^(forward,)+loss(,backward)+$/);
  });

  it('keeps the order of those that touch the same', () => {
    const level = new Map(levels.flatMap((each, at) => each.drafts.map((draft) => [draft, at])));
    for (const [index, later] of all.entries()) {
      for (const earlier of all.slice(0, index)) {
        const shared = new Set([...shares(earlier, later), ...shares(later, earlier)]);
        if (shared.size === 0) continue;
        const [from, to] = [level.get(earlier)!, level.get(later)!];
        expect(from).toBeLessThanOrEqual(to);
        if (from < to) continue;
        expect(inOneChain(earlier, later)).toBe(true);
        for (const each of shared) {
          expect(earlier.crossing.has(each) || later.crossing.has(each)).toBe(false);
        }
      }
    }
  });
});
