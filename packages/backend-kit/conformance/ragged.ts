/**
 * Group `ragged`: laws of batches that need no reference. A sequence's rows depend on its own tokens and state alone, not
 * on how they are cut into steps, who else is in the batch, or which rows are wanted. Batches of one shape agree to the
 * bit; different shapes may use other kernels, and agree within the bound of a model's logits.
 */
import type { Rows } from '@rwkv-ts/backend';
import { decode } from '@rwkv-ts/formats';
import { assertClose, assertSame, check, differ, equal, rejects } from './assert.js';
import { batchOf, type Sequence } from './batches.js';
import { numbersOf, openLowered, type Session, unclaimedKinds } from './session.js';
import { logitsBound } from './tolerance.js';
import { type TinyModel, tinyModel } from './tiny-models.js';
import type { CaseContext, CaseDefinition } from './types.js';

const versions = ['4', '5.2', '6', '7', '7a'] as const;
type Version = (typeof versions)[number];

interface Law {
  readonly session: Session;
  readonly context: CaseContext;
  readonly model: TinyModel;
  /** Asserts within the bound of the model's logits. */
  readonly close: (got: Rows, want: Rows, where: string) => void;
  /** The same for snapshots, state by state. */
  readonly closeState: (got: Float32Array, want: Float32Array, where: string) => void;
  /** Sets every slot back. */
  readonly reset: () => void;
}

const tokens = (count: number, start: number) =>
  Array.from({ length: count }, (_, t) => (start + 13 * t + ((t * t) % 7)) % 61);

/** Lengths 1, 2, 5 and 17 in slots that are not in order. */
const sequences: readonly Sequence[] = [
  { slot: 2, tokens: tokens(5, 3) },
  { slot: 0, tokens: tokens(1, 8) },
  { slot: 3, tokens: tokens(17, 21) },
  { slot: 1, tokens: tokens(2, 34) },
];

const concatenate = (parts: readonly Rows[]): Float64Array =>
  Float64Array.from(parts.flatMap((part) => [...part]));

async function batchIsAlone({ session, close, closeState, reset }: Law): Promise<void> {
  const together = await session.run(batchOf(sequences));
  const states = await Promise.all(sequences.map(({ slot }) => session.states.read(slot)));
  reset();
  const alone: Rows[] = [];
  for (const sequence of sequences) alone.push(await session.run(batchOf([sequence])));
  close(together, concatenate(alone), 'rows of a batch, against each sequence alone');
  for (const [index, { slot }] of sequences.entries()) {
    const [got, want] = [numbersOf(states[index]!), numbersOf(await session.states.read(slot))];
    closeState(got, want, `state of slot ${slot}, in a batch against alone`);
  }
}

async function splitIsWhole({ session, close, reset }: Law): Promise<void> {
  const all = tokens(33, 5);
  const whole = await session.run(batchOf([{ slot: 1, tokens: all }]));
  const lengths = [
    Array<number>(33).fill(1),
    [7, 1, 25],
    [1, 32],
    [32, 1],
    [16, 16, 1],
    [2, 3, 5, 23],
  ];
  for (const split of lengths) {
    reset();
    const parts: Rows[] = [];
    let start = 0;
    for (const length of split) {
      const part = all.slice(start, start + length);
      parts.push(await session.run(batchOf([{ slot: 1, tokens: part }])));
      start += length;
    }
    close(concatenate(parts), whole, `33 tokens in steps of ${split.join(', ')}, against one step`);
  }
}

async function anyOrder({ session, close, reset, model }: Law): Promise<void> {
  const width = model.config.vocabularySize;
  const rowsBySlot = async (order: readonly Sequence[]) => {
    reset();
    const rows = await session.run(batchOf(order));
    let start = 0;
    return new Map(
      order.map(({ slot, tokens: { length } }) => {
        const own = rows.slice(start * width, (start + length) * width);
        start += length;
        return [slot, own];
      }),
    );
  };
  const first = await rowsBySlot(sequences);
  for (const order of [[...sequences].reverse(), [2, 0, 3, 1].map((index) => sequences[index]!)]) {
    const other = await rowsBySlot(order);
    for (const [slot, rows] of first) {
      close(other.get(slot)!, rows, `rows of slot ${slot} after reordering the sequences`);
    }
  }
}

async function sameTwice({ session, reset }: Law): Promise<void> {
  const runAll = async () => {
    reset();
    const rows = [await session.run(batchOf(sequences)), await session.run(batchOf(sequences))];
    const states = await Promise.all([0, 1, 2, 3].map((slot) => session.states.read(slot)));
    return { rows: concatenate(rows), states };
  };
  const first = await runAll();
  for (let round = 0; round < 3; round++) {
    const again = await runAll();
    assertSame(again.rows, first.rows, 'rows of the same steps run again');
    for (const [slot, state] of first.states.entries()) {
      assertSame(again.states[slot]!, state, `slot ${slot} after the same steps run again`);
    }
  }
}

async function otherSlots({ session, reset }: Law): Promise<void> {
  const first = await session.run(batchOf(sequences));
  reset();
  const moved = sequences.map(({ slot, tokens: own }) => ({ slot: 3 - slot, tokens: own }));
  assertSame(await session.run(batchOf(moved)), first, 'rows of the same batch in other slots');
}

