/** Where everything lies: activations in one arena by their lifetimes, parameters one after the other. */
import type { Limits } from '@rwkv-ts/backend';
import { placeIntervals } from '@rwkv-ts/program';
import type { FieldValues } from '../kernels/shader.js';
import type { BoundParameter, Buffer, Node } from './graph.js';

/** Numbers: rows and parameters begin at multiples of 256 bytes. */
const alignment = 64;

export interface Placement {
  readonly offsets: ReadonlyMap<Buffer, number>;
  readonly arenaNumbers: number;
  readonly output: Buffer;
  readonly candidates: Buffer | undefined;
  readonly parameters: ReadonlyMap<string, PlacedParameter>;
  readonly parameterNumbers: number;
}

export interface PlacedParameter {
  readonly parameter: BoundParameter;
  readonly offset: number;
}

const keyOf = ({ weight, form, repeat }: BoundParameter): string =>
  JSON.stringify([weight, form ?? null, repeat]);

export function place(
  nodes: readonly Node[],
  { limits, countOf }: { limits: Limits; countOf: (weight: string) => number },
): Placement {
  const arena = placeBuffers(nodes, limits);
  const find = (wanted: Buffer['answer']) =>
    [...arena.offsets.keys()].find(({ answer }) => answer === wanted);
  const answers = { output: find('output')!, candidates: find('candidates') };
  return { ...arena, ...answers, ...placeParameters(nodes, countOf) };
}

/** A buffer lives from the node that writes it first to the last one that reads it; what `run` gives out lives to the end. */
function placeBuffers(
  nodes: readonly Node[],
  limits: Limits,
): Pick<Placement, 'offsets' | 'arenaNumbers'> {
  const lives = new Map<Buffer, { first: number; last: number }>();
  for (const [index, node] of nodes.entries()) {
    for (const buffer of [...node.writes, ...node.reads]) {
      const life = lives.get(buffer);
      if (life) life.last = index;
      else lives.set(buffer, { first: index, last: index });
    }
  }
  const rows = { T: limits.tokens, R: limits.wanted };
  const intervals = [...lives].map(([{ stride, rows: kind, answer }, { first, last }]) => ({
    bytes: stride * rows[kind],
    first,
    last: answer ? nodes.length : last,
  }));
  const { offsets, bytes } = placeIntervals(intervals, { alignment });
  return {
    offsets: new Map([...lives.keys()].map((buffer, index) => [buffer, offsets[index]!])),
    arenaNumbers: bytes,
  };
}

function placeParameters(
  nodes: readonly Node[],
  countOf: (weight: string) => number,
): Pick<Placement, 'parameters' | 'parameterNumbers'> {
  const parameters = new Map<string, PlacedParameter>();
  let parameterNumbers = 0;
  for (const { values } of nodes) {
    for (const value of Object.values(values)) {
      if (typeof value !== 'object' || !('parameter' in value)) continue;
      const { parameter } = value;
      const key = keyOf(parameter);
      if (parameters.has(key)) continue;
      parameters.set(key, { parameter, offset: parameterNumbers });
      const count = countOf(parameter.weight) * parameter.repeat;
      parameterNumbers += Math.ceil(count / alignment) * alignment;
    }
  }
  return { parameters, parameterNumbers };
}

/** A node's values as its kernel sees them. */
export function fieldValues({ values }: Node, placement: Placement): FieldValues {
  const entries = Object.entries(values).map(([name, value]): [string, FieldValues[string]] => {
    if (value === undefined) return [name, 0];
    if (typeof value === 'number') return [name, value];
    if ('parameter' in value) {
      const { offset } = placement.parameters.get(keyOf(value.parameter))!;
      return [name, { offset: offset + (value.from ?? 0), stride: 0 }];
    }
    const { buffer, column } = value.view;
    return [name, { offset: placement.offsets.get(buffer)! + column, stride: buffer.stride }];
  });
  return Object.fromEntries(entries);
}
