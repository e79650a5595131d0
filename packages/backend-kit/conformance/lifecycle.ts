/** Group `lifecycle`: who owns what, for how long, in which order, and that everything is given back. */
import type { Backend, HostWeight, Rows } from '@rwkv-ts/backend';
import {
  assertClose,
  assertSame,
  check,
  equal,
  fail,
  rejects,
  throws,
  throwsOrRejects,
} from './assert.js';
import { batchOf } from './batches.js';
import {
  defaultLimits,
  handOver,
  open,
  type OpenOptions,
  requiring,
  type Session,
} from './session.js';
import { OpScope } from './op-scope.js';
import { opBound } from './tolerance.js';
import { uploadCases } from './upload.js';
import type { CaseContext, CaseDefinition } from './types.js';

/** embed → shift → add → matmul: a step whose rows depend on the one before it. */
function createModel(seed = 3): OpenOptions {
  const scope = new OpScope({ seed });
  const x = scope.input(24);
  const [shifted, sum, out] = [scope.value(24), scope.value(24), scope.value(33)];
  scope.emit({ kind: 'shift', out: shifted, x, state: scope.state([24], 0.5) });
  scope.emit({ kind: 'add', out: sum, x, y: shifted });
  scope.emit({ kind: 'matmul', out, x: sum, weight: scope.matrix(33, 24) });
  return { program: scope.program(out), weights: scope.hostWeights };
}
const model = createModel();
const batch = () => batchOf([{ slot: 0, tokens: [5, 6, 7] }]);

const dispose = (handle: AsyncDisposable) => handle[Symbol.asyncDispose]();

async function disposeTwice({ create }: CaseContext): Promise<void> {
  const backend = await create();
  const { executable, states, weights } = await open(backend, model);
  for (const [name, handle] of Object.entries({ executable, states, weights, backend })) {
    await dispose(handle);
    try {
      await dispose(handle);
      await Promise.all([dispose(handle), dispose(handle)]);
    } catch (error) {
      fail(`disposing of the ${name} again must do nothing, but threw ${String(error)}`);
    }
  }
}

/** Every method of a handle that is gone says so. */
async function expectDisposed({ executable, states }: Session, what: string): Promise<void> {
  await rejects(() => executable.run(batch()), 'DISPOSED', `run after ${what}`);
  throws(
    () => {
      states.reset(0);
    },
    'DISPOSED',
    `reset after ${what}`,
  );
  throws(
    () => {
      states.copy(0, 1);
    },
    'DISPOSED',
    `copy after ${what}`,
  );
  throws(
    () => {
      states.write(0, new Uint8Array(4 * 24));
    },
    'DISPOSED',
    `write after ${what}`,
  );
  await throwsOrRejects(() => states.read(0), 'DISPOSED', `read after ${what}`);
}

async function useAfterDispose({ create }: CaseContext): Promise<void> {
  const backend = await create();
  const session = await open(backend, model);
  const { weights, states, executable } = session;
  await session.run(batch());
  await dispose(executable);
  await rejects(() => executable.run(batch()), 'DISPOSED', 'run after disposing of the executable');
  await dispose(states);
  await expectDisposed(session, 'disposing of the states');
  const fresh = await backend.createStates(model.program.states, 2);
  await rejects(
    () => backend.compile(model.program, { weights, states }, defaultLimits),
    'DISPOSED',
    'compile with disposed states',
  );
  await dispose(weights);
  await rejects(
    () => backend.compile(model.program, { weights, states: fresh }, defaultLimits),
    'DISPOSED',
    'compile with disposed weights',
  );
  await dispose(fresh);
  equal(backend.bytes, 0, 'bytes of a backend without handles');
}

async function backendTakesChildren({ create }: CaseContext): Promise<void> {
  const backend = await create();
  const session = await open(backend, model);
  await session.run(batch());
  await dispose(backend);
  await expectDisposed(session, 'disposing of the backend');
  await rejects(
    () => backend.upload(handOver(model.weights)),
    'DISPOSED',
    'upload after disposing of the backend',
  );
  await rejects(
    () => backend.createStates(model.program.states, 1),
    'DISPOSED',
    'createStates after disposing of the backend',
  );
  await rejects(
    () => backend.compile(model.program, session, defaultLimits),
    'DISPOSED',
    'compile after disposing of the backend',
  );
  equal(backend.bytes, 0, 'bytes of a disposed backend');
  await dispose(session.executable);
  await dispose(session.states);
  await dispose(session.weights);
}

async function disposeWaits({ create }: CaseContext): Promise<void> {
  const backend = await create();
  const expected = await (await open(backend, model)).run(batch());
  const session = await open(backend, model);
  const pending = session.run(batch());
  const disposed = dispose(backend);
  assertSame(await pending, expected, 'a run that was queued before disposal');
  await disposed;
  equal(backend.bytes, 0, 'bytes after disposal');
}

