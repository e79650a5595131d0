/** Where buffers lie: in the arena while some level needs them, or in a thread's own memory while one chain does. */
import type { TrainingLimits } from '@rwkv-ts/backend';
import { placeIntervals } from '@rwkv-ts/program';
import type { Buffer, Draft } from './graph.js';
import type { Level } from './levels.js';

export interface PlacedBuffer {
  readonly isLocal: boolean;
  /** Of the arena, or of the thread's memory, in numbers. */
  readonly offset: number;
}

export interface Placement {
  readonly buffers: ReadonlyMap<Buffer, PlacedBuffer>;
  readonly arenaFloats: number;
  readonly localFloats: number;
}

interface Use {
  first: number;
  last: number;
  /** The chain that alone touches it so far; undefined once another does. */
  chain: string | undefined;
}

export interface PlaceOptions {
  readonly limits: TrainingLimits;
  readonly blockRows: number;
  /** Never in a thread's own memory. */
  readonly shared: readonly Buffer[];
}

/** Bytes of a line of the cache. */
const alignment = 64;

export function placeTraining(levels: readonly Level[], options: PlaceOptions): Placement {
  const { limits, blockRows } = options;
  const uses = usesOf(levels);
  for (const buffer of options.shared) {
    const use = uses.get(buffer);
    if (use) use.chain = undefined;
  }
  const arena = [...uses].filter(([, use]) => use.chain === undefined);
  const placed = placeIntervals(
    arena.map(([buffer, { first, last }]) => {
      return { bytes: rowsOf(buffer, { limits, blockRows }) * buffer.width * 4, first, last };
    }),
    { alignment },
  );
  const buffers = new Map<Buffer, PlacedBuffer>();
  for (const [index, [buffer]] of arena.entries()) {
    buffers.set(buffer, { isLocal: false, offset: placed.offsets[index]! / 4 });
  }
  let localBytes = 0;
  for (const [chain, own] of chainsOf(uses)) {
    const order = draftsOf(levels, chain);
    const local = placeIntervals(
      own.map((buffer) => ({
        bytes: blockRows * buffer.width * 4,
        first: order.findIndex((draft) => touches(draft, buffer)),
        last: order.findLastIndex((draft) => touches(draft, buffer)),
      })),
      { alignment },
    );
    localBytes = Math.max(localBytes, local.bytes);
    for (const [index, buffer] of own.entries()) {
      buffers.set(buffer, { isLocal: true, offset: local.offsets[index]! / 4 });
    }
  }
  return { buffers, arenaFloats: placed.bytes / 4, localFloats: localBytes / 4 };
}

/** Rows of a buffer in the largest step. */
function rowsOf({ extent }: Buffer, { limits, blockRows }: Omit<PlaceOptions, 'shared'>): number {
  switch (extent) {
    case 'tokens':
      return limits.tokens;
    case 'wanted':
      return limits.wanted;
    case 'sequences':
      return limits.sequences;
    case 'token-blocks':
      return Math.ceil(limits.tokens / blockRows);
    case 'wanted-blocks':
      return Math.ceil(limits.wanted / blockRows);
    case 'one':
    case 'records':
      return 1;
  }
}

const touches = (draft: Draft, buffer: Buffer): boolean =>
  draft.reads.includes(buffer) || draft.writes.includes(buffer);

/** The name of the chain whose rows a draft takes the buffer's rows with, if it is one. */
function chainOf(draft: Draft, level: number, buffer: Buffer): string | undefined {
  if (draft.units !== 'row-blocks' || draft.crossing.has(buffer)) return undefined;
  if (buffer.extent !== (draft.wanted ? 'wanted' : 'tokens')) return undefined;
  return `${level} ${draft.wanted}`;
}

function usesOf(levels: readonly Level[]): Map<Buffer, Use> {
  const uses = new Map<Buffer, Use>();
  for (const [level, { drafts }] of levels.entries()) {
    for (const draft of drafts) {
      for (const buffer of new Set([...draft.reads, ...draft.writes])) {
        if (typeof buffer === 'string') continue;
        const chain = chainOf(draft, level, buffer);
        const use = uses.get(buffer);
        if (!use) {
          uses.set(buffer, { first: level, last: level, chain });
          continue;
        }
        use.last = level;
        if (use.chain !== chain) use.chain = undefined;
      }
    }
  }
  return uses;
}

function chainsOf(uses: ReadonlyMap<Buffer, Use>): Map<string, Buffer[]> {
  const chains = new Map<string, Buffer[]>();
  for (const [buffer, { chain }] of uses) {
    if (chain !== undefined) chains.set(chain, [...(chains.get(chain) ?? []), buffer]);
  }
  return chains;
}

function draftsOf(levels: readonly Level[], chain: string): Draft[] {
  const level = Number(chain.split(' ')[0]);
  return levels[level]!.drafts.filter(
    (draft) => draft.units === 'row-blocks' && `${level} ${draft.wanted}` === chain,
  );
}
