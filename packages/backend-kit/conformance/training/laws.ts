/** Laws of runs that learn, which need no reference: what adds up, what stays, and what is the same to the bit. */
import type { Rows, Training, TrainingBatch } from '@rwkv-ts/backend';
import { assertClose, assertSame, check, differ, equal } from '../assert.js';
import type { Sequence } from '../batches.js';
import { tinyModel } from '../tiny-models.js';
import type { CaseContext, CaseDefinition } from '../types.js';
import { accumulateChunks } from './chunks.js';
import {
  everything,
  openTraining,
  type OpenTrainingOptions,
  requireTraining,
  trainingBatchOf,
} from './session.js';
import { modelTrainingBound } from './tolerance.js';

const outputs = 61;
const tokens = (count: number, start: number): number[] =>
  Array.from({ length: count }, (_, t) => (start + 17 * t + ((t * t) % 5)) % outputs);
const sequences: readonly Sequence[] = [
  { slot: 1, tokens: tokens(9, 4) },
  { slot: 3, tokens: tokens(20, 30) },
  { slot: 0, tokens: tokens(2, 11) },
];
const batch = trainingBatchOf(sequences, { outputs, weighted: true });

interface Law {
  readonly training: Training;
  readonly context: CaseContext;
  readonly model: OpenTrainingOptions;
  /** Asserts within the bound of a model's gradients, relative to the largest number. */
  readonly close: (got: Gradients, want: Gradients, where: string) => void;
}

type Gradients = ReadonlyMap<string, Rows>;

async function read(
  { training, model }: Pick<Law, 'training' | 'model'>,
  part: 'gradient' | 'value' = 'gradient',
): Promise<Gradients> {
  const numbers = new Map<string, Rows>();
  for (const { name } of everything(model.program)) {
    numbers.set(name, await training.read(name, part));
  }
  return numbers;
}

async function clear({ training, model }: Law): Promise<void> {
  for (const { name } of everything(model.program)) {
    const { length } = await training.read(name, 'gradient');
    training.write(name, 'gradient', new Float32Array(length));
  }
}

/** What a batch adds to gradients that are zero, from reset slots. */
async function gradientsOf(
  law: Law,
  batches: readonly TrainingBatch[],
  scale = 1,
): Promise<Gradients> {
  const { training } = law;
  await clear(law);
  for (const each of batches) {
    for (const slot of each.slots) training.resetSlot(slot);
    void training.accumulate(each, { scale });
    for (const slot of each.slots) training.collectInitialGradients(slot);
  }
  return read(law);
}

const same = (got: Gradients, want: Gradients, where: string): void => {
  for (const [name, rows] of want) assertSame(got.get(name)!, rows, `${where}: ${name}`);
};

/** One sequence of a batch as a batch of its own. */
function alone({ slots, starts, ...all }: TrainingBatch, s: number): TrainingBatch {
  const [start, end] = [starts[s]!, starts[s + 1]!];
  const rows = [...all.wanted.keys()].filter(
    (row) => all.wanted[row]! >= start && all.wanted[row]! < end,
  );
  return {
    tokens: all.tokens.slice(start, end),
    starts: Uint32Array.of(0, end - start),
    slots: slots.slice(s, s + 1),
    wanted: Uint32Array.from(rows, (row) => all.wanted[row]! - start),
    targets: Uint32Array.from(rows, (row) => all.targets[row]!),
    lossWeights: Float32Array.from(rows, (row) => all.lossWeights?.[row] ?? 1),
  };
}

async function batchIsSum(law: Law): Promise<void> {
  const together = await gradientsOf(law, [batch]);
  const apart = await gradientsOf(
    law,
    [2, 0, 1].map((s) => alone(batch, s)),
  );
  law.close(apart, together, 'sequences alone, against all in a batch');
}

async function chunksAreWhole(law: Law): Promise<void> {
  const long = [...sequences[1]!.tokens, ...tokens(17, 7)];
  const whole = trainingBatchOf([{ slot: 2, tokens: long }], { outputs });
  const want = await gradientsOf(law, [whole]);
  await clear(law);
  const cut = 20;
  const part = (from: number, to: number): TrainingBatch => ({
    ...trainingBatchOf([{ slot: 2, tokens: long.slice(from, to) }], { outputs }),
    targets: whole.targets.slice(from, to),
  });
  const parts = { first: part(0, cut), second: part(cut, long.length) };
  await accumulateChunks(law.training, parts);
  law.close(await read(law), want, 'two chunks with gradients across the cut, against one run');
}