async function foreignHandles({ create }: CaseContext): Promise<void> {
  const [backend, other] = [await create(), await create()];
  await using own = await open(backend, model);
  await using foreign = await open(other, model);
  const bindings = [
    { weights: foreign.weights, states: own.states, what: 'weights' },
    { weights: own.weights, states: foreign.states, what: 'states' },
  ];
  for (const { what, ...binding } of bindings) {
    await rejects(
      () => backend.compile(model.program, binding, defaultLimits),
      'TypeError',
      `compile with another backend's ${what}`,
    );
  }
}

async function queueOrder({ backend }: CaseContext): Promise<void> {
  await using awaited = await open(backend, model);
  const steps = Array.from({ length: 24 }, (_, step) =>
    batchOf([
      { slot: step % 3, tokens: Array.from({ length: 1 + (step % 5) }, (_, t) => step + t) },
    ]),
  );
  const expected = [];
  for (const step of steps) expected.push(await awaited.run(step));
  await using queued = await open(backend, model);
  const rows = await Promise.all(steps.map((step) => queued.run(step)));
  for (const [index, row] of rows.entries()) {
    assertSame(row, expected[index]!, `step ${index} of 24 queued without await`);
  }
  for (let slot = 0; slot < 3; slot++) {
    const [got, want] = [await queued.states.read(slot), await awaited.states.read(slot)];
    assertSame(got, want, `slot ${slot} after queued steps`);
  }
}

/** Two executables on the same states are one queue. */
async function sharedStates({ backend }: CaseContext): Promise<void> {
  await using session = await open(backend, model);
  const { weights, states } = session;
  await using second = await backend.compile(
    model.program,
    { weights, states },
    {
      tokens: 3,
      sequences: 1,
      wanted: 3,
    },
  );
  const [first, next] = [session.run(batch()), second.run(batch())];
  await first;
  const rows = await next;
  states.reset(0);
  await session.run(batch());
  const expected = await session.run(batch());
  // Other limits may mean other kernels, so the bits need not agree.
  assertClose({
    got: rows,
    want: expected,
    width: 33,
    bound: opBound('matmul', backend.supports),
    where: 'a second executable after the first, on the same states',
  });
}

async function arraysAreReusable({ backend }: CaseContext): Promise<void> {
  await using session = await open(backend, model);
  const expected = [await session.run(batch()), await session.run(batch())];
  session.states.reset(0);
  const used = batch();
  const first = session.run(used);
  // Different but valid, so that a backend that reads late computes something else rather than fails.
  const { tokens, starts, slots, wanted } = used;
  const kept = [tokens, starts, slots, wanted].map((array) => array.slice());
  tokens.fill(1);
  slots[0] = 2;
  wanted.set([0, 1, 2].slice(0, wanted.length));
  tokens[0] = 9;
  const rows = await first;
  assertSame(rows, expected[0]!, 'rows of a batch whose arrays were reused after the call');
  for (const [index, array] of [tokens, starts, slots, wanted].entries()) array.set(kept[index]!);
  assertSame(await session.run(used), expected[1]!, 'the step after it');
}

async function batchIsTheCallers({ backend }: CaseContext): Promise<void> {
  await using session = await open(backend, model);
  const [used, untouched] = [batch(), batch()];
  await session.run(used);
  for (const name of ['tokens', 'starts', 'slots', 'wanted'] as const) {
    equal(String(used[name]), String(untouched[name]), `batch.${name} after run`);
  }
}

async function rowsAreTheCallers({ backend }: CaseContext): Promise<void> {
  await using session = await open(backend, model);
  const first = await session.run(batch());
  const copy = first.slice();
  const second = await session.run(batchOf([{ slot: 1, tokens: [40, 41, 42] }]));
  assertSame(first, copy, 'rows of a step after the next one');
  second.fill(NaN);
  session.states.reset(0);
  assertSame(await session.run(batch()), copy, 'a step after the caller overwrote earlier rows');
}

/** What an output may lie in; a page may have no shared memory. */
const outputMemories: Readonly<Record<string, (length: number) => Rows>> = {
  Float32Array: (length) => new Float32Array(length),
  Float64Array: (length) => new Float64Array(length),
  ...(typeof SharedArrayBuffer !== 'undefined' && {
    'shared Float32Array': (length) => new Float32Array(new SharedArrayBuffer(4 * length)),
  }),
};

