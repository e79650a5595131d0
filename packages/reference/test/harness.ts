/** Runs a program on a backend in one call, and measures differences. */
import type { Batch, Program, Rows } from '@rwkv-ts/backend';
import {
  createReferenceBackend,
  type ReferenceBackendOptions,
  type ReferenceStates,
} from '../src/index.js';
import { lower } from '@rwkv-ts/program';
import { hostWeights, type NamedWeights } from './random.js';

/** One sequence of a step. */
export interface Part {
  readonly slot: number;
  readonly tokens: readonly number[];
}

/** Every row wanted. */
export function batchOf(...parts: readonly Part[]): Batch {
  const tokens = Uint32Array.from(parts.flatMap((part) => part.tokens));
  const starts = [0];
  for (const part of parts) starts.push(starts.at(-1)! + part.tokens.length);
  return {
    tokens,
    starts: Uint32Array.from(starts),
    slots: Uint32Array.from(parts, (part) => part.slot),
    wanted: Uint32Array.from(tokens.keys()),
  };
}

export interface Session {
  readonly states: ReferenceStates;
  readonly run: (...parts: readonly Part[]) => Promise<Rows>;
}

export const sessionLimits = { tokens: 128, sequences: 8, wanted: 128 };

/** A compiled program with eight slots; everything is disposed of when `use` is done. */
export async function withSession<Result>(
  options: ReferenceBackendOptions,
  { program, weights }: { program: Program; weights: NamedWeights },
  use: (session: Session) => Promise<Result>,
): Promise<Result> {
  await using backend = createReferenceBackend(options);
  const lowered = lower(program, backend.supports.ops);
  const bindings = {
    weights: await backend.upload(hostWeights(lowered, weights)),
    states: await backend.createStates(lowered.states, 8),
  };
  const executable = await backend.compile(lowered, bindings, sessionLimits);
  return await use({
    states: bindings.states,
    run: (...parts) => executable.run(batchOf(...parts)),
  });
}

/** The largest |x - y| / max(1, |y|); NaN counts as infinite. */
export function worstDifference(x: ArrayLike<number>, y: ArrayLike<number>): number {
  if (x.length !== y.length) return Infinity;
  let worst = 0;
  for (let at = 0; at < x.length; at++) {
    const difference = Math.abs(x[at]! - y[at]!) / Math.max(1, Math.abs(y[at]!));
    if (!(difference <= worst)) worst = Number.isNaN(difference) ? Infinity : difference;
  }
  return worst;
}
