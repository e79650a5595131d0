/** Faults of owning, giving back and refusing. */
import type { BrokenBackend } from './types.js';

export const handles: readonly BrokenBackend[] = [
  {
    name: 'bytes never return to zero',
    group: 'lifecycle',
    cases: /bytes are counted/,
    message: /bytes after round 0: expected 0, got 64/,
    fault: () => {
      let leaked = 0;
      return { bytes: (count) => count + (count > 0 ? (leaked = 64) : leaked) };
    },
  },
  {
    name: 'a second disposal throws',
    group: 'lifecycle',
    cases: /idempotent/,
    message: /disposing of the backend again/,
    fault: () => {
      let disposed = false;
      return {
        dispose: (right) => async () => {
          if (disposed) throw new Error('double free');
          disposed = true;
          return right();
        },
      };
    },
  },
  {
    name: 'disposing of the backend leaves its handles alive',
    group: 'lifecycle',
    cases: /disposes of its handles/,
    message: /run after disposing of the backend: expected DISPOSED, but it succeeded/,
    fault: () => ({ dispose: () => async () => undefined }),
  },
  {
    name: 'handles of another backend are an error like any other',
    group: 'lifecycle',
    cases: /another backend/,
    message: /compile with another backend's weights: expected TypeError, got Error: foreign/,
    fault: () => ({
      compile:
        (right) =>
        async (...given) => {
          try {
            return await right(...given);
          } catch {
            throw new Error('foreign');
          }
        },
    }),
  },
  {
    name: 'a missing weight is taken as zeros',
    group: 'errors',
    cases: /PROGRAM_INVALID: a missing weight/,
    message: /a missing weight: expected PROGRAM_INVALID, but it succeeded/,
    fault: () => ({
      compile:
        (right) =>
        async (program, ...rest) => {
          try {
            return await right(program, ...rest);
          } catch {
            return {
              bytes: 0,
              run: async () => new Float32Array(0),
              [Symbol.asyncDispose]: async () => undefined,
            };
          }
        },
    }),
  },
  {
    name: 'limits of nothing are taken as one',
    group: 'errors',
    cases: /mistakes of the caller/,
    message: /compile with limits of {"tokens":0}: expected TypeError, but it succeeded/,
    fault: () => ({
      compile: (right) => (program, bindings, limits) =>
        right(program, bindings, { ...limits, tokens: limits.tokens || 1 }),
    }),
  },
  {
    name: 'an error of the source is wrapped',
    group: 'lifecycle',
    cases: /throwing source/,
    message: /must pass the source's own error through/,
    fault: () => ({
      weights: async function* (weights) {
        try {
          yield* weights;
        } catch (cause) {
          throw new Error('upload failed', { cause });
        }
      },
    }),
  },
  {
    name: 'weights of the wrong size are cut to size',
    group: 'errors',
    cases: /WEIGHT_INVALID/,
    message: /too many bytes: expected WEIGHT_INVALID, but it succeeded/,
    fault: () => ({
      weight: (weight) =>
        weight.name === 'w' && weight.bytes.length > 48
          ? { ...weight, bytes: weight.bytes.slice(0, 48) }
          : weight,
    }),
  },
];
