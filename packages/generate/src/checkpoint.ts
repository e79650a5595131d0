import type { ModelState } from './model-state.js';

/** What a conversation's state was at one point of its text. */
export interface Checkpoint {
  /** Segments of the prompt that were fed; the last one ends with "Assistant:". */
  readonly count: number;
  /** Their text. */
  readonly text: string;
  /** The state after them. */
  readonly prompted: ModelState | undefined;
  /** The state after the answer that was then made, and everything that was fed for it. */
  readonly after: { readonly state: ModelState; readonly raw: string } | undefined;
}

/** The checkpoints that `segments` begin with, fewest segments first. */
export function matching(
  checkpoints: readonly Checkpoint[],
  segments: readonly string[],
): readonly Checkpoint[] {
  return checkpoints
    .filter(({ count, text }) => segments.slice(0, count).join('') === text)
    .sort((left, right) => left.count - right.count);
}

export interface Resume {
  readonly state: ModelState | undefined;
  /** What is left to feed. */
  readonly segments: readonly string[];
}

/**
 * Where to go on from with the least to feed. The state after an answer serves when the answer stands in the history as
 * it was made; where it does not (reasoning dropped, white space trimmed, another answer), the state before it does.
 */
export function resumeFrom(
  checkpoints: readonly Checkpoint[],
  segments: readonly string[],
): Resume {
  for (const { count, prompted, after } of [...matching(checkpoints, segments)].reverse()) {
    const [next, ...rest] = segments.slice(count);
    // U+FFFD may stand for bytes that the answer's tokens had and its text has not.
    if (
      after !== undefined &&
      next?.startsWith(after.raw) === true &&
      !after.raw.includes('\ufffd')
    ) {
      return { state: after.state, segments: [next.slice(after.raw.length), ...rest] };
    }
    if (prompted !== undefined) return { state: prompted, segments: segments.slice(count) };
  }
  return { state: undefined, segments };
}
