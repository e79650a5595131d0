/** A program as what a device does for it: nodes in order, where everything lies, and the launches of a bucket. */
import type { Limits, Program, Value } from '@rwkv-ts/backend';
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
import { type Buffer, Graph, type Node, rowCount, type Values, type WeightOf } from './graph.js';
import { encodeOp } from './ops.js';
import { type Addresses, type Placement, resolveValues, sizeOf } from './resolve.js';
import { schedule } from './schedule.js';

export interface PlanOptions {
  readonly limits: Limits;
  readonly features: MatrixFeatures;
  /** How each weight of the program is stored; of tables and parameters the layout says nothing. */
  readonly weights: WeightOf;
}

/** Rows that `run` gives out, without gaps: where they begin in the arena, in bytes, and their width. */
export interface AnswerPlace {
  readonly offset: number;
  readonly width: number;
}

export interface Plan extends Placement {
  readonly nodes: readonly Node[];
  /** Of the counters: zeros before the first launch. */
  readonly counterBytes: number;
  /** Of the header of the largest step. */
  readonly headerWords: number;
  readonly output: AnswerPlace;
  readonly candidates: AnswerPlace | undefined;
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
  const graph = new Graph(program, weights);
  const context = { graph, limits, fused: fusedPreparations(program) };
  for (const op of program.ops) encodeOp(op, context);
  const { nodes, counterBytes } = schedule(graph.drafts, { limits, features });
  const arena = placeBuffers(
    nodes.map(({ reads, writes }, time) => ({ reads, writes, time })),
    {
      sizeOf: (buffer) => sizeOf(buffer, limits).bytes,
      alignment: alignment.bytes,
      isKept: (buffer) => buffer.kind === 'rows' && buffer.answer !== undefined,
    },
  );
  const parameters = placeParameters(
    nodes.flatMap((node) => node.parameters),
    {
      countOf: (name) => weights(name).rows * weights(name).columns,
      alignment: alignment.numbers,
    },
  );
  const place = (wanted: Answer, { width }: Value): AnswerPlace => {
    const isWanted = (buffer: Buffer) => buffer.kind === 'rows' && buffer.answer === wanted;
    const [, offset] = [...arena.offsets].find(([buffer]) => isWanted(buffer))!;
    return { offset, width };
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
  };
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
