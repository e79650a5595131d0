/** Where everything lies: activations in one arena by their lifetimes, parameters one after the other. */
import type { Limits } from '@rwkv-ts/backend';
import {
  type ParameterArea,
  placeBuffers,
  type PlacedBuffers,
  placeParameters,
} from '@rwkv-ts/program';
import type { FieldValues } from '../kernels/shader.js';
import type { Buffer, Node } from './graph.js';

/** Numbers: rows and parameters begin at multiples of 256 bytes. */
const alignment = 64;

export interface Placement {
  readonly arena: PlacedBuffers<Buffer>;
  readonly output: Buffer;
  readonly candidates: Buffer | undefined;
  readonly parameters: ParameterArea;
}

/** What `run` gives out lives to the end. */
export function place(
  nodes: readonly Node[],
  { limits, countOf }: { limits: Limits; countOf: (weight: string) => number },
): Placement {
  const count = { T: limits.tokens, R: limits.wanted };
  const arena = placeBuffers(
    nodes.map(({ reads, writes }, time) => ({ reads, writes, time })),
    {
      sizeOf: ({ stride, rows }) => stride * count[rows],
      alignment,
      isKept: ({ answer }) => answer !== undefined,
    },
  );
  const find = (wanted: Buffer['answer']) =>
    [...arena.offsets.keys()].find(({ answer }) => answer === wanted);
  const parameters = nodes.flatMap(({ values }) =>
    Object.values(values).flatMap((value) =>
      typeof value === 'object' && 'parameter' in value ? [value.parameter] : [],
    ),
  );
  return {
    arena,
    output: find('output')!,
    candidates: find('candidates'),
    parameters: placeParameters(parameters, { countOf, alignment }),
  };
}

/** A node's values as its kernel sees them. */
export function fieldValues({ values }: Node, placement: Placement): FieldValues {
  const entries = Object.entries(values).map(([name, value]): [string, FieldValues[string]] => {
    if (value === undefined) return [name, 0];
    if (typeof value === 'number') return [name, value];
    if ('parameter' in value) {
      const offset = placement.parameters.offsetOf(value.parameter);
      return [name, { offset: offset + (value.from ?? 0), stride: 0 }];
    }
    const { buffer, column } = value.view;
    return [name, { offset: placement.arena.offsets.get(buffer)! + column, stride: buffer.stride }];
  });
  return Object.fromEntries(entries);
}
