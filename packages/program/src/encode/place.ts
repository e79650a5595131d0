/** Where what a plan needs lies: activations in one arena by their lifetimes, parameters one after the other. */
import { placeIntervals } from '../plan-memory.js';
import type { Access } from './phases.js';
import type { BoundParameter } from './value-views.js';

export interface PlacedBuffers<Buffer> {
  readonly offsets: ReadonlyMap<Buffer, number>;
  /** Size of the arena. */
  readonly size: number;
}

export interface PlaceBuffersOptions<Buffer> {
  /** In units of the caller's; undefined for a buffer that lies elsewhere. */
  readonly sizeOf: (buffer: Buffer) => number | undefined;
  readonly alignment: number;
  /** Whether the buffer is read after the last of the steps. Default none. */
  readonly isKept?: (buffer: Buffer) => boolean;
}

/**
 * A buffer lives from the step that first touches it to the last one that does. Steps of the same time run in any order;
 * they come by time.
 */
export function placeBuffers<Buffer>(
  steps: readonly (Access<Buffer> & { readonly time: number })[],
  { sizeOf, alignment, isKept = () => false }: PlaceBuffersOptions<Buffer>,
): PlacedBuffers<Buffer> {
  const lives = new Map<Buffer, { bytes: number; first: number; last: number }>();
  for (const { reads, writes, time } of steps) {
    for (const buffer of [...writes, ...reads]) {
      const bytes = sizeOf(buffer);
      if (bytes === undefined) continue;
      const { first } = lives.get(buffer) ?? { first: time };
      lives.set(buffer, { bytes, first, last: isKept(buffer) ? Number.MAX_SAFE_INTEGER : time });
    }
  }
  const placed = placeIntervals([...lives.values()], { alignment });
  const offsets = new Map([...lives.keys()].map((buffer, at) => [buffer, placed.offsets[at]!]));
  return { offsets, size: placed.bytes };
}

export interface PlacedParameter {
  readonly parameter: BoundParameter;
  /** In numbers. */
  readonly offset: number;
}

export interface ParameterArea {
  /** Each parameter once. */
  readonly placed: readonly PlacedParameter[];
  readonly offsetOf: (parameter: BoundParameter) => number;
  /** Size of the area. */
  readonly numbers: number;
}

/** Parameters with the same weight, form and repetition are one. */
export function placeParameters(
  parameters: Iterable<BoundParameter>,
  options: {
    /** The numbers of a weight. */
    readonly countOf: (weight: string) => number;
    /** In numbers. */
    readonly alignment: number;
  },
): ParameterArea {
  const { countOf, alignment } = options;
  const placed = new Map<string, PlacedParameter>();
  let numbers = 0;
  for (const parameter of parameters) {
    const key = keyOf(parameter);
    if (placed.has(key)) continue;
    placed.set(key, { parameter, offset: numbers });
    const count = countOf(parameter.weight) * parameter.repeat;
    numbers += Math.ceil(count / alignment) * alignment;
  }
  const offsetOf = (parameter: BoundParameter) => placed.get(keyOf(parameter))!.offset;
  return { placed: [...placed.values()], offsetOf, numbers };
}

const keyOf = ({ weight, form, repeat }: BoundParameter): string =>
  JSON.stringify([weight, form ?? null, repeat]);
