/**
 * A program, or a segment of one, as what a device does for it: nodes in order, where everything lies, and the launches of
 * a bucket.
 */
import type { Limits, Op, OpOf, Program, Value } from '@rwkv-ts/backend';
import {
  type Answer,
  batchBounds,
  fusedPreparations,
  lowerHeadNorms,
  placeBuffers,
  placeParameters,
  stepHeaderWords,
} from '@rwkv-ts/program';
import type { Bucket } from '../buckets.js';
import { kernelIndex } from '../kernels/all.js';
import type { MatrixFeatures } from '../kernels/linear.js';

import type { KernelLaunch } from './arguments.js';
import type { ProgramSegment } from '../split/segments.js';
import {
  type Buffer,
  Graph,
  type Node,
  rowCount,
  type RowsBuffer,
  type Values,
  type WeightOf,
} from './graph.js';
import { encodeDeparture, encodeOp } from './ops.js';
import { type Addresses, type Placement, resolveValues, sizeOf } from './resolve.js';
import { schedule } from './schedule.js';

export interface PlanOptions {
  readonly limits: Limits;
  readonly features: MatrixFeatures;
  /** How each weight of the program is stored; of tables and parameters the layout says nothing. */
  readonly weights: WeightOf;
  /** What of the program is this device's, of its ops after `lowerHeadNorms`; default all. */
  readonly segment?: Omit<ProgramSegment, 'device'>;
}

/** Rows that `run` gives out, without gaps: where they begin in the arena, in bytes, and their width. */
export interface AnswerPlace {
  readonly offset: number;
  readonly width: number;
}

/** Rows of a value that comes from another device or goes to one, without gaps; `offset` as above. */
export interface CrossingPlace extends AnswerPlace {
  readonly rows: 'T' | 'R';
}

export interface Plan extends Placement {
  readonly nodes: readonly Node[];
  /** Of the counters: zeros before the first launch. */
  readonly counterBytes: number;
  /** Of the header of the largest step. */
  readonly headerWords: number;
  /** Undefined where another segment has them. */
  readonly output: AnswerPlace | undefined;
  readonly candidates: AnswerPlace | undefined;
  readonly imports: readonly CrossingPlace[];
  readonly exports: readonly CrossingPlace[];
}

export interface LaunchOptions {
  /** Whether the step asks for candidates. */
  readonly candidates: boolean;
  readonly addresses: Addresses;
}

/** Of buffers in the arena, in bytes, and of parameters, in numbers. */
const alignment = { bytes: 256, numbers: 64 } as const;

/**
 * The program is valid, within `requireSizes`, and its weights are there.
 * @throws BackendError `UNSUPPORTED_OP` for a matrix with more rows than a launch can have blocks for
 */
export function planProgram(given: Program, options: PlanOptions): Plan {
  const { limits, features, weights } = options;
  const program = lowerHeadNorms(given);
  const { ops, imports, exports } = options.segment ?? {
    ops: program.ops,
    imports: [],
    exports: [],
  };
  const graph = new Graph(program, weights);
  const context = { graph, limits, fused: fusedWithin(program, ops) };
  const arriving = graph.arrive(imports);
  for (const op of ops) encodeOp(op, context);
  const departing = encodeDeparture(graph, exports);
  const { nodes, counterBytes } = schedule(graph.drafts, { limits, features });
  const isKept = keptUntilEnd(departing);
  const arena = placeBuffers(
    nodes.map(({ reads, writes }, time) => ({ reads, writes, time })),
    { sizeOf: (buffer) => sizeOf(buffer, limits).bytes, alignment: alignment.bytes, isKept },
  );
  const parameters = placeParameters(
    nodes.flatMap((node) => node.parameters),
    {
      countOf: (name) => weights(name).rows * weights(name).columns,
      alignment: alignment.numbers,
    },
  );
  const place = (wanted: Answer, { width }: Value): AnswerPlace | undefined => {
    const isWanted = (buffer: Buffer) => buffer.kind === 'rows' && buffer.answer === wanted;
    const found = [...arena.offsets].find(([buffer]) => isWanted(buffer));
    return found && { offset: found[1], width };
  };
  const crossing = (buffer: RowsBuffer): CrossingPlace => {
    const { rows, width } = buffer;
    return { offset: arena.offsets.get(buffer)!, rows, width };
  };
  return {
    limits,
    nodes,
    arena,
    parameters,
    counterBytes,
    headerWords: stepHeaderWords(limits, batchBounds(program).channels),
    output: place('output', program.output),
    candidates: program.candidates && place('candidates', program.candidates),
    imports: arriving.map(crossing),
    exports: departing.map(crossing),
  };
}

/** What is read after the last launch: rows that `run` gives out, and what goes to another device. */
function keptUntilEnd(departing: readonly RowsBuffer[]): (buffer: Buffer) => boolean {
  const sent = new Set<Buffer>(departing);
  return (buffer) => sent.has(buffer) || (buffer.kind === 'rows' && buffer.answer !== undefined);
}

/** The preparations that a recurrence does itself, where both are among the ops. */
function fusedWithin(program: Program, ops: readonly Op[]): Map<number, OpOf<'prepare7'>> {
  const own = new Set(ops);
  const recurrences = new Set(ops.flatMap((op) => (op.kind === 'time-mix7' ? [op.k.id] : [])));
  return new Map(
    [...fusedPreparations(program)].filter(([key, op]) => own.has(op) && recurrences.has(key)),
  );
}

/** In order; those for no rows are left out. */
export function launchesFor(
  plan: Plan,
  bucket: Bucket,
  { candidates, addresses }: LaunchOptions,
): KernelLaunch[] {
  const resolve = (values: Values) => resolveValues(values, plan, addresses);
  return plan.nodes
    .filter(({ forCandidates }) => candidates || !forCandidates)
    .flatMap((node) => node.launches(bucket))
    .filter(({ rows }) => rowCount(rows, bucket) > 0)
    .map(({ kernel, rows, parts, values, jobs = [] }) => ({
      kernel,
      index: kernelIndex(kernel),
      grid: [Math.ceil(rowCount(rows, bucket) / kernel.rowsPerBlock), parts] as const,
      values: resolve(values),
      jobs: jobs.map(resolve),
    }));
}
