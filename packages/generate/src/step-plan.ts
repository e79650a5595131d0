/** Decides how many tokens each sequence gets in the next step. */
import type { Limits } from '@rwkv-ts/backend';

/** Which rows of logits a sequence wants: of no token, of the last one it feeds, or of every one. */
export type WantedRows = 'none' | 'last' | 'all';

/** A sequence as the planner sees it. */
export interface Planned {
  /** Tokens ready to be fed. */
  readonly remaining: number;
  readonly rows: WantedRows;
  /** Whether the sequence holds still: its reader is behind. */
  readonly paused: boolean;
  /** Written by `planStep`: tokens to feed in this step. */
  take: number;
}

export interface PlanOptions {
  readonly limits: Limits;
  /** Most prefill tokens in a step that also decodes: what a long prompt may add to the others' time per token. */
  readonly prefillTokens: number;
}

/**
 * Sets `take` of every sequence. The first one is always served; then everybody who needs a single token (decoding), then
 * prompts in equal shares of what is left. The caller moves the first sequence to the end after each step, so each is
 * first once in as many steps as there are sequences: nobody starves under any limits.
 */
export function planStep(
  sequences: readonly Planned[],
  { limits, prefillTokens }: PlanOptions,
): void {
  let decoding = 0;
  let prefilling = 0;
  let first: Planned | undefined;
  for (const sequence of sequences) {
    sequence.take = 0;
    if (!ready(sequence)) continue;
    first ??= sequence;
    if (sequence.remaining === 1) decoding++;
    else prefilling++;
  }
  const left = { tokens: limits.tokens, sequences: limits.sequences, wanted: limits.wanted };
  // What the first may not take, however long its prompt: the others' next tokens.
  const room = Math.max(1, limits.tokens - decoding);
  const rows = Math.max(1, limits.wanted - decoding);
  let prefill = decoding > 0 ? Math.min(prefillTokens, room) : limits.tokens;
  if (first?.remaining === 1) {
    serve(first, { share: 1, rows: 1 }, left);
  } else if (first !== undefined) {
    prefill -= serve(first, { share: Math.ceil(prefill / prefilling), rows }, left);
    prefilling--;
  }
  for (const sequence of sequences) {
    if (sequence === first || !ready(sequence) || sequence.remaining > 1) continue;
    serve(sequence, { share: 1, rows: 1 }, left);
  }
  for (const sequence of sequences) {
    if (sequence === first || !ready(sequence) || sequence.remaining === 1) continue;
    const share = Math.ceil(Math.min(prefill, left.tokens) / prefilling);
    prefill -= serve(sequence, { share, rows: left.wanted }, left);
    prefilling--;
  }
}

function ready({ paused, remaining }: Planned): boolean {
  return !paused && remaining > 0;
}

interface Left {
  tokens: number;
  sequences: number;
  wanted: number;
}

function serve(
  sequence: Planned,
  { share, rows }: { share: number; rows: number },
  left: Left,
): number {
  if (left.sequences === 0) return 0;
  let take = Math.min(share, sequence.remaining, left.tokens);
  if (sequence.rows === 'all') {
    take = Math.min(take, rows, left.wanted);
  } else if (sequence.rows === 'last' && take === sequence.remaining && left.wanted === 0) {
    // Its row has no place in this batch: it stops one short of its end, and asks again in the next step.
    take--;
  }
  if (take <= 0) return 0;
  sequence.take = take;
  left.sequences--;
  left.tokens -= take;
  if (sequence.rows === 'all') left.wanted -= take;
  else if (sequence.rows === 'last' && take === sequence.remaining) left.wanted--;
  return take;
}
