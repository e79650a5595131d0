import type { Op, Program, Value } from '@rwkv-ts/backend';
import type { Cut } from './cut.js';
import { liveValues } from './liveness.js';

/** A run of a program's ops on one device. */
export interface ProgramSegment {
  /** By its place in the backend. */
  readonly device: number;
  readonly ops: readonly Op[];
  /** What comes from the segment before, and goes to the one after, each in one order on both sides. */
  readonly imports: readonly Value[];
  readonly exports: readonly Value[];
}

/** A value that a later segment reads goes through all between. */
export function segmentsOf(program: Pick<Program, 'ops'>, cut: Cut): ProgramSegment[] {
  const { ops } = program;
  const live = liveValues(program);
  const segments: ProgramSegment[] = [];
  for (let begin = 0; begin < ops.length;) {
    const device = cut[begin]!;
    let end = begin + 1;
    while (end < ops.length && cut[end] === device) end++;
    const own = ops.slice(begin, end);
    segments.push({ device, ops: own, imports: live[begin]!, exports: live[end]! });
    begin = end;
  }
  return segments;
}
