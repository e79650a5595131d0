/** Who owns what, for how long; what is refused, and that it changes nothing. */
import type { HostWeight, Training, TrainingBatch, TrainingOptions } from '@rwkv-ts/backend';
import { assertSame, check, equal, rejects, throws, throwsOrRejects } from '../assert.js';
import { opCaseTable } from '../cases/index.js';
import { OpScope } from '../op-scope.js';
import { handOver } from '../session.js';
import type { CaseContext, CaseDefinition } from '../types.js';
import {
  everything,
  openTraining,
  requireTraining,
  type TrainingBackend,
  trainingBatchOf,
  trainingLimits,
} from './session.js';

function createModel() {
  const scope = new OpScope({ seed: 3 });
  const x = scope.input(24);
  const [shifted, sum, out] = [scope.value(24), scope.value(24), scope.value(33)];
  scope.emit({ kind: 'shift', out: shifted, x, state: scope.state([24], 0.5) });
  scope.emit({ kind: 'add', out: sum, x, y: shifted });
  scope.emit({ kind: 'matmul', out, x: sum, weight: scope.matrix(33, 24) });
  return { program: scope.program(out), weights: scope.hostWeights };
}
const model = createModel();
const table = model.program.weights[0]!.name;
const options: TrainingOptions = { trainable: everything(model.program), limits: trainingLimits };
const batch = trainingBatchOf([{ slot: 0, tokens: [5, 6, 7] }], { outputs: 33 });
const update = {
  step: 1,
  learningRate: 1e-3,
  weightDecay: 0,
  betas: [0.9, 0.99],
  epsilon: 1e-8,
} as const;

const dispose = (handle: AsyncDisposable) => handle[Symbol.asyncDispose]();

/** A backend of the case's own that trains. */
async function fresh(context: CaseContext): Promise<TrainingBackend> {
  requireTraining(context, model.program);
  return (await context.create()) as TrainingBackend;
}

async function expectDisposed(training: Training, what: string): Promise<void> {
  const answers: Readonly<Record<string, () => Promise<unknown>>> = {
    evaluate: () => training.evaluate(batch),
    accumulate: () => training.accumulate(batch),
    update: () => training.update(update),
  };
  for (const [name, call] of Object.entries(answers)) {
    await rejects(call, 'DISPOSED', `${name} after ${what}`);
  }
  const reads: Readonly<Record<string, () => Promise<unknown>>> = {
    read: () => training.read(table, 'value'),
    readStates: () => training.readStates(0),
  };
  for (const [name, call] of Object.entries(reads)) {
    await throwsOrRejects(call, 'DISPOSED', `${name} after ${what}`);
  }
  const changes: Readonly<Record<string, () => void>> = {
    resetSlot: () => {
      training.resetSlot(0);
    },
    copyStates: () => {
      training.copyStates(0, 1);
    },
    clearStateGradients: () => {
      training.clearStateGradients(0);
    },
    collectInitialGradients: () => {
      training.collectInitialGradients(0);
    },
    writeStates: () => {
      training.writeStates(0, new Uint8Array(4 * 24));
    },
    write: () => {
      training.write(table, 'value', new Float32Array(61 * 24));
    },
  };
  for (const [name, call] of Object.entries(changes))
    throws(call, 'DISPOSED', `${name} after ${what}`);
}

async function disposal(context: CaseContext): Promise<void> {
  const backend = await fresh(context);
  const training = await openTraining(backend, model);
  check(training.bytes > 0, 'a training holds bytes');
  check(backend.bytes >= training.bytes, "the training's bytes are among the backend's");
  const running = training.accumulate(batch);
  await Promise.all([dispose(training), dispose(training)]);
  check((await running) > 0, 'a run that was queued before disposal gives its loss');
  await dispose(training);
  equal(backend.bytes, 0, 'bytes of a backend without handles');
  await expectDisposed(training, 'disposing of the training');
}

async function backendTakesTraining(context: CaseContext): Promise<void> {
  const backend = await fresh(context);
  const training = await openTraining(backend, model);
  await training.accumulate(batch);
  await dispose(backend);
  await expectDisposed(training, 'disposing of the backend');
  await rejects(
    () => openTraining(backend, model),
    'DISPOSED',
    'createTraining after disposing of the backend',
  );
}

