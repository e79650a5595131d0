/** Group `ops`: every claimed op kind against the reference, as programs of one op. */
import type { Backend, HostWeight, OpKind, Program, Value } from '@rwkv-ts/backend';
import { decode } from '@rwkv-ts/formats';
import { Random } from '../src/random.js';
import { assertClose, assertSame } from './assert.js';
import { batchOf } from './batches.js';
import { opCaseTable } from './cases/index.js';
import type { OpVariant } from './cases/types.js';
import { OpScope, tableRows } from './op-scope.js';
import { numbersOf, open, openOracle, type Session, unclaimedKinds } from './session.js';
import { opBound } from './tolerance.js';
import type { CaseContext, CaseDefinition } from './types.js';

const random = new Random(7, 'op batches');
const ids = (count: number) => Array.from({ length: count }, () => random.integer(tableRows));

/**
 * One executable sees them all in this order: short after long, so that rows left over from before would show, and
 * slots keep their states from batch to batch.
 */
export const opBatches = [
  { name: 'T = 1', batch: batchOf([{ slot: 2, tokens: ids(1) }]) },
  { name: 'T = 33', batch: batchOf([{ slot: 1, tokens: ids(33) }]) },
  { name: 'T = 2', batch: batchOf([{ slot: 0, tokens: ids(2) }]) },
  {
    name: 'three ragged sequences, four wanted rows',
    batch: batchOf(
      [
        { slot: 3, tokens: ids(5) },
        { slot: 0, tokens: ids(1) },
        { slot: 2, tokens: ids(9) },
      ],
      [0, 4, 5, 14],
    ),
  },
  { name: 'no wanted rows', batch: batchOf([{ slot: 1, tokens: ids(3) }], []) },
  {
    name: 'one token in each slot',
    batch: batchOf([3, 1, 2, 0].map((slot) => ({ slot, tokens: ids(1) }))),
  },
] as const;

interface OpRun {
  readonly backend: Backend;
  readonly kind: OpKind;
  readonly variant: OpVariant;
}

interface Pair extends OpRun {
  readonly device: Session;
  readonly oracle: Session;
  readonly program: Program;
}

/** Per wanted row, the largest magnitude among the input tables' rows of its token. */
function inputFloor(
  { program, weights }: { program: Program; weights: readonly HostWeight[] },
  batch: { readonly tokens: Uint32Array; readonly wanted: Uint32Array },
): number[] {
  const tables = program.ops.flatMap((op) => (op.kind === 'embed' ? [op.table] : []));
  const used = weights.filter(({ name }) => tables.includes(name));
  const decoded = used.map(({ format, bytes, shape }) => ({
    width: shape[1] ?? 1,
    values: decode(format, bytes),
  }));
  return Array.from(batch.wanted, (t) => {
    const token = batch.tokens[t]!;
    let floor = 0;
    for (const { width, values } of decoded) {
      for (const value of values.subarray(token * width, (token + 1) * width)) {
        floor = Math.max(floor, Math.abs(value));
      }
    }
    return floor;
  });
}

async function compareStates(pair: Pair, where: string): Promise<void> {
  const { device, oracle, program, kind, backend, variant } = pair;
  for (let slot = 0; slot < device.states.slots; slot++) {
    const got = numbersOf(await device.states.read(slot));
    const want = numbersOf(await oracle.states.read(slot));
    let at = 0;
    for (const { name, shape, initial } of program.states) {
      const size = shape.reduce((total, length) => total * length, 1);
      // Rows with initial values of their own are quantities of their own (v4's sums and exponent), so scales too.
      const width = typeof initial === 'number' ? size : size / (shape[0] ?? 1);
      assertClose({
        got: got.subarray(at, at + size),
        want: want.subarray(at, at + size),
        width,
        bound: opBound(kind, backend.supports, variant.slack),
        where: `${where}, state ${name} of slot ${slot}`,
      });
      at += size;
    }
  }
}

async function compareOutput(run: OpRun, index: number): Promise<void> {
  const { backend, kind, variant } = run;
  const scope = new OpScope({ seed: 11 });
  const value = variant.build(scope)[index]!;
  const program = scope.program(value);
  const options = { program, weights: scope.hostWeights };
  await using device = await open(backend, options);
  await using oracle = await openOracle(options);
  for (const { name, batch } of opBatches) {
    const [got, want] = [await device.run(batch), await oracle.run(batch)];
    const floor = variant.scale && inputFloor({ program, weights: scope.hostWeights }, batch);
    const where = `${kind}, output ${index}, ${name}`;
    assertClose({
      got,
      want,
      width: value.width,
      bound: opBound(kind, backend.supports, variant.slack),
      where,
      ...(floor ? { floor } : {}),
    });
    if (index === 0) await compareStates({ ...run, device, oracle, program }, where);
  }
}

/** The op must leave every value beside its own alone, on batches that do not fill the buffers. */
async function compareGuards({ backend, kind, variant }: OpRun): Promise<void> {
  const scope = new OpScope({ seed: 11, guarded: true });
  const value = variant.build(scope)[0]!;
  const program = scope.guardProgram(value);
  // A value of wanted rows has no place between values of all rows; its kind's other variants are guarded.
  if (!program) return;
  const missing = unclaimedKinds(backend, program);
  if (missing.length > 0) return;
  const options = { program, weights: scope.hostWeights };
  await using device = await open(backend, options);
  await using oracle = await openOracle(options);
  for (const { name, batch } of opBatches) {
    const [got, want] = [await device.run(batch), await oracle.run(batch)];
    const where = `${kind}, ${name}: values beside the op's own, which must stay whole`;
    assertSame(Float64Array.from(got), Float64Array.from(want), where);
  }
}

async function runVariant(
  { backend, skip }: CaseContext,
  { kind, variant }: Omit<OpRun, 'backend'>,
): Promise<void> {
  if (!backend.supports.ops.has(kind)) skip(`supports.ops does not claim ${kind}`);
  const scope = new OpScope({ seed: 11 });
  const outputs: readonly Value[] = variant.build(scope);
  const missing = unclaimedKinds(backend, scope.program(outputs[0]!));
  if (missing.length > 0) skip(`the case also needs ${missing.join(', ')}`);
  const run = { backend, kind, variant };
  for (let index = 0; index < outputs.length; index++) await compareOutput(run, index);
  await compareGuards(run);
}

export const opCases: readonly CaseDefinition[] = Object.values(opCaseTable).flatMap(
  ({ kind, variants }) =>
    variants.map((variant) => ({
      name: `${kind}: ${variant.name}`,
      run: (context: CaseContext) => runVariant(context, { kind, variant }),
    })),
);
