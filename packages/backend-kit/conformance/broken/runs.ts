/** Faults of running batches. */
import type { Batch, Rows } from '@rwkv-ts/backend';
import { Random } from '../../src/random.js';
import { batchOf } from '../batches.js';
import type { BrokenBackend } from './types.js';

/** Without the last token of every sequence longer than 16, whose rows stay zero. */
function dropTail(batch: Batch): { batch: Batch; kept: (row: number) => boolean } {
  const tokens = [...batch.tokens];
  const dropped = new Set<number>();
  const sequences = [...batch.slots].map((slot, s) => {
    const [start, end] = [batch.starts[s]!, batch.starts[s + 1]!];
    if (end - start <= 16) return { slot, tokens: tokens.slice(start, end) };
    dropped.add(end - 1);
    return { slot, tokens: tokens.slice(start, end - 1) };
  });
  const before = (t: number) => [...dropped].filter((gone) => gone < t).length;
  const wanted = [...batch.wanted].filter((t) => !dropped.has(t)).map((t) => t - before(t));
  return { batch: batchOf(sequences, wanted), kept: (row) => !dropped.has(batch.wanted[row]!) };
}

export const runs: readonly BrokenBackend[] = [
  {
    name: 'the last token of a long sequence is dropped',
    group: 'ragged',
    cases: /RWKV-4: any split/,
    message: /33 tokens in steps/,
    fault: () => ({
      run: (right) => async (batch) => {
        const short = dropTail(batch);
        const rows = await right(short.batch);
        const width = rows.length / Math.max(1, short.batch.wanted.length);
        const all = new Float32Array(batch.wanted.length * width);
        let from = 0;
        for (let row = 0; row < batch.wanted.length; row++) {
          if (!short.kept(row)) continue;
          all.set(rows.subarray(from, from + width), row * width);
          from += width;
        }
        return all;
      },
    }),
  },
  {
    name: 'tokens after the last wanted row are skipped',
    group: 'ragged',
    cases: /RWKV-4: rows nobody wants/,
    message: /the row after a step without wanted rows/,
    fault: () => ({
      run: (right) => async (batch) => {
        if (batch.wanted.length === 0) return new Float32Array(0);
        return right(batch);
      },
    }),
  },
  {
    name: 'embedding vectors are ignored',
    group: 'ragged',
    cases: /RWKV-7a: embedding/,
    message: /other vectors must give other rows/,
    fault: () => ({
      run:
        (right) =>
        async ({ tokens, starts, slots, wanted }) =>
          right({ tokens, starts, slots, wanted }),
    }),
  },
  {
    name: 'candidates are asked for, and the whole rows come',
    group: 'ragged',
    cases: /^candidates: the same step/,
    message: /numbers of the candidates/,
    fault: () => ({
      run: (right) => (batch) => right({ ...batch, candidates: false }),
    }),
  },
  {
    name: 'the output row is always the first',
    group: 'ragged',
    cases: /^candidates: the same step/,
    message: /the output row/,
    fault: () => ({ outputRow: (right) => () => right(0) }),
  },
  {
    name: 'an output row of a step without candidates',
    group: 'ragged',
    cases: /^candidates: rows that are not there/,
    message: /a row before any step/,
    fault: () => ({ outputRow: () => async () => new Float32Array(300) }),
  },
  {
    name: 'two slots share their memory',
    group: 'state',
    cases: /to the bit$/,
    message: /untouched slot/,
    fault: () => ({
      run: (right, states) => async (batch) => {
        const rows = right(batch);
        for (const slot of batch.slots) if (slot === 2) states.copy(2, 3);
        return rows;
      },
    }),
  },
  {
    name: 'the state of a step is not saved',
    group: 'ragged',
    cases: /RWKV-7: (any split|rows depend)/,
    message: /33 tokens in steps/,
    fault: () => ({
      run: (right, states) => async (batch) => {
        const saved = await Promise.all([...batch.slots].map((slot) => states.read(slot)));
        const rows = await right(batch);
        for (const [s, slot] of batch.slots.entries()) states.write(slot, saved[s]!);
        return rows;
      },
    }),
  },
  {
    name: 'a row is stale after fewer rows are wanted',
    group: 'ragged',
    cases: /RWKV-6: wanted rows/,
    message: /rows \[.*\] of 25/,
    fault: () => ({
      run: (right) => {
        let before: Rows = new Float32Array(0);
        return async (batch) => {
          const rows = await right(batch);
          const stale = before.length > rows.length;
          const result = rows.map((value, n) => (stale && n < 61 ? before[n]! : value));
          before = rows.slice();
          return result;
        };
      },
    }),
  },
  {
    name: 'rows are computed in the order of slots, not of sequences',
    group: 'ragged',
    cases: /RWKV-4: (a batch|the order)/,
    message: /rows of a batch/,
    fault: () => ({
      run: (right) => async (batch) => {
        const sequences = [...batch.slots].map((slot, s) => ({
          slot,
          tokens: [...batch.tokens.subarray(batch.starts[s], batch.starts[s + 1])],
        }));
        sequences.sort((a, b) => a.slot - b.slot);
        return right(batchOf(sequences, [...batch.wanted]));
      },
    }),
  },
  {
    name: 'results differ in their last bits from run to run',
    group: 'ragged',
    cases: /same bits/,
    message: /rows of the same steps run again: element \d+ must be the same to the bit/,
    fault: () => {
      const random = new Random(1, 'noise');
      return {
        run: (right) => async (batch) =>
          (await right(batch)).map((value) => value * (1 + 3e-7 * random.normal())),
      };
    },
  },
  {
    name: 'the caller’s batch is overwritten',
    group: 'lifecycle',
    cases: /only read/,
    message: /batch\.wanted after run/,
    fault: () => ({
      run: (right) => async (batch) => {
        const rows = await right(batch);
        batch.wanted.reverse();
        return rows;
      },
    }),
  },
  {
    name: 'the arrays of a batch are read after the call',
    group: 'lifecycle',
    cases: /arrays of a batch are free/,
    message: /arrays were reused after the call/,
    fault: () => ({
      run: (right) => async (batch) => {
        await Promise.resolve();
        return right(batch);
      },
    }),
  },
  {
    name: 'rows alias the next step’s',
    group: 'lifecycle',
    message: /rows of a step after the next one/,
    fault: () => ({
      run: (right) => {
        const buffer = new Float32Array(1 << 14);
        return async (batch) => {
          const rows = await right(batch);
          buffer.set(rows);
          return buffer.subarray(0, rows.length);
        };
      },
    }),
  },
  {
    name: 'an output that is too short gets what fits',
    group: 'lifecycle',
    cases: /memory of the caller/,
    message: /rows with an output of/,
    fault: () => ({
      run: (right) => async (batch) => {
        const rows = await right(batch);
        const { output } = batch;
        if (!(output instanceof Float32Array)) return rows;
        output.set(rows.subarray(0, output.length));
        return output.subarray(0, rows.length);
      },
    }),
  },
  {
    name: 'an output is written to behind the rows',
    group: 'lifecycle',
    cases: /memory of the caller/,
    message: /beyond the rows were written/,
    fault: () => ({
      run: (right) => async (batch) => {
        const rows = await right(batch);
        const { output } = batch;
        if (!(output instanceof Float32Array) || output.length < rows.length) return rows;
        output.fill(0);
        output.set(rows);
        return output.subarray(0, rows.length);
      },
    }),
  },
  {
    name: 'queued runs overtake each other',
    group: 'lifecycle',
    cases: /keep their order/,
    message: /step \d+ of 24 queued|second executable/,
    fault: () => {
      let waiting = 0;
      return {
        run: (right) => async (batch) => {
          const copy = structuredClone(batch);
          // Every other run waits, so that the one after it comes first.
          if (waiting++ % 2 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
          return right(copy);
        },
      };
    },
  },
  {
    name: 'a slot twice in a batch is taken as one',
    group: 'errors',
    message: /a slot twice: expected BATCH_INVALID, but it succeeded/,
    fault: () => ({
      run: (right) => async (batch) =>
        right(
          new Set(batch.slots).size < batch.slots.length
            ? { ...batch, slots: Uint32Array.of(0, 1) }
            : batch,
        ),
    }),
  },
  {
    name: 'a batch is refused after its first sequence ran',
    group: 'errors',
    message: /slot 0 after a refused batch/,
    fault: () => ({
      run: (right) => async (batch) => {
        try {
          return await right(batch);
        } catch (error) {
          await right(batchOf([{ slot: 0, tokens: [1] }])).catch(() => undefined);
          throw error;
        }
      },
    }),
  },
  {
    name: 'run throws instead of rejecting',
    group: 'errors',
    message: /expected a rejection, got a synchronous throw/,
    fault: () => ({
      run: (right) => (batch) => {
        if (batch.slots[0] === batch.slots[1] && batch.slots.length > 1)
          throw new Error('slot twice');
        return right(batch);
      },
    }),
  },
];