async function severalTrainings(context: CaseContext): Promise<void> {
  const backend = await fresh(context);
  const first = await openTraining(backend, model);
  const alone = await first.accumulate(batch);
  const second = await openTraining(backend, { ...model, trainable: [] });
  await first.update(update);
  const losses = await Promise.all([second.accumulate(batch), second.evaluate(batch)]);
  assertSame(Float64Array.of(losses[0]), Float64Array.of(alone), 'the loss in a second training');
  await dispose(first);
  check((await second.evaluate(batch)) > 0, 'a training outlives the other');
  await dispose(second);
  equal(backend.bytes, 0, 'bytes of a backend without handles');
}

async function ownership(context: CaseContext): Promise<void> {
  const backend = await fresh(context);
  await using training = await openTraining(backend, model);
  const rows = new Float32Array(61 * 24).fill(0.5);
  training.write(table, 'value', rows);
  rows.fill(9);
  const read = await training.read(table, 'value');
  check(
    read.every((number) => number === 0.5),
    'write must copy its numbers before it returns',
  );
  read.fill(7);
  const again = await training.read(table, 'value');
  check(
    again.every((number) => number === 0.5),
    'read must give a copy',
  );
  const snapshot = new Uint8Array(new Float32Array(24).fill(0.25).buffer);
  training.writeStates(0, snapshot);
  const given = snapshot.slice();
  snapshot.fill(0);
  assertSame(await training.readStates(0), given, 'writeStates must copy before it returns');
}

async function isRefused(
  training: Training,
  { wrong, what }: { readonly wrong: TrainingBatch; readonly what: string },
): Promise<void> {
  const before = await training.readStates(0);
  await rejects(() => training.accumulate(wrong), 'BATCH_INVALID', `accumulate, ${what}`);
  await rejects(() => training.evaluate(wrong), 'BATCH_INVALID', `evaluate, ${what}`);
  assertSame(await training.readStates(0), before, `states after ${what}`);
  const gradient = await training.read(table, 'gradient');
  check(
    gradient.every((number) => number === 0),
    `gradients must stay zero after ${what}`,
  );
}

async function badBatches(context: CaseContext): Promise<void> {
  const backend = await fresh(context);
  await using training = await openTraining(backend, model);
  const wrong: Readonly<Record<string, TrainingBatch>> = {
    'a target beyond the output': { ...batch, targets: Uint32Array.of(1, 2, 33) },
    'too few targets': { ...batch, targets: Uint32Array.of(1, 2) },
    'a weight below 0': { ...batch, lossWeights: Float32Array.of(1, -1, 1) },
    'a weight that is no number': { ...batch, lossWeights: Float32Array.of(1, Number.NaN, 1) },
    'a token beyond the table': { ...batch, tokens: Uint32Array.of(5, 6, 61) },
    'a slot beyond the slots': { ...batch, slots: Uint32Array.of(8) },
    'more tokens than the limit': trainingBatchOf(
      [{ slot: 0, tokens: Array.from({ length: 41 }, () => 1) }],
      { outputs: 33, wanted: [0] },
    ),
  };
  for (const [what, each] of Object.entries(wrong))
    await isRefused(training, { wrong: each, what });
  const type = { ...batch, targets: [1, 2, 3] as unknown as Uint32Array };
  await rejects(() => training.accumulate(type), 'TypeError', 'targets of another type');
  const scale = () => training.accumulate(batch, { scale: Number.NaN });
  await rejects(scale, 'TypeError', 'a scale that is no number');
  const empty = {
    tokens: new Uint32Array(0),
    starts: Uint32Array.of(0),
    slots: new Uint32Array(0),
    wanted: new Uint32Array(0),
    targets: new Uint32Array(0),
  };
  equal(await training.accumulate(empty), 0, 'the loss of an empty batch');
  const unwanted = trainingBatchOf([{ slot: 0, tokens: [1, 2] }], { outputs: 33, wanted: [] });
  equal(await training.accumulate(unwanted), 0, 'the loss of a batch without wanted rows');
}

