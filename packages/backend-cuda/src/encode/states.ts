/** The ops that own a state: shifts and recurrences. */
import type { NormParameters, OpOf, Value } from '@rwkv-ts/backend';
import { isValue } from '@rwkv-ts/program';
import { shiftMixKernel, shiftMixPart } from '../kernels/shift-mix.js';
import { wkv4Channels, wkv4Kernel } from '../kernels/wkv4.js';
import { wkv6Kernel } from '../kernels/wkv6.js';
import {
  wkv6CarryBlocks,
  wkv6CarryKernel,
  wkv6ChunksKernel,
  wkv6ChunkSize,
  wkv6FinishKernel,
  wkv6ScratchBytes,
} from '../kernels/wkv6-chunk.js';
import { wkv7Kernel } from '../kernels/wkv7.js';
import {
  wkv7CarryBlocks,
  wkv7CarryKernel,
  wkv7ChunksKernel,
  wkv7ChunkSize,
  wkv7FinishKernel,
  wkv7ScratchBytes,
} from '../kernels/wkv7-chunk.js';
import type { EncodeContext } from './context.js';
import type { Argument, Graph, Values } from './graph.js';
import { addRecurrence, type ChunkKernels } from './recurrence.js';

interface ShiftParts {
  readonly x: Value;
  readonly state: string;
  readonly norm?: NormParameters;
  readonly toward?: 'previous' | 'current';
  readonly mixes?: readonly { readonly by: Argument; readonly out: Argument }[];
  readonly normed?: Argument;
  readonly shifted?: Argument;
  readonly difference?: Argument;
}

export function shiftMix(graph: Graph, parts: ShiftParts): void {
  const { x, state, norm, toward = 'previous', mixes = [] } = parts;
  const { normed, shifted, difference } = parts;
  const { width } = x;
  graph.add({
    kernel: shiftMixKernel,
    rows: 'T',
    values: {
      x: graph.read(x),
      ...(norm ? graph.norm(norm) : {}),
      normed,
      shifted,
      difference,
      state: { state },
      width,
      toward_current: Number(toward === 'current'),
      mixes: mixes.length,
    },
    jobs: mixes.map(({ by, out }) => ({ by, out })),
    writes: [normed, shifted, difference, ...mixes.map(({ out }) => out)],
    parts: (rows) => {
      const part = shiftMixPart({ width, rows });
      return { parts: Math.ceil(width / part), values: { part } };
    },
  });
}

export function wkv4({ graph }: EncodeContext, op: OpOf<'wkv4'>): void {
  const { width } = op.out;
  const values = {
    k: graph.read(op.k),
    v: graph.read(op.v),
    decay: graph.parameter(op.decay, width),
    first: graph.parameter(op.first, width),
    out: graph.write(op.out),
    state: { state: op.state },
    width,
  };
  const parts = Math.ceil(width / wkv4Channels);
  graph.add({ kernel: wkv4Kernel, rows: 'S', values, writes: [values.out], parts });
}

const chunks6: ChunkKernels = {
  chunks: wkv6ChunksKernel,
  carry: wkv6CarryKernel,
  finish: wkv6FinishKernel,
  carryBlocks: wkv6CarryBlocks,
  size: wkv6ChunkSize,
  from: 96,
  scratchBytes: wkv6ScratchBytes,
};

const chunks7: ChunkKernels = {
  chunks: wkv7ChunksKernel,
  carry: wkv7CarryKernel,
  finish: wkv7FinishKernel,
  carryBlocks: wkv7CarryBlocks,
  size: wkv7ChunkSize,
  from: 64,
  scratchBytes: wkv7ScratchBytes,
};

export function wkv6(
  { graph, limits }: EncodeContext,
  op: OpOf<'wkv6'> | OpOf<'time-mix6'>,
  tail: Partial<Pick<OpOf<'time-mix6'>, 'gate' | 'norm'>>,
): void {
  const { heads, decay } = op;
  const { width } = op.out;
  const { norm, gate } = tail;
  const size = width / heads;
  const values: Values = {
    r: graph.read(op.r),
    k: graph.read(op.k),
    v: graph.read(op.v),
    decay: isValue(decay) ? graph.read(decay) : graph.parameter(decay, width),
    first: graph.parameter(op.first, width),
    ...(norm ? graph.norm(norm) : {}),
    gate: gate && graph.read(gate),
    out: graph.write(op.out),
    state: { state: op.state },
    size,
  };
  addRecurrence(graph, {
    kernel: wkv6Kernel(size),
    heads,
    size,
    values,
    out: values['out'],
    chunked: chunks6,
    isFinished: norm !== undefined || gate !== undefined,
    limits,
  });
}

/** What wkv7 reads of each head: key, a and b as they come, or what it makes them from. */
function inputs7(op: OpOf<'wkv7'> | OpOf<'time-mix7'>, { graph, fused }: EncodeContext): Values {
  const prepare = fused.get(op.k.id);
  if (!prepare) {
    const [k, v, a, b] = [op.k, op.v, op.a, op.b].map((value) => graph.read(value));
    return { k, v, a, b };
  }
  const { residual } = prepare;
  return {
    k: graph.read(prepare.k),
    v: graph.read(residual ? residual.v : op.v),
    rate: graph.read(prepare.rate),
    first: residual && graph.read(residual.first),
    amount: residual && graph.read(residual.amount),
    removal: graph.parameter(prepare.removal),
    replacement: graph.parameter(prepare.replacement),
    floor: prepare.eps,
  };
}

export function wkv7(
  context: EncodeContext,
  op: OpOf<'wkv7'> | OpOf<'time-mix7'>,
  tail?: Pick<OpOf<'time-mix7'>, 'norm' | 'bonus' | 'gate'>,
): void {
  const { graph } = context;
  const { heads } = op;
  const size = op.out.width / heads;
  const values: Values = {
    r: graph.read(op.r),
    w: graph.read(op.w),
    ...inputs7(op, context),
    ...(tail ? graph.norm(tail.norm) : {}),
    by: tail && graph.parameter(tail.bonus),
    gate: tail && graph.read(tail.gate),
    out: graph.write(op.out),
    state: { state: op.state },
    size,
  };
  addRecurrence(graph, {
    kernel: wkv7Kernel(size),
    heads,
    size,
    values,
    out: values['out'],
    chunked: chunks7,
    isFinished: tail !== undefined,
    limits: context.limits,
  });
}