/** `Batch.output`: taken or not, the rows are the same, and nothing else is written to it. */
async function rowsMayGoToOutput({ backend }: CaseContext): Promise<void> {
  await using session = await open(backend, model);
  const [first, second] = [batch(), batchOf([{ slot: 0, tokens: [8] }])];
  const expected = [await session.run(first), await session.run(second)];
  const own = expected[0]!.slice();
  for (const spare of [0, 1, 40, -1]) {
    for (const [memory, allocate] of Object.entries(outputMemories)) {
      session.states.reset(0);
      const outputs = expected.map((rows) => allocate(rows.length + spare).fill(7.5));
      const where = `rows with an output of ${outputs[0]!.length} numbers in a ${memory}`;
      const rows = await Promise.all(
        [first, second].map((step, index) => session.run({ ...step, output: outputs[index]! })),
      );
      for (const [index, want] of expected.entries()) {
        const got = rows[index]!;
        assertSame(got, want, where);
        const output = outputs[index]!;
        const used = got.buffer === output.buffer ? got.length : 0;
        check(
          output.every((number, at) => at < used || number === 7.5),
          `${where}: numbers beyond the rows were written`,
        );
        check(used === 0 || got.byteOffset === 0, `${where}: they must be at its start`);
      }
    }
  }
  assertSame(expected[0]!, own, 'rows of a step without an output, after steps with one');
}

async function bytesReturn({ create }: CaseContext): Promise<void> {
  const backend = await create();
  equal(backend.bytes, 0, 'bytes of a new backend');
  for (let round = 0; round < 3; round++) {
    const session = await open(backend, model);
    const { weights, states, executable } = session;
    check(weights.bytes > 0, 'bytes of weights must be above 0');
    const leastStates = 4 * 24 * states.slots;
    check(
      states.bytes >= leastStates,
      `bytes of states: at least ${leastStates}, got ${states.bytes}`,
    );
    check(executable.bytes >= 0, `bytes of an executable: at least 0, got ${executable.bytes}`);
    const held = weights.bytes + states.bytes + executable.bytes;
    check(backend.bytes >= held, `bytes of the backend: at least ${held}, got ${backend.bytes}`);
    await session.run(batch());
    for (const handle of round === 1
      ? [weights, states, executable]
      : [executable, states, weights]) {
      await dispose(handle);
    }
    equal(backend.bytes, 0, `bytes after round ${round}`);
  }
  await dispose(backend);
  equal(backend.bytes, 0, 'bytes of a disposed backend');
}

async function throwingSource({ create }: CaseContext): Promise<void> {
  const backend: Backend = await create();
  const reason = new Error('the file ended early');
  async function* broken(): AsyncGenerator<HostWeight> {
    for await (const weight of handOver(model.weights.slice(0, 2))) yield weight;
    throw reason;
  }
  let caught: unknown;
  try {
    await backend.upload(broken());
  } catch (error) {
    caught = error;
  }
  check(
    caught === reason,
    `upload must pass the source's own error through, got ${String(caught)}`,
  );
  equal(backend.bytes, 0, 'bytes after an upload whose source threw');
  await using session = await open(backend, model);
  await session.run(batch());
}

/** A backend that stops early lets the source close its file. */
async function sourceIsClosed({ create }: CaseContext): Promise<void> {
  const backend = await create();
  let closed = false;
  async function* source(): AsyncGenerator<HostWeight> {
    try {
      for await (const weight of handOver(model.weights)) yield { ...weight, name: 'twice' };
    } finally {
      closed = true;
    }
  }
  await rejects(() => backend.upload(source()), 'WEIGHT_INVALID', 'a name that occurs twice');
  check(closed, 'the source of weights must be closed when upload fails');
  equal(backend.bytes, 0, 'bytes after a failed upload');
}

export const lifecycleCases: readonly CaseDefinition[] = requiring(model.program, [
  { name: 'dispose is idempotent', run: disposeTwice },
  { name: 'use after dispose is DISPOSED', run: useAfterDispose },
  { name: 'disposing of a backend disposes of its handles', run: backendTakesChildren },
  { name: 'disposal waits for queued runs', run: disposeWaits },
  { name: 'handles of another backend are a TypeError', run: foreignHandles },
  { name: 'runs queued without await keep their order', run: queueOrder },
  { name: 'two executables on the same states keep their order', run: sharedStates },
  { name: 'the arrays of a batch are free after the call', run: arraysAreReusable },
  { name: 'the arrays of a batch are only read', run: batchIsTheCallers },
  { name: 'rows belong to the caller', run: rowsAreTheCallers },
  { name: 'rows may go to memory of the caller', run: rowsMayGoToOutput },
  { name: 'bytes are counted, and return to zero', run: bytesReturn },
  { name: 'a throwing source of weights passes through and frees', run: throwingSource },
  { name: 'a failed upload closes its source', run: sourceIsClosed },
]).concat(uploadCases);