async function badArguments(context: CaseContext): Promise<void> {
  const backend = await fresh(context);
  await using training = await openTraining(backend, model);
  for (const slot of [-1, 8, 0.5]) {
    const calls = [
      () => {
        training.resetSlot(slot);
      },
      () => {
        training.copyStates(0, slot);
      },
      () => {
        training.clearStateGradients(slot);
      },
      () => {
        training.collectInitialGradients(slot);
      },
      () => {
        training.writeStates(slot, new Uint8Array(4 * 24));
      },
    ];
    for (const call of calls) throws(call, 'STATE_INVALID', `slot ${slot}`);
    await throwsOrRejects(
      () => training.readStates(slot),
      'STATE_INVALID',
      `readStates of ${slot}`,
    );
  }
  throws(
    () => {
      training.writeStates(0, new Uint8Array(5));
    },
    'STATE_INVALID',
    'a snapshot of another length',
  );
  await throwsOrRejects(() => training.read('nothing', 'value'), 'TypeError', 'an unknown name');
  throws(
    () => {
      training.write(table, 'value', new Float32Array(3));
    },
    'TypeError',
    'numbers of another length',
  );
}

/** Nothing of a training that could not be made stays behind. */
async function refusedCreation(context: CaseContext): Promise<void> {
  const backend = await fresh(context);
  const [first, ...others] = model.weights;
  const create = (
    weights: AsyncIterable<HostWeight>,
    more: Partial<TrainingOptions> = {},
    program = model.program,
  ) => backend.createTraining(program, weights, { ...options, ...more });
  const all = () => handOver(model.weights);
  const unknown = [{ kind: 'weight', name: 'nothing' }] as const;
  const twice = [options.trainable[0]!, options.trainable[0]!];
  await rejects(() => create(all(), { trainable: unknown }), 'TypeError', 'an unknown trainable');
  await rejects(() => create(all(), { trainable: twice }), 'TypeError', 'a trainable named twice');
  const limits = { ...trainingLimits, slots: 0 };
  await rejects(() => create(all(), { limits }), 'TypeError', 'no slots');
  await rejects(() => create(handOver(others)), 'PROGRAM_INVALID', 'a weight that does not come');
  const repeated = () => create(handOver([...model.weights, first!]));
  await rejects(repeated, 'WEIGHT_INVALID', 'a weight that comes twice');
  const short = { ...first!, bytes: first!.bytes.slice(4) };
  const shortened = () => create(handOver([short, ...others]));
  await rejects(shortened, 'WEIGHT_INVALID', 'bytes of another length');
  let ended = false;
  async function* failing(): AsyncGenerator<HostWeight> {
    yield* all();
    ended = true;
    throw new TypeError('the file ended');
  }
  await rejects(() => create(failing()), 'TypeError', 'an iterable that throws');
  check(ended, 'the iterable must be read to its end');
  equal(backend.bytes, 0, 'bytes after what was refused');
  const unclaimed = Object.values(opCaseTable).find(
    ({ kind }) => !backend.supports.trainingOps?.has(kind),
  );
  if (!unclaimed) return;
  const scope = new OpScope({ seed: 2 });
  const program = scope.program(unclaimed.variants[0]!.build(scope)[0]!);
  const trainable = everything(program);
  await rejects(
    () => create(handOver(scope.hostWeights), { trainable }, program),
    'UNSUPPORTED_OP',
    `training ${unclaimed.kind}, which is not claimed`,
  );
  equal(backend.bytes, 0, 'bytes after an op that was refused');
}

export const trainingHandleCases: readonly CaseDefinition[] = [
  { name: 'disposal waits, frees, and is final', run: disposal },
  { name: 'a backend takes its trainings with it', run: backendTakesTraining },
  { name: 'several trainings on one backend', run: severalTrainings },
  { name: 'arrays that are given and taken are copies', run: ownership },
  { name: 'batches that break a rule are refused and change nothing', run: badBatches },
  { name: 'slots, names and lengths out of range', run: badArguments },
  { name: 'what cannot be created leaves nothing behind', run: refusedCreation },
];
