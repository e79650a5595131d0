import { describe, expect, test } from 'vitest';
import { tinyModel, tinyVersions } from '../../../backend-kit/conformance/tiny-models.js';
import { scheduledNodes } from './encode-program.js';
import type { Buffer, Field, Node } from './graph.js';
import { type Scheduled, schedule } from './schedule.js';

const buffer = (): Buffer => ({ rows: 'T', width: 1, place: 'arena' });
const node = (reads: Buffer[], writes: Buffer[]): Node => ({
  operation: 'copy',
  rows: 'T',
  fields: [],
  reads,
  writes,
});
const stateOf = ({ fields }: Node) =>
  fields.find((field): field is Extract<Field, { state: string }> => {
    return typeof field === 'object' && 'state' in field;
  })?.state;
const matrixOf = ({ fields }: Node) =>
  fields.find((field): field is Extract<Field, { matrix: string }> => {
    return typeof field === 'object' && 'matrix' in field;
  })?.matrix;

test('what is independent shares a phase, what is read is written a phase earlier', () => {
  const [a, b, c, d] = [buffer(), buffer(), buffer(), buffer()];
  const nodes = [node([], [a]), node([a], [b]), node([], [c]), node([a, c], [d]), node([b, d], [])];
  const phases = new Map(schedule(nodes).map((each) => [each.node, each.phase]));
  expect(nodes.map((each) => phases.get(each))).toEqual([0, 1, 0, 1, 2]);
});

test('the order is that of phases, and of the program within one', () => {
  const [a, b] = [buffer(), buffer()];
  const nodes = [node([], [a]), node([a], []), node([], [b]), node([b], []), node([], [])];
  const order = schedule(nodes).map((each) => nodes.indexOf(each.node));
  expect(order).toEqual([0, 2, 4, 1, 3]);
});

describe.each(tinyVersions)('RWKV-%s', (version) => {
  const nodes = scheduledNodes(tinyModel(version).program);
  const find = (wanted: (node: Node) => boolean): Scheduled[] =>
    nodes.filter((each) => wanted(each.node));

  test('a shift’s state is overwritten in a later phase than every reading of it', () => {
    const commits = find(({ operation }) => operation === 'commit-shift');
    expect(commits.length).toBe(4);
    for (const commit of commits) {
      const shifts = find(
        (each) => each.operation === 'shift-mix' && stateOf(each) === stateOf(commit.node),
      );
      expect(shifts).toHaveLength(1);
      expect(commit.phase).toBeGreaterThan(shifts[0]!.phase);
      // At once, as nothing else waits for it.
      expect(commit.phase).toBe(shifts[0]!.phase + 1);
    }
  });

  test('the products of a time mix share a phase', () => {
    const phaseOf = (name: string) =>
      find((each) => matrixOf(each) === `blocks.1.att.${name}.weight`).map(({ phase }) => phase);
    const [receptance, key, value] = ['receptance', 'key', 'value'].map(phaseOf);
    expect(receptance).toHaveLength(1);
    expect(key).toEqual(receptance);
    expect(value).toEqual(receptance);
  });

  test('no phase could come earlier', () => {
    const writers = new Map(nodes.flatMap((each) => each.node.writes.map((own) => [own, each])));
    for (const { node: each, phase } of nodes) {
      const before = each.reads.map((read) => writers.get(read)!.phase);
      expect(phase).toBe(before.length === 0 ? 0 : 1 + Math.max(...before));
    }
  });
});