async function anyWanted({ session, close, reset, model }: Law): Promise<void> {
  const width = model.config.vocabularySize;
  const all = await session.run(batchOf(sequences));
  const count = all.length / width;
  // Fewer after more, and others after the same number, so that a row left over from before would show.
  for (const wanted of [[0], [count - 1], [1, 5, 6, 24], [2], [], [3, 23]]) {
    reset();
    const rows = await session.run(batchOf(sequences, wanted));
    const want = concatenate(wanted.map((t) => all.slice(t * width, (t + 1) * width)));
    close(rows, want, `rows [${wanted.join(', ')}] of ${count}`);
  }
}

/** Whether anybody looks must not change what is remembered. */
async function unwantedRowsCount({ session, close, reset }: Law): Promise<void> {
  const all = tokens(9, 2);
  const next = batchOf([{ slot: 0, tokens: [7] }]);
  await session.run(batchOf([{ slot: 0, tokens: all }]));
  const seen = await session.run(next);
  reset();
  await session.run(batchOf([{ slot: 0, tokens: all }], []));
  close(await session.run(next), seen, 'the row after a step without wanted rows');
}

async function historyMatters({ session, reset }: Law): Promise<void> {
  const last = batchOf([{ slot: 0, tokens: [7] }]);
  await session.run(batchOf([{ slot: 0, tokens: [1, 2, 3] }]));
  const after = await session.run(last);
  reset();
  check(differ(after, await session.run(last)), 'rows must depend on the tokens before them');
}

async function embeddings({ session, close, reset, model, context }: Law): Promise<void> {
  const batch = batchOf(sequences);
  const rows = await session.run(batch);
  reset();
  const table = model.weights.find(({ name }) => name === 'emb.weight')!;
  const values = decode(table.format, table.bytes);
  const { channels } = model.config;
  const at = [0, 5, 6, 22, 24];
  const vectors = at.flatMap((t) => {
    const token = batch.tokens[t]!;
    return [...values.subarray(token * channels, (token + 1) * channels)];
  });
  const given = { at: Uint32Array.from(at), vectors: Float32Array.from(vectors) };
  if (!context.backend.supports.embeddings) {
    const run = () => session.run({ ...batch, embeddings: given });
    await rejects(run, 'BATCH_INVALID', 'embedding vectors that supports does not claim');
    return;
  }
  close(
    await session.run({ ...batch, embeddings: given }),
    rows,
    'embedding vectors of the same tokens',
  );
  reset();
  const moved = { at: given.at, vectors: given.vectors.map((value) => 1 - value) };
  const other = await session.run({ ...batch, embeddings: moved });
  check(differ(other, rows), 'other vectors must give other rows');
  reset();
  const first = { at: Uint32Array.of(0), vectors: moved.vectors.slice(0, channels) };
  const mixed = await session.run({ ...batch, embeddings: first });
  // The vector is in the first sequence, of 5 tokens.
  const rest = 5 * model.config.vocabularySize;
  close(mixed.slice(rest), rows.slice(rest), 'rows of sequences without embedding vectors');
}

/** Steps of every size up to the limits: a prefill of the largest, then a token each. */
async function fullLimits({ session, model, close, reset }: Law): Promise<void> {
  const width = model.config.vocabularySize;
  const full = batchOf([0, 1, 2, 3].map((slot) => ({ slot, tokens: tokens(10, slot) })));
  const rows = await session.run(full);
  equal(rows.length, 40 * width, 'numbers of a batch at all three limits');
  reset();
  const one = await session.run(batchOf([{ slot: 3, tokens: tokens(10, 3) }]));
  close(
    one,
    rows.slice(30 * width),
    'the last sequence of a batch at the limits, against it alone',
  );
}

const laws: Readonly<Record<string, (law: Law) => Promise<void>>> = {
  'a batch gives what each sequence gives alone': batchIsAlone,
  'any split of a sequence gives what the whole gives': splitIsWhole,
  'the order of sequences does not matter': anyOrder,
  'the same steps give the same bits': sameTwice,
  'slots do not matter, to the bit': otherSlots,
  'wanted rows are the same rows, however many': anyWanted,
  'rows nobody wants still advance the state': unwantedRowsCount,
  'rows depend on what came before': historyMatters,
  'a batch at all limits': fullLimits,
  'embedding vectors instead of tokens': embeddings,
};

async function runLaw(
  context: CaseContext,
  { version, law }: { version: Version; law: (law: Law) => Promise<void> },
): Promise<void> {
  const model = tinyModel(version);
  const missing = unclaimedKinds(context.backend, model.program);
  if (missing.length > 0) context.skip(`RWKV-${version} needs ${missing.join(', ')}`);
  await using session = await openLowered(context.backend, model);
  const width = model.config.vocabularySize;
  const bound = logitsBound(context.backend.supports);
  await law({
    session,
    context,
    model,
    close: (got, want, where) => {
      assertClose({ got, want, width, bound, where });
    },
    closeState: (got, want, where) => {
      let at = 0;
      for (const { name, shape, initial } of model.program.states) {
        const size = shape.reduce((total, length) => total * length, 1);
        const end = at + size;
        assertClose({
          got: got.subarray(at, end),
          want: want.subarray(at, end),
          // Rows with initial values of their own (v4's sums and exponent) are quantities of their own.
          width: typeof initial === 'number' ? size : size / (shape[0] ?? 1),
          bound,
          where: `${where}, ${name}`,
        });
        at = end;
      }
    },
    reset: () => {
      for (let slot = 0; slot < session.states.slots; slot++) session.states.reset(slot);
    },
  });
}

export const raggedCases: readonly CaseDefinition[] = versions.flatMap((version) =>
  Object.entries(laws).map(([name, law]) => ({
    name: `RWKV-${version}: ${name}`,
    run: (context: CaseContext) => runLaw(context, { version, law }),
  })),
);
