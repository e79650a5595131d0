/** A program as the words that native/engine/decode.cc reads. */
import type { Limits, Program } from '@rwkv-ts/backend';
import { placeIntervals } from '@rwkv-ts/program';
import { operationNames } from '../native.js';
import { activationCode, type BoundParameter, type Buffer, type Field, Graph } from './graph.js';
import { encodeOp, findFused } from './ops.js';
import { type Scheduled, schedule } from './schedule.js';

/** Where the addon finds what a program names. */
export interface Names {
  readonly weight: (name: string) => { readonly index: number; readonly count: number };
  readonly state: (name: string) => number;
}

export interface EncodedProgram {
  readonly words: Float64Array;
  readonly arenaFloats: number;
  readonly parameterFloats: number;
}

/** Numbers per 64 bytes: the granularity of everything placed. */
const lineFloats = 16;
/** How a view is told: nothing, activations, the output rows, parameters, the rows of candidates. */
const base = { absent: 0, arena: 1, output: 2, parameters: 3, candidates: 4 } as const;

/** The program is valid, and its weights and states are there. */
export function encodeProgram(program: Program, limits: Limits, names: Names): EncodedProgram {
  const nodes = scheduledNodes(program);
  const arena = placeBuffers(nodes, limits);
  const parameters = placeParameters(nodes, names);

  const words: number[] = [parameters.placed.size];
  for (const { parameter, offset } of parameters.placed.values()) {
    const { weight, form, repeat } = parameter;
    words.push(names.weight(weight).index, activationCode(form), offset, repeat);
  }
  const writeField = (field: Field): void => {
    if (field === undefined) words.push(base.absent, 0, 0);
    else if (typeof field === 'number') words.push(field);
    else if ('matrix' in field) words.push(names.weight(field.matrix).index);
    else if ('state' in field) words.push(names.state(field.state));
    else if ('parameter' in field) {
      words.push(base.parameters, parameters.placed.get(keyOf(field.parameter))!.offset, 0);
    } else {
      const { buffer, column } = field.view;
      words.push(base[buffer.place], (arena.offsets.get(buffer) ?? 0) + column, buffer.width);
    }
  };
  for (const { node, phase } of nodes) {
    words.push(operationNames.indexOf(node.operation), phase, Number(node.rows === 'R'));
    for (const field of node.fields) writeField(field);
  }
  return {
    words: Float64Array.from(words),
    arenaFloats: arena.floats,
    parameterFloats: parameters.floats,
  };
}

/** The native operations of a program in the order they are sent. */
export function scheduledNodes(program: Program): Scheduled[] {
  const graph = new Graph(program);
  const context = { graph, fused: findFused(program) };
  for (const op of program.ops) encodeOp(op, context);
  return schedule(graph.nodes);
}

/** A buffer lives from the phase that writes it to the last one that reads it, since a phase's nodes run in any order. */
export function placeBuffers(
  nodes: readonly Scheduled[],
  limits: Limits,
): { offsets: Map<Buffer, number>; floats: number } {
  const lives = new Map<Buffer, { first: number; last: number }>();
  for (const { node, phase } of nodes) {
    for (const buffer of [...node.writes, ...node.reads]) {
      const life = lives.get(buffer);
      if (life) life.last = Math.max(life.last, phase);
      else lives.set(buffer, { first: phase, last: phase });
    }
  }
  const rows = { T: limits.tokens, R: limits.wanted, S: limits.sequences };
  const buffers = [...lives].filter(([{ place }]) => place === 'arena');
  const intervals = buffers.map(([buffer, life]) => ({
    ...life,
    bytes: rows[buffer.rows] * buffer.width,
  }));
  const placed = placeIntervals(intervals, { alignment: lineFloats });
  const offsets = new Map(buffers.map(([buffer], index) => [buffer, placed.offsets[index]!]));
  return { offsets, floats: placed.bytes };
}

interface PlacedParameter {
  readonly parameter: BoundParameter;
  readonly offset: number;
}

const keyOf = ({ weight, form, repeat }: BoundParameter): string =>
  JSON.stringify([weight, form ?? null, repeat]);

function placeParameters(
  nodes: readonly Scheduled[],
  names: Names,
): { placed: Map<string, PlacedParameter>; floats: number } {
  const placed = new Map<string, PlacedParameter>();
  let floats = 0;
  for (const { node } of nodes) {
    for (const field of node.fields) {
      if (typeof field !== 'object' || !('parameter' in field)) continue;
      const { parameter } = field;
      const key = keyOf(parameter);
      if (placed.has(key)) continue;
      placed.set(key, { parameter, offset: floats });
      const count = names.weight(parameter.weight).count * parameter.repeat;
      floats += Math.ceil(count / lineFloats) * lineFloats;
    }
  }
  return { placed, floats };
}
