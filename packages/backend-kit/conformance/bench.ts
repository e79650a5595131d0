/** Bench mode: the op kinds of the suite at the size of a small model, for time and memory traffic. */
import type { Backend, Op, OpKind, Program, Value, WeightFormat } from '@rwkv-ts/backend';
import { formatInfo, formatNames, isWeightFormat } from '@rwkv-ts/formats';
import { readsOf, stateOf, weightsOf, writesOf } from '@rwkv-ts/program';
import { uniform } from '../src/random.js';
import { batchOf } from './batches.js';
import { opCaseTable } from './cases/index.js';
import { OpScope, tableRows } from './op-scope.js';
import { open, unclaimedKinds } from './session.js';
import type { BenchResult, CaseContext, CaseDefinition } from './types.js';

/** As the smallest published models. */
const size = { channels: 768, heads: 12 } as const;
const repeats = 4;
/** How long a program is run for; the fastest run counts, which other work on the machine disturbs least. */
const budgetMilliseconds = 150;

const formats = formatNames.filter(isWeightFormat);
const plainFormats = formats.filter((format) => formatInfo(format).blockSize === 1);

/** Products in every format; kinds whose ranks no block divides, and tables, in plain ones; others have no matrix. */
function formatsOf(kind: OpKind): readonly WeightFormat[] {
  if (kind === 'matmul' || kind === 'linear') return formats;
  if (kind === 'embed' || kind === 'low-rank' || kind === 'shift-mix6') return plainFormats;
  return ['f32'];
}

export interface BenchProgram {
  readonly program: Program;
  readonly weights: OpScope['hostWeights'];
  /** The ops under test. */
  readonly ops: readonly Op[];
}

/** `count` ops of the kind, each with weights and states of its own, on shared inputs. */
export function createProgram(
  kind: OpKind,
  { count, format }: { count: number; format: WeightFormat },
): BenchProgram {
  const scope = new OpScope({ seed: 1, format });
  const shared = new Map<number, Value>();
  // Small and positive: finite after any number of steps, and no decay above 1.
  const inputs = (width: number) => {
    const known = shared.get(width) ?? scope.input(width, uniform(0.01, 0.05));
    shared.set(width, known);
    return known;
  };
  for (let index = 0; index < count; index++) opCaseTable[kind].bench(scope, inputs, size);
  const ops = scope.ops.filter((op) => op.kind === kind).slice(-count);
  const last = ops.at(-1)!;
  return { program: scope.program(writesOf(last)[0]!), weights: scope.hostWeights, ops };
}

/** What an op must read and write at least once, in bytes. */
export function trafficOf({ program, weights, ops }: BenchProgram, tokens: number): number {
  let bytes = 0;
  for (const op of ops) {
    for (const { width, rows } of [...readsOf(op), ...writesOf(op)]) {
      // One row is wanted, and select-rows reads no other.
      const count = rows === 'R' || op.kind === 'select-rows' ? 1 : tokens;
      bytes += 4 * width * count;
    }
    for (const name of weightsOf(op)) {
      const weight = weights.find((one) => one.name === name)!;
      // Of a table only the rows of the tokens are read.
      const part = op.kind === 'embed' ? Math.min(1, tokens / tableRows) : 1;
      bytes += part * weight.bytes.length;
    }
    const state = program.states.find(({ name }) => name === stateOf(op));
    // Read and written once.
    bytes += 8 * (state?.shape.reduce((total, length) => total * length, 1) ?? 0);
  }
  return bytes / ops.length;
}

async function fastestRun(
  backend: Backend,
  { program, weights }: BenchProgram,
  tokens: number,
): Promise<number> {
  const limits = { tokens, sequences: 1, wanted: 1 };
  await using session = await open(backend, { program, weights, slots: 1, limits });
  const ids = Array.from({ length: tokens }, (_, t) => t % tableRows);
  const batch = batchOf([{ slot: 0, tokens: ids }], 'last');
  await session.run(batch);
  let fastest = Infinity;
  const end = performance.now() + budgetMilliseconds;
  do {
    const start = performance.now();
    await session.run(batch);
    fastest = Math.min(fastest, performance.now() - start);
  } while (performance.now() < end);
  return fastest;
}

interface Measurement {
  readonly kind: OpKind;
  readonly format: WeightFormat;
  readonly tokens: number;
}

/** The slope between one op and several, so that what a run costs anyway does not count. */
async function measure(
  backend: Backend,
  { kind, format, tokens }: Measurement,
): Promise<BenchResult> {
  const [one, several] = [1, 1 + repeats].map((count) => createProgram(kind, { count, format }));
  const [short, long] = [
    await fastestRun(backend, one!, tokens),
    await fastestRun(backend, several!, tokens),
  ];
  // Below the clock's resolution the slope may come out negative; then the op costs less than can be told.
  const milliseconds = Math.max((long - short) / repeats, 1e-6);
  const gigabytesPerSecond = trafficOf(one!, tokens) / milliseconds / 1e6;
  return { kind, format, tokens, milliseconds, gigabytesPerSecond };
}

function print({ kind, format, tokens, milliseconds, gigabytesPerSecond }: BenchResult): void {
  const name = `${kind} ${format} T=${tokens}`.padEnd(28);
  const time = `${milliseconds.toFixed(4).padStart(10)} ms`;
  console.log(`${name} ${time} ${gigabytesPerSecond.toFixed(2).padStart(9)} GB/s`);
}

async function runBench(
  { backend, skip }: CaseContext,
  measurement: Measurement,
): Promise<BenchResult> {
  const { kind, format } = measurement;
  if (!backend.supports.ops.has(kind)) skip(`supports.ops does not claim ${kind}`);
  if (!backend.supports.weightFormats.has(format)) skip(`supports does not claim ${format}`);
  const { program } = createProgram(kind, { count: 1, format });
  const missing = unclaimedKinds(backend, program);
  if (missing.length > 0) skip(`the case also needs ${missing.join(', ')}`);
  return measure(backend, measurement);
}

/** A case per op kind, format where the kind has a matrix, and T of 1 (generation) and 32 (a prompt). */
export function benchCases(report: (result: BenchResult) => void = print): CaseDefinition[] {
  return Object.values(opCaseTable).flatMap(({ kind }) =>
    formatsOf(kind).flatMap((format) =>
      [1, 32].map((tokens) => ({
        name: `${kind}, ${format}, T = ${tokens}`,
        run: async (context: CaseContext) => {
          report(await runBench(context, { kind, format, tokens }));
        },
      })),
    ),
  );
}
