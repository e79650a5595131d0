import type { ByteSink } from '../byte-source.js';
import { WeightsError } from '../errors.js';

/** Collects bytes in memory: for small files and tests. */
export interface MemorySink extends ByteSink {
  /** Everything written, in one new array. @throws WeightsError `SINK_FAILED` before `close` or after disposal. */
  bytes(): Uint8Array<ArrayBuffer>;
}

export function memorySink(): MemorySink {
  let parts: Uint8Array[] = [];
  let state: 'open' | 'closed' | 'disposed' = 'open';
  const requireState = (wanted: 'open' | 'closed', action: string) => {
    if (state === wanted) return;
    throw new WeightsError({
      code: 'SINK_FAILED',
      message: `cannot ${action} a memory sink that is ${state}`,
      expected: wanted,
      got: state,
    });
  };
  return {
    async write(bytes) {
      requireState('open', 'write to');
      // `slice` of a Node Buffer would not copy.
      parts.push(new Uint8Array(bytes));
    },
    async close() {
      requireState('open', 'close');
      state = 'closed';
    },
    bytes() {
      requireState('closed', 'take the bytes of');
      return joinBytes(parts);
    },
    async [Symbol.asyncDispose]() {
      parts = [];
      state = 'disposed';
    },
  };
}

/** One array holding `parts` one after another. */
export function joinBytes(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
