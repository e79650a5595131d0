/**
 * Drafts in levels: what a level holds is independent of each other, but for instructions on rows, which form one chain for
 * each kind of rows: a task takes a block of rows through the whole chain, in the order of the drafts.
 */
import { type Draft, type Resource } from './graph.js';
import { type ProgramPart, programParts } from './native-training.js';

export interface Level {
  readonly part: ProgramPart;
  /** In the order of the drafts. */
  readonly drafts: readonly Draft[];
}

/** A draft's place, as far as others wait for it. */
interface Placed {
  readonly level: number;
  /** The chain it is in, for a resource whose rows it takes in order. */
  readonly chain: string | undefined;
}

/** Every draft as early as what it touches allows. */
export function levelsOf(drafts: readonly Draft[]): Level[] {
  const writers = new Map<Resource, Placed>();
  const readers = new Map<Resource, Placed[]>();
  const levels: { part: ProgramPart; drafts: Draft[] }[] = [];
  let first = 0;
  for (const part of programParts) {
    for (const draft of drafts.filter((each) => each.part === part)) {
      let level = first;
      const chainFor = (resource: Resource): string | undefined =>
        draft.units !== 'row-blocks' || draft.crossing.has(resource)
          ? undefined
          : String(draft.wanted);
      const wait = (resource: Resource, other: Placed | undefined): void => {
        if (!other) return;
        const together = other.chain !== undefined && other.chain === chainFor(resource);
        level = Math.max(level, together ? other.level : other.level + 1);
      };
      for (const resource of [...draft.reads, ...draft.writes])
        wait(resource, writers.get(resource));
      for (const resource of draft.writes) {
        for (const reader of readers.get(resource) ?? []) wait(resource, reader);
      }
      for (const resource of draft.writes) {
        writers.set(resource, { level, chain: chainFor(resource) });
        readers.set(resource, []);
      }
      for (const resource of draft.reads) {
        const placed = { level, chain: chainFor(resource) };
        const known = readers.get(resource);
        if (known) known.push(placed);
        else readers.set(resource, [placed]);
      }
      while (levels.length <= level) levels.push({ part, drafts: [] });
      levels[level]!.drafts.push(draft);
    }
    first = levels.length;
  }
  return levels;
}
