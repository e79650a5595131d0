import { DataError, throwIfAborted } from './errors.js';
import type { ReadTokensOptions, TokenData } from './token-data.js';
import {
  type WindowOrder,
  type WindowSamplerOptions,
  createWindowSampler,
} from './window-sampler.js';

/** What one sequence of a training batch is made of. T is `context`, or less where the data or the document ends. */
export interface TrainingWindow {
  /** Which window it is, counted over all rounds. */
  readonly index: number;
  /** Its first token's place in the data. */
  readonly offset: number;
  /** [T] */
  readonly tokens: Uint32Array;
  /** [T] the token that follows each. */
  readonly targets: Uint32Array;
  /** [T] 1 where the target is learned, 0 where it is not. */
  readonly mask: Uint8Array;
}

/** Where a stream of windows stands: plain JSON, to be kept in a checkpoint. */
export interface WindowPosition {
  readonly version: 1;
  readonly order: WindowOrder;
  readonly context: number;
  readonly seed: number;
  /** Of the data. */
  readonly tokens: number;
  readonly documents: number;
  /** The window that comes next. */
  readonly index: number;
}

export interface WindowStreamOptions extends WindowSamplerOptions {
  /** Where an earlier stream over the same data stood. */
  readonly position?: WindowPosition | undefined;
}

/** Windows without end: round after round over the data. */
export interface WindowStream {
  /** Windows until each has come once. */
  readonly windowsPerRound: number;
  /**
   * The next window; calls take effect in order and need not be awaited between. A window whose every target is masked, or
   * that has none, is left out. After a failure the same window comes again.
   * @throws DataError `TOKEN_INVALID`, `ABORTED`, `TOO_FEW_TOKENS` where a whole round has nothing to learn
   */
  next(options?: ReadTokensOptions): Promise<TrainingWindow>;
  /** Where the stream stands: behind the last window that was read, or behind `window` where later ones were fetched ahead. */
  position(window?: TrainingWindow): WindowPosition;
}

/**
 * A stream of windows over data that stays the caller's. The same data, options and position give the same windows.
 * @throws DataError `TOO_FEW_TOKENS`, `POSITION_INVALID`
 */
export function createWindowStream(
  data: TokenData,
  { position, ...options }: WindowStreamOptions,
): WindowStream {
  const sampler = createWindowSampler(data, options);
  const { order, context, seed = 0 } = options;
  const { tokens, documents } = data;
  const start = { version: 1, order, context, seed, tokens, documents, index: 0 } as const;
  let index = position === undefined ? 0 : indexOf(position, start);
  const nextWindow = async (reading: ReadTokensOptions): Promise<TrainingWindow> => {
    for (let left = sampler.windows; left > 0; left--) {
      throwIfAborted('reading windows', reading.signal);
      const { offset, length } = await sampler.range(index);
      const window = await readWindow(data, { index, offset, length }, reading);
      index++;
      if (window.mask.includes(1)) return window;
    }
    throw new DataError({
      code: 'TOO_FEW_TOKENS',
      message: `${data.name}: not one of ${sampler.windows} windows has a token to learn: all are masked, or documents of one token`,
      expected: 1,
      got: 0,
    });
  };
  let previous: Promise<unknown> = Promise.resolve();
  return {
    windowsPerRound: sampler.windows,
    next(reading = {}) {
      // One after another: which windows are left out must not depend on which was read first.
      const window = previous.then(() => nextWindow(reading));
      previous = window.catch(() => undefined);
      return window;
    },
    position: (window) => ({ ...start, index: window === undefined ? index : window.index + 1 }),
  };
}

async function readWindow(
  data: TokenData,
  { index, offset, length }: { index: number; offset: number; length: number },
  options: ReadTokensOptions,
): Promise<TrainingWindow> {
  const [tokens, mask] = await Promise.all([
    data.read(offset, length, options),
    data.readMask?.(offset, length, options),
  ]);
  return {
    index,
    offset,
    tokens: tokens.subarray(0, -1),
    targets: tokens.subarray(1),
    mask: mask?.subarray(1) ?? new Uint8Array(Math.max(0, length - 1)).fill(1),
  };
}

/** @throws DataError `POSITION_INVALID` for a position of anything else */
function indexOf(position: WindowPosition, start: WindowPosition): number {
  // It comes out of a file, whatever its type says.
  const read: unknown = position;
  const given: Readonly<Record<string, unknown>> =
    typeof read === 'object' && read !== null ? { ...read } : {};
  for (const [name, expected] of Object.entries(start)) {
    if (name === 'index' || given[name] === expected) continue;
    throw new DataError({
      code: 'POSITION_INVALID',
      message: `the position belongs to other data or to another order: its ${name} is ${String(given[name])}, here it is ${expected}`,
      expected,
      got: given[name],
    });
  }
  const { index } = given;
  if (typeof index === 'number' && Number.isSafeInteger(index) && index >= 0) return index;
  throw new DataError({
    code: 'POSITION_INVALID',
    message: `the position's index is an integer of 0 or more, not ${String(index)}`,
    got: index,
  });
}
