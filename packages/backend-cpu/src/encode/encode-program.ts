/** A program as the words that native/engine/decode.cc reads. */
import type { Limits, Program } from '@rwkv-ts/backend';
import {
  fusedPreparations,
  placeBuffers,
  type PlacedBuffers,
  placeParameters,
} from '@rwkv-ts/program';
import { operationNames } from '../native.js';
import { activationCode, type Buffer, type Field, Graph } from './graph.js';
import { encodeOp } from './ops.js';
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
  const arena = placeActivations(nodes, limits);
  const fields = nodes.flatMap(({ node }) => node.fields);
  const parameters = placeParameters(
    fields.flatMap((field) =>
      typeof field === 'object' && 'parameter' in field ? [field.parameter] : [],
    ),
    { countOf: (name) => names.weight(name).count, alignment: lineFloats },
  );

  const words: number[] = [parameters.placed.length];
  for (const { parameter, offset } of parameters.placed) {
    const { weight, form, repeat } = parameter;
    words.push(names.weight(weight).index, activationCode(form), offset, repeat);
  }
  const writeField = (field: Field): void => {
    if (field === undefined) words.push(base.absent, 0, 0);
    else if (typeof field === 'number') words.push(field);
    else if ('matrix' in field) words.push(names.weight(field.matrix).index);
    else if ('state' in field) words.push(names.state(field.state));
    else if ('parameter' in field) {
      words.push(base.parameters, parameters.offsetOf(field.parameter), 0);
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
    arenaFloats: arena.size,
    parameterFloats: parameters.numbers,
  };
}

/** The native operations of a program in the order they are sent. */
export function scheduledNodes(program: Program): Scheduled[] {
  const graph = new Graph(program);
  const context = { graph, fused: fusedPreparations(program) };
  for (const op of program.ops) encodeOp(op, context);
  return schedule(graph.nodes);
}

/** A buffer lives from the phase that writes it to the last one that reads it, since a phase's nodes run in any order. */
export function placeActivations(
  nodes: readonly Scheduled[],
  limits: Limits,
): PlacedBuffers<Buffer> {
  const count = { T: limits.tokens, R: limits.wanted, S: limits.sequences };
  return placeBuffers(
    nodes.map(({ node, phase }) => ({ ...node, time: phase })),
    {
      sizeOf: ({ place, rows, width }) => (place === 'arena' ? count[rows] * width : undefined),
      alignment: lineFloats,
    },
  );
}
