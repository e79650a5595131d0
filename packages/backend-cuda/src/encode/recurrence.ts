/** Recurrences over heads: from token to token, and where sequences are long and heads few, in chunks of tokens. */
import type { Limits } from '@rwkv-ts/backend';
import type { Bucket } from '../buckets.js';
import type { Kernel } from '../kernels/kernel.js';
import type { Argument, Graph, Launch, ScratchBuffer, Values } from './graph.js';

/** Three launches one after the other, the last only where there is something to finish. */
export interface ChunkKernels {
  readonly chunks: Kernel;
  readonly carry: Kernel;
  readonly finish: Kernel;
  /** Blocks of a head in `carry`. */
  readonly carryBlocks: number;
  /** Of the heads that they take. */
  readonly size: number;
  /** Tokens from which on a sequence is faster so. */
  readonly from: number;
  readonly scratchBytes: (shape: { readonly tokens: number; readonly heads: number }) => number;
}

/** Heads, of all sequences that are long, up to which chunks are faster: the notes on cost in native/kernels/ops. */
const mostHeads = 48;

/** As `longest`: no sequence is left to other kernels. */
const anyLength = 0xffffffff;

export function addRecurrence(
  graph: Graph,
  parts: {
    readonly kernel: Kernel;
    readonly heads: number;
    readonly size: number;
    readonly values: Values;
    readonly out: Argument;
    readonly chunked: ChunkKernels;
    readonly isFinished: boolean;
    readonly limits: Limits;
  },
): void {
  const { kernel, heads, size, values, out, chunked, isFinished, limits } = parts;
  const { from } = chunked;
  const isChunked = ({ tokens, sequences }: Limits): boolean => {
    const mostLong = Math.min(sequences, Math.floor(tokens / from));
    return size === chunked.size && mostLong > 0 && mostLong * heads <= mostHeads;
  };
  const mayChunk = isChunked({ ...limits, sequences: 1 });
  const bytes = mayChunk ? chunked.scratchBytes({ tokens: limits.tokens, heads }) : 0;
  const scratch: ScratchBuffer = { kind: 'scratch', bytes };
  const room = { scratch, offset: 0 };
  graph.addLaunches({
    name: kernel.name,
    mentioned: [...Object.values(values), ...(mayChunk ? [room] : [])],
    writes: [out],
    launches: (bucket) => {
      if (!isChunked(bucket)) {
        return [{ kernel, rows: 'S', parts: heads, values: { ...values, longest: anyLength } }];
      }
      const own = { ...values, longest: from - 1, scratch: room };
      const launches: Launch[] = [
        { kernel: chunked.chunks, rows: 'T', parts: heads, values: own },
        { kernel: chunked.carry, rows: 'S', parts: heads * chunked.carryBlocks, values: own },
      ];
      if (isFinished)
        launches.push({ kernel: chunked.finish, rows: 'T', parts: heads, values: own });
      if (!isAllLong(bucket, from)) launches.push({ kernel, rows: 'S', parts: heads, values: own });
      return launches;
    },
  });
}

/** Whether every sequence of every step of the bucket has `from` tokens; a step has more than two thirds of its bucket's. */
const isAllLong = ({ tokens, sequences }: Bucket, from: number): boolean =>
  sequences === 1 && tokens >= 1.5 * from;
