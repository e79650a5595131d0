/** Group `errors`: what is wrong is refused with its code, and a refused batch changes nothing. */
import type { Batch, HostWeight, Program } from '@rwkv-ts/backend';
import { assertSame, equal, rejects } from './assert.js';
import { batchOf } from './batches.js';
import { defaultLimits, handOver, open, type OpenOptions, requiring } from './session.js';
import { OpScope, tableRows } from './op-scope.js';
import type { CaseContext, CaseDefinition } from './types.js';

const width = 12;

function createModel(): OpenOptions & { readonly table: string } {
  const scope = new OpScope({ seed: 5 });
  const x = scope.value(width);
  const table = scope.matrix(tableRows, width);
  scope.emit({ kind: 'embed', out: x, table, by: 'input' });
  const out = scope.value(width);
  scope.emit({ kind: 'shift', out, x, state: scope.state([width]) });
  const projected = scope.value(9);
  scope.emit({ kind: 'matmul', out: projected, x: out, weight: scope.matrix(9, width) });
  return { program: scope.program(projected), weights: scope.hostWeights, table };
}
const model = createModel();

const valid: Batch = batchOf([
  { slot: 0, tokens: [1, 2, 3] },
  { slot: 2, tokens: [4, 5] },
]);
const ids = (...values: number[]) => Uint32Array.from(values);
const many = (count: number, slot = 0) =>
  batchOf([{ slot, tokens: Array<number>(count).fill(1) }], 'last');

const invalidBatches: Readonly<Record<string, Batch>> = {
  'a slot twice': { ...valid, slots: ids(2, 2) },
  'a slot out of range': { ...valid, slots: ids(0, 4) },
  'a slot far out of range': { ...valid, slots: ids(0xffffffff, 1) },
  'a token out of range': { ...valid, tokens: ids(1, 2, 3, 4, tableRows) },
  'a token far out of range': { ...valid, tokens: ids(0xffffffff, 2, 3, 4, 5) },
  'more tokens than the limit': many(defaultLimits.tokens + 1),
  'more sequences than the limit': batchOf(
    [0, 1, 2, 3, 4].map((slot) => ({ slot, tokens: [1] })),
    [],
  ),
  'wanted not increasing': { ...valid, wanted: ids(3, 1) },
  'wanted twice': { ...valid, wanted: ids(1, 1) },
  'wanted out of range': { ...valid, wanted: ids(0, 5) },
  'starts not from 0': { ...valid, starts: ids(1, 3, 5) },
  'starts not increasing': { ...valid, starts: ids(0, 4, 3) },
  'an empty sequence': { ...valid, starts: ids(0, 5, 5) },
  'starts that end before the tokens': { ...valid, starts: ids(0, 3, 4) },
  'starts that end after the tokens': { ...valid, starts: ids(0, 3, 6) },
  'too few starts': { ...valid, starts: ids(0, 5) },
  'too many starts': { ...valid, starts: ids(0, 2, 4, 5) },
};

const invalidEmbeddings: Readonly<Record<string, NonNullable<Batch['embeddings']>>> = {
  'embeddings out of range': { at: ids(5), vectors: new Float32Array(width) },
  'embeddings not increasing': { at: ids(2, 1), vectors: new Float32Array(2 * width) },
  'too few numbers in embeddings': { at: ids(0, 1), vectors: new Float32Array(2 * width - 1) },
  'too many numbers in embeddings': { at: ids(0), vectors: new Float32Array(width + 1) },
};

async function rejectBatch({ backend }: CaseContext, batch: Batch, what: string): Promise<void> {
  // Fewer wanted rows than tokens, so that the limit of wanted rows can be passed alone.
  await using session = await open(backend, model);
  const { states } = session;
  await session.run(valid);
  const readAll = () => Promise.all([0, 1, 2, 3].map((slot) => states.read(slot)));
  const before = await readAll();
  await rejects(() => session.run(batch), 'BATCH_INVALID', what);
  for (const [slot, state] of (await readAll()).entries()) {
    assertSame(state, before[slot]!, `slot ${slot} after a refused batch (${what})`);
  }
  await session.run(valid);
}

async function wantedLimit({ backend }: CaseContext): Promise<void> {
  const limits = { ...defaultLimits, wanted: 2 };
  await using session = await open(backend, { ...model, limits });
  const before = await session.states.read(0);
  await rejects(
    () => session.run({ ...valid, wanted: ids(0, 1, 2) }),
    'BATCH_INVALID',
    'more wanted rows than the limit',
  );
  assertSame(await session.states.read(0), before, 'slot 0 after a refused batch');
  const rows = await session.run({ ...valid, wanted: ids(0, 4) });
  equal(rows.length, 18, 'numbers of two wanted rows');
}

/** A refused batch between two good ones, none awaited: the good ones do not notice. */
async function rejectedInQueue({ backend }: CaseContext): Promise<void> {
  await using session = await open(backend, model);
  const expected = [await session.run(valid), await session.run(valid)];
  for (let slot = 0; slot < session.states.slots; slot++) session.states.reset(slot);
  const first = session.run(valid);
  const refused = rejects(
    () => session.run({ ...valid, slots: ids(2, 2) }),
    'BATCH_INVALID',
    'a slot twice, queued',
  );
  const second = session.run(valid);
  await refused;
  assertSame(await first, expected[0]!, 'the batch before a refused one');
  assertSame(await second, expected[1]!, 'the batch after a refused one');
}