async function cutsStop(law: Law): Promise<void> {
  const { training } = law;
  const [first, second] = [alone(batch, 0), { ...alone(batch, 1), slots: Uint32Array.of(1) }];
  const want = await gradientsOf(law, [first]);
  training.resetSlot(1);
  void training.accumulate(second);
  await clear(law);
  training.clearStateGradients(1);
  training.resetSlot(2);
  training.copyStates(2, 1);
  void training.accumulate(first);
  training.collectInitialGradients(1);
  law.close(await read(law), want, 'a run after a cleared cut, against the run alone');
}

async function scalesAndMasks(law: Law): Promise<void> {
  const plain = await gradientsOf(law, [batch]);
  const tripled = await gradientsOf(law, [batch], -3);
  const divided = new Map([...tripled].map(([name, rows]) => [name, rows.map((x) => x / -3)]));
  law.close(divided, plain, 'a third of the gradients at scale -3, negated');
  const counted = [...batch.wanted.keys()].filter((row) => batch.lossWeights![row]! > 0);
  const masked: TrainingBatch = {
    ...batch,
    wanted: Uint32Array.from(counted, (row) => batch.wanted[row]!),
    targets: Uint32Array.from(counted, (row) => batch.targets[row]!),
    lossWeights: Float32Array.from(counted, (row) => batch.lossWeights![row]!),
  };
  check(masked.wanted.length < batch.wanted.length, 'the case needs rows that do not count');
  law.close(await gradientsOf(law, [masked]), plain, 'rows of weight 0 left out');
  const { lossWeights, ...unweighted } = batch;
  const ones = { ...batch, lossWeights: new Float32Array(lossWeights!.length).fill(1) };
  const want = await gradientsOf(law, [unweighted]);
  same(await gradientsOf(law, [ones]), want, 'weights of 1, against none');
}

async function accumulates(law: Law): Promise<void> {
  const { training } = law;
  const once = await gradientsOf(law, [batch]);
  for (const slot of batch.slots) training.resetSlot(slot);
  await training.accumulate(batch);
  for (const slot of batch.slots) training.collectInitialGradients(slot);
  const halves = new Map(
    [...(await read(law))].map(([name, rows]) => [name, rows.map((x) => x / 2)]),
  );
  law.close(halves, once, 'half of what two runs left');
}

async function sameBits(law: Law): Promise<void> {
  const { training } = law;
  const parts = { first: batch, second: batch };
  const run = async () => {
    await clear(law);
    const losses = await accumulateChunks(training, parts, { scale: 1 / 7 });
    const states = await Promise.all([...batch.slots].map((slot) => training.readStates(slot)));
    return { losses: Float64Array.from(losses), gradients: await read(law), states };
  };
  const first = await run();
  for (let round = 0; round < 3; round++) {
    const again = await run();
    assertSame(again.losses, first.losses, 'losses of the same runs again');
    same(again.gradients, first.gradients, 'gradients of the same runs again');
    for (const [index, state] of first.states.entries()) {
      assertSame(
        again.states[index]!,
        state,
        `slot ${batch.slots[index]!} after the same runs again`,
      );
    }
  }
}

async function evaluateIsForward(law: Law): Promise<void> {
  const { training } = law;
  await clear(law);
  const before = await read(law);
  const [first] = [alone(batch, 1)];
  training.resetSlot(3);
  const initial = await training.readStates(3);
  const evaluated = await training.evaluate(first);
  const moved = await training.readStates(3);
  check(differ(moved, initial), 'evaluate must move the states on');
  same(await read(law), before, 'gradients after evaluate');
  training.collectInitialGradients(3);
  same(await read(law), before, 'initial gradients of a slot that was only evaluated on');
  training.resetSlot(3);
  const accumulated = await training.accumulate(first, { scale: 5, largestLogitPenalty: 1 });
  const bound = modelTrainingBound(law.context.backend.supports);
  assertClose({
    got: Float64Array.of(accumulated),
    want: Float64Array.of(evaluated),
    width: 1,
    bound,
    where: 'the loss that accumulate gives, of which scale and penalty are no part',
  });
}

async function slotsAreApart(law: Law): Promise<void> {
  const { training } = law;
  await clear(law);
  const zero = await read(law);
  for (let slot = 0; slot < 8; slot++) training.resetSlot(slot);
  const others = [2, 4, 5, 6, 7];
  const before = await Promise.all(others.map((slot) => training.readStates(slot)));
  await training.accumulate(batch);
  for (const [index, slot] of others.entries()) {
    assertSame(
      await training.readStates(slot),
      before[index]!,
      `slot ${slot}, outside of the batch`,
    );
  }
  await clear(law);
  training.copyStates(3, 5);
  assertSame(await training.readStates(5), await training.readStates(3), 'states that were copied');
  for (const slot of others) training.collectInitialGradients(slot);
  same(await read(law), zero, 'gradients of slots outside of the batch, one with copied states');
  training.resetSlot(1);
  training.collectInitialGradients(1);
  same(await read(law), zero, 'gradients of a slot that was reset');
  training.collectInitialGradients(3);
  const collected = await read(law);
  const names = law.model.program.states.map(({ name }) => name);
  check(
    names.some((name) => differ(collected.get(name)!, zero.get(name)!)),
    'collectInitialGradients must add what the batch left in its slot',
  );
  training.collectInitialGradients(3);
  same(await read(law), collected, 'gradients after a slot was collected twice');
  training.clearStateGradients(0);
  training.collectInitialGradients(0);
  same(await read(law), collected, 'gradients after a slot was cleared');
}

