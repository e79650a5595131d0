/** Faults that small batches, few slots and one model at a time do not show. */
import type { Batch, HostWeight, Rows } from '@rwkv-ts/backend';
import type { BrokenBackend } from './types.js';

/** Runs one step after the other, each with what `choose` makes of all steps queued so far. */
function oneAtATime(choose: (own: Batch, newest: Batch) => Batch) {
  return (right: (batch: Batch) => Promise<Rows>) => {
    let tail: Promise<unknown> = Promise.resolve();
    let newest: Batch;
    return (batch: Batch): Promise<Rows> => {
      const own = structuredClone(batch);
      newest = own;
      const rows = tail.then(() => right(choose(own, newest)));
      tail = rows.catch(() => undefined);
      return rows;
    };
  };
}

const sameShape = (a: Batch, b: Batch) =>
  a.tokens.length === b.tokens.length && String(a.starts) === String(b.starts);

export const sizes: readonly BrokenBackend[] = [
  {
    name: 'slots are masked to six bits',
    group: 'sizes',
    cases: /150 slots/,
    message: /step 0|BATCH_INVALID|once|slot \d+ of 150/,
    fault: () => ({
      run: (right) => async (batch) => right({ ...batch, slots: batch.slots.map((s) => s & 63) }),
    }),
  },
  {
    name: 'only the first 64 sequences of a batch keep their states',
    group: 'sizes',
    cases: /RWKV-7: 150 slots/,
    message: /step 3|slot \d+ of 150/,
    fault: () => ({
      run: (right, states) => async (batch) => {
        const late = [...batch.slots.subarray(64)];
        const saved = await Promise.all(late.map((slot) => states.read(slot)));
        const rows = await right(batch);
        for (const [index, slot] of late.entries()) states.write(slot, saved[index]!);
        return rows;
      },
    }),
  },
  {
    name: 'rows of tokens from the 256th on stay zero',
    group: 'sizes',
    cases: /RWKV-4, heads of 64/,
    message: /step 0, T = 257, S = 1: row 4/,
    fault: () => ({
      run: (right) => async (batch) => {
        const rows = await right(batch);
        const width = rows.length / Math.max(1, batch.wanted.length);
        return rows.map((x, n) => (batch.wanted[Math.floor(n / width)]! >= 256 ? 0 : x));
      },
    }),
  },
  {
    name: 'a single token after a long prompt starts afresh',
    group: 'sizes',
    cases: /RWKV-7, heads of 64/,
    message: /step \d, T = \d/,
    fault: () => ({
      run: (right, states) => {
        let before = 0;
        return async (batch) => {
          if (before > 250) for (const slot of batch.slots) states.reset(slot);
          before = batch.tokens.length;
          return right(batch);
        };
      },
    }),
  },
  {
    name: 'a queued step reads the tokens of the newest one of its shape',
    group: 'sizes',
    cases: /shapes that alternate/,
    message: /step \d+ of 30, queued/,
    fault: () => ({
      run: oneAtATime((own, newest) =>
        sameShape(own, newest) ? { ...own, tokens: newest.tokens } : own,
      ),
    }),
  },
  {
    name: 'the second executable on the same states has states of its own',
    group: 'sizes',
    cases: /an executable for prompts/,
    message: /step 4 over two executables/,
    fault: () => {
      let made = 0;
      return {
        run: (right, states) => {
          const second = made++ === 1;
          return async (batch) => {
            if (second) for (const slot of batch.slots) states.reset(slot);
            return right(batch);
          };
        },
      };
    },
  },
  ...(['three models', 'the same program again'] as const).map((title): BrokenBackend => ({
    name: `weights are kept by name and shape (${title})`,
    group: 'sizes',
    cases: new RegExp(title),
    message: /model 1 of 3|with other weights, after/,
    fault: () => {
      const kept = new Map<string, HostWeight>();
      return {
        weight: (weight) => {
          const key = `${weight.name} ${String(weight.shape)}`;
          const known = kept.get(key) ?? { ...weight, bytes: weight.bytes.slice() };
          kept.set(key, known);
          return { ...known, bytes: known.bytes.slice() };
        },
      };
    },
  })),
  {
    name: 'what the step before left in the buffers is added times zero',
    group: 'sizes',
    cases: /stays alone/,
    message: /rows after a step of a state that is NaN/,
    fault: () => ({
      run: (right) => {
        let before: Rows = new Float32Array(0);
        return async (batch) => {
          const rows = await right(batch);
          const result = rows.map((x, n) => x + 0 * (before[n] ?? 0));
          before = rows;
          return result;
        };
      },
    }),
  },
  {
    name: 'token ids of 16 bits',
    group: 'sizes',
    cases: /vocabulary/,
    message: /a vocabulary of 65537: row 0/,
    fault: () => ({
      run: (right) => async (batch) =>
        right({ ...batch, tokens: batch.tokens.map((token) => token & 0xffff) }),
    }),
  },
  {
    name: 'columns beyond 65,535 groups are not computed',
    group: 'sizes',
    cases: /vocabulary/,
    message: /a vocabulary of 65537: row 0, column 6553\d/,
    fault: () => ({
      run: (right) => async (batch) =>
        (await right(batch)).map((x, n) => (n % 65_537 < 65_535 ? x : 0)),
    }),
  },
  {
    name: 'long rows are cut',
    group: 'sizes',
    cases: /norm of long rows/,
    message: /norm of rows of 8195/,
    fault: () => ({
      run: (right) => async (batch) =>
        (await right(batch)).map((x, n) => (n % 8195 < 8192 ? x : 0)),
    }),
  },
];