async function compileRejects(
  { backend }: CaseContext,
  {
    program = model.program,
    weights = model.weights,
    states = model.program.states,
    what,
  }: {
    readonly program?: Program;
    readonly weights?: readonly HostWeight[];
    readonly states?: Program['states'];
    readonly what: string;
  },
): Promise<void> {
  await using uploaded = await backend.upload(handOver(weights));
  await using created = await backend.createStates(states, 2);
  await rejects(
    () => backend.compile(program, { weights: uploaded, states: created }, defaultLimits),
    'PROGRAM_INVALID',
    what,
  );
}

const [state] = model.program.states;
const last = model.weights.at(-1)!;
const mismatches: Readonly<Record<string, Omit<Parameters<typeof compileRejects>[1], 'what'>>> = {
  'a missing weight': { weights: model.weights.slice(0, -1) },
  'a weight of another shape': {
    weights: [...model.weights.slice(0, -1), { ...last, shape: [width, 9] }],
  },
  'a missing state': { states: [{ ...state!, name: 'another' }] },
  'a state of another shape': { states: [{ ...state!, shape: [width + 1] }] },
};

const { ops, output } = model.program;
const invalidPrograms: Readonly<Record<string, Program>> = {
  'a value used before it is assigned': { ...model.program, ops: ops.slice(1) },
  'a value assigned twice': { ...model.program, ops: [...ops, ops[0]!] },
  'an output nobody assigns': { ...model.program, output: { ...output, id: 999 } },
  'an output of another width': { ...model.program, output: { ...output, width: 10 } },
};

async function moreThanNeeded({ backend }: CaseContext): Promise<void> {
  const extra: HostWeight = {
    name: 'unused',
    shape: [3],
    format: 'f32',
    bytes: new Uint8Array(12),
  };
  const states = [...model.program.states, { name: 'unused', shape: [5], initial: 1 }];
  await using weights = await backend.upload(handOver([...model.weights, extra]));
  await using created = await backend.createStates(states, 3);
  const bindings = { weights, states: created };
  await using executable = await backend.compile(model.program, bindings, defaultLimits);
  await using plain = await open(backend, model);
  assertSame(await executable.run(valid), await plain.run(valid), 'rows beside unused weights');
}

async function uploadRejects(
  { create }: CaseContext,
  weight: HostWeight,
  what: string,
): Promise<void> {
  const backend = await create();
  await rejects(() => backend.upload(handOver([weight])), 'WEIGHT_INVALID', what);
  equal(backend.bytes, 0, `bytes after refusing ${what}`);
}

const plain: HostWeight = { name: 'w', shape: [3, 4], format: 'f32', bytes: new Uint8Array(48) };
const invalidWeights: Readonly<Record<string, HostWeight>> = {
  'too few bytes': { ...plain, bytes: new Uint8Array(47) },
  'too many bytes': { ...plain, bytes: new Uint8Array(52) },
  'no bytes': { ...plain, bytes: new Uint8Array(0) },
  'a shape of another size': { ...plain, shape: [4, 4] },
};

/** What no data can cause, only the calling program. */
async function callerMistakes({ backend }: CaseContext): Promise<void> {
  const [spec] = model.program.states;
  const states: readonly [string, Program['states'], number][] = [
    ['no slots', model.program.states, 0],
    ['half a slot', model.program.states, 1.5],
    ['a state named twice', [spec!, spec!], 2],
    ['a state of no size', [{ ...spec!, shape: [0] }], 2],
  ];
  for (const [what, specs, slots] of states) {
    await rejects(
      () => backend.createStates(specs, slots),
      'TypeError',
      `createStates with ${what}`,
    );
  }
  await using session = await open(backend, model);
  for (const change of [{ tokens: 0 }, { sequences: 1.5 }, { wanted: -1 }, { tokens: NaN }]) {
    await rejects(
      () => backend.compile(model.program, session, { ...defaultLimits, ...change }),
      'TypeError',
      `compile with limits of ${JSON.stringify(change)}`,
    );
  }
  for (const name of ['tokens', 'starts', 'slots', 'wanted'] as const) {
    const batch = { ...valid, [name]: Float64Array.from(valid[name]) };
    await rejects(() => session.run(batch), 'TypeError', `run with ${name} of another type`);
  }
}

const each = <Item>(
  items: Readonly<Record<string, Item>>,
  run: (context: CaseContext, item: Item, name: string) => Promise<void>,
  prefix: string,
): CaseDefinition[] =>
  Object.entries(items).map(([name, item]) => ({
    name: `${prefix}: ${name}`,
    run: (context: CaseContext) => run(context, item, name),
  }));

export const errorCases: readonly CaseDefinition[] = requiring(model.program, [
  ...each(invalidBatches, rejectBatch, 'BATCH_INVALID'),
  { name: 'BATCH_INVALID: more wanted rows than the limit', run: wantedLimit },
  { name: 'BATCH_INVALID between valid batches that are queued', run: rejectedInQueue },
  ...each(
    invalidEmbeddings,
    (context, embeddings, what) => rejectBatch(context, { ...valid, embeddings }, what),
    'BATCH_INVALID',
  ),
  ...each(
    mismatches,
    (context, mismatch, what) => compileRejects(context, { ...mismatch, what }),
    'PROGRAM_INVALID',
  ),
  ...each(
    invalidPrograms,
    (context, program, what) => compileRejects(context, { program, what }),
    'PROGRAM_INVALID',
  ),
  { name: 'TypeError for mistakes of the caller', run: callerMistakes },
  { name: 'weights and states beyond the program’s are allowed', run: moreThanNeeded },
  ...each(invalidWeights, uploadRejects, 'WEIGHT_INVALID'),
]);