async function statesComeAndGo(law: Law): Promise<void> {
  const { training } = law;
  training.resetSlot(0);
  training.resetSlot(1);
  assertSame(await training.readStates(0), await training.readStates(1), 'slots that were reset');
  await training.evaluate(batch);
  const snapshot = await training.readStates(1);
  training.writeStates(6, snapshot);
  assertSame(await training.readStates(6), snapshot, 'a snapshot written and read');
  const name = law.model.program.states[0]!.name;
  const kept = await training.read(name, 'value');
  training.write(
    name,
    'value',
    kept.map((number) => number + 1),
  );
  const stays = await training.readStates(1);
  assertSame(stays, snapshot, 'a slot in work while the initial numbers change');
  training.resetSlot(1);
  training.write(name, 'value', kept);
  training.resetSlot(0);
  const [changed, plain] = [await training.readStates(1), await training.readStates(0)];
  check(differ(changed, plain), 'resetSlot must give the initial numbers as they stand');
}

async function inCallOrder(law: Law): Promise<void> {
  const { training } = law;
  const settings = {
    learningRate: 1e-3,
    weightDecay: 0,
    betas: [0.9, 0.99],
    epsilon: 1e-4,
  } as const;
  const values = await read(law, 'value');
  const run = async (wait: boolean) => {
    for (const [name, rows] of values) {
      training.write(name, 'value', rows);
      for (const part of ['gradient', 'first-moment', 'second-moment'] as const) {
        training.write(name, part, new Float32Array(rows.length));
      }
    }
    const losses: Promise<number>[] = [];
    for (let step = 1; step <= 3; step++) {
      for (const slot of batch.slots) training.resetSlot(slot);
      losses.push(training.accumulate(batch, { scale: 0.1 }));
      if (wait) await losses.at(-1);
      const updated = training.update({ step, ...settings });
      if (wait) await updated;
    }
    return {
      losses: Float64Array.from(await Promise.all(losses)),
      values: await read(law, 'value'),
    };
  };
  const waited = await run(true);
  const queued = await run(false);
  assertSame(queued.losses, waited.losses, 'losses of calls that were not awaited');
  same(queued.values, waited.values, 'weights after calls that were not awaited');
  check(waited.losses[2]! < waited.losses[0]!, 'three steps must make the batch likelier');
  equal(queued.losses.length, 3, 'losses');
}

const laws = [
  { name: 'a batch gives the sum of what its sequences give', run: batchIsSum },
  { name: 'chunks with gradients across the cut give what one run gives', run: chunksAreWhole },
  { name: 'gradients stop where they are cleared', run: cutsStop },
  { name: 'the scale, weights of rows, and rows that do not count', run: scalesAndMasks },
  { name: 'gradients add up until the update', run: accumulates },
  { name: 'the same calls give the same bits', run: sameBits },
  { name: 'evaluate moves states and nothing else', run: evaluateIsForward },
  { name: 'slots share nothing; copy, clear, collect', run: slotsAreApart },
  {
    name: 'states come and go as snapshots; reset takes the initial numbers',
    run: statesComeAndGo,
  },
  { name: 'calls take effect in call order', run: inCallOrder },
] as const;

const versions = ['4', '6', '7'] as const;

export const trainingLawCases: readonly CaseDefinition[] = versions.flatMap((version) =>
  laws.map(({ name, run }) => ({
    name: `RWKV-${version}: ${name}`,
    run: async (context: CaseContext) => {
      const model = tinyModel(version);
      const backend = requireTraining(context, model.program);
      await using training = await openTraining(backend, model);
      const bound = modelTrainingBound(backend.supports);
      const close: Law['close'] = (got, want, where) => {
        const largest = Math.max(
          ...[...want.values()].map((rows) => Math.max(...rows.map(Math.abs))),
        );
        for (const [tensor, rows] of want) {
          assertClose({
            got: got.get(tensor)!,
            want: rows,
            width: rows.length,
            bound,
            floor: [1e-3 * largest],
            where: `${where}, gradient of ${tensor}`,
          });
        }
      };
      await run({ training, context, model, close });
    },
  })),
);
