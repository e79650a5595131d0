/** Group `formats`: every claimed weight format against the reference with the same weights decoded to f32. */
import type { Batch, HostWeight, OpKind, Rows, Value, WeightFormat } from '@rwkv-ts/backend';
import { decode, encode, formatInfo, formatNames, isWeightFormat } from '@rwkv-ts/formats';
import { type Draw, normal, Random } from '../src/random.js';
import { assertClose, equal } from './assert.js';
import { batchOf } from './batches.js';
import { OpScope, tableRows } from './op-scope.js';
import { openLowered, openOracle, unclaimedKinds } from './session.js';
import { deviations, type Estimate, multiply } from './quantisation.js';
import { opBound } from './tolerance.js';
import type { CaseContext, CaseDefinition } from './types.js';

/** Numbers one by one, rather than in blocks with a scale. */
const isPlain = (format: WeightFormat) => formatInfo(format).blockSize === 1;
const formats = formatNames.filter(isWeightFormat);

const random = new Random(23, 'format batches');
const ids = (count: number) => Array.from({ length: count }, () => random.integer(tableRows));
const batches = [
  batchOf([{ slot: 0, tokens: ids(1) }]),
  batchOf([{ slot: 0, tokens: ids(33) }]),
  batchOf([
    { slot: 1, tokens: ids(2) },
    { slot: 0, tokens: ids(5) },
  ]),
];

const decoded = (weight: HostWeight): HostWeight => ({
  ...weight,
  format: 'f32',
  bytes: encode('f32', decode(weight.format, weight.bytes)),
});

/** Rows with an outlier, a row of zeros and tiny rows, because scales are what a wrong kernel gets wrong. */
function rowsOfMatrix(inputs: number): Draw {
  let index = 0;
  return (source) => {
    const [row, column] = [Math.floor(index / inputs), index % inputs];
    index++;
    if (row % 11 === 3) return 0;
    if (row % 11 === 5 && column % 97 === 13) return 2;
    return ((row % 11 === 7 ? 1e-2 : 1) * source.normal()) / Math.sqrt(inputs);
  };
}

/** The op under test and what its output's error comes from. */
interface Built {
  readonly out: Value;
  /** The names of the input's table and of the matrices it is multiplied by, in order. */
  readonly chain?: { readonly x: string; readonly matrices: readonly string[] };
}

interface FormatCase {
  readonly name: string;
  readonly kind: OpKind;
  /** `inputs`: a row length that the format can hold. */
  readonly build: (scope: OpScope, inputs: number, format: WeightFormat) => Built;
  /** How much what follows the product magnifies its error; default 1. */
  readonly gain?: number;
  /** Multiplies the bound of the arithmetic where the row's largest number says too little about it; default 1. */
  readonly slack?: number;
}

function input(scope: OpScope, width: number): { x: Value; table: string } {
  const x = scope.input(width);
  return { x, table: scope.weights.at(-1)!.name };
}

function linearCase(name: string, parts: { activation?: 'sigmoid'; residual?: true }): FormatCase {
  return {
    name,
    kind: 'linear',
    // The slope of sigmoid is at most a quarter.
    gain: parts.activation ? 0.25 : 1,
    build: (scope, inputs) => {
      const { x, table } = input(scope, inputs);
      const weight = scope.matrix(43, inputs, rowsOfMatrix(inputs));
      const residual = parts.residual && scope.input(43);
      const out = scope.value(43);
      scope.emit({
        kind: 'linear',
        out,
        x,
        weight,
        ...(parts.activation ? { activation: parts.activation } : {}),
        ...(residual ? { residual } : {}),
      });
      return { out, chain: { x: table, matrices: [weight] } };
    },
  };
}

const matrixCases: readonly FormatCase[] = [
  // Numbers of rows that no tile divides, one that fills some, and a single one.
  ...[37, 128, 1].map((width): FormatCase => ({
    name: `matmul to ${width}`,
    kind: 'matmul',
    // A row of one number may be a sum that cancels: its error is made by terms that nothing in the row shows.
    slack: width === 1 ? 8 : 1,
    build: (scope, inputs) => {
      const { x, table } = input(scope, inputs);
      const weight = scope.matrix(width, inputs, rowsOfMatrix(inputs));
      const out = scope.value(width);
      scope.emit({ kind: 'matmul', out, x, weight });
      return { out, chain: { x: table, matrices: [weight] } };
    },
  })),
  linearCase('linear with residual', { residual: true }),
  linearCase('linear with sigmoid', { activation: 'sigmoid' }),
  {
    name: 'low-rank',
    kind: 'low-rank',
    build: (scope, inputs, format) => {
      const { x, table } = input(scope, inputs);
      // The rank is a row length too, so it is the shortest that the format allows.
      const rank = formatInfo(format).blockSize * (isPlain(format) ? 13 : 1);
      const [down, up] = [scope.matrix(rank, inputs), scope.matrix(41, rank)];
      const out = scope.value(41);
      scope.emit({ kind: 'low-rank', out, x, down, up });
      return { out, chain: { x: table, matrices: [down, up] } };
    },
  },
  {
    name: 'embed',
    kind: 'embed',
    build: (scope, inputs) => {
      const table = scope.matrix(tableRows, inputs, rowsOfMatrix(inputs));
      const out = scope.value(inputs);
      scope.emit({ kind: 'embed', out, table, by: 'input' });
      return { out };
    },
  },
];

/** Files store vectors as f16 or bf16 too, and nothing stops them from using blocks. */
const vectorCases: readonly FormatCase[] = [
  {
    name: 'norm weight and bias',
    kind: 'norm',
    build: (scope, inputs) => {
      const [x, out] = [scope.input(inputs), scope.value(inputs)];
      scope.emit({ kind: 'norm', out, x, ...scope.norm(inputs) });
      return { out };
    },
  },
  {
    name: 'parameter with a form',
    kind: 'mul',
    build: (scope, inputs) => {
      const [x, out] = [scope.input(inputs), scope.value(inputs)];
      const y = scope.parameter([inputs], normal(2), 'exp-negative-exp');
      scope.emit({ kind: 'mul', out, x, y });
      return { out };
    },
  },
];

/** Rows as long as the format allows them to be odd: a prime, or a number of blocks that is no power of two. */
const inputsOf = (format: WeightFormat) =>
  isPlain(format) ? 67 : 3 * formatInfo(format).blockSize;

/** What quantised activations may add to each element of the wanted rows. */
function allowanceOf(
  { chain }: Built,
  batch: Batch,
  {
    format,
    rounded,
    find,
  }: { format: WeightFormat; rounded: boolean; find: (name: string) => Float32Array },
): Float64Array | undefined {
  if (!chain) return undefined;
  const table = find(chain.x);
  const width = table.length / tableRows;
  const values = Float64Array.from(
    Array.from(batch.wanted, (t) => batch.tokens[t]! * width).flatMap((start) => [
      ...table.subarray(start, start + width),
    ]),
  );
  let estimate: Estimate = { values, variance: new Float64Array(values.length), width };
  for (const name of chain.matrices) estimate = multiply(estimate, find(name), { format, rounded });
  return estimate.variance.map((variance) => deviations * Math.sqrt(variance));
}

/** Moves what came toward what was wanted, by at most the allowance. */
function forgive(got: Rows, want: Rows, allowance: Float64Array): Float64Array {
  return Float64Array.from(got, (value, n) => {
    const difference = value - want[n]!;
    return want[n]! + Math.sign(difference) * Math.max(0, Math.abs(difference) - allowance[n]!);
  });
}

async function runFormat(
  { backend, skip }: CaseContext,
  { kind, build, gain = 1, slack = 1 }: FormatCase,
  options: { format: WeightFormat; vectors: boolean },
): Promise<void> {
  const { format } = options;
  if (!backend.supports.weightFormats.has(format)) skip(`supports does not claim ${format}`);
  const scope = new OpScope({
    seed: 31,
    ...(options.vectors ? { vectorFormat: format } : { format }),
  });
  const built = build(scope, inputsOf(format), format);
  const program = scope.program(built.out);
  const missing = unclaimedKinds(backend, program);
  if (missing.length > 0) skip(`supports.ops does not claim ${missing.join(', ')}`);
  const reference = scope.hostWeights.map(decoded);
  const { roundedProducts } = backend.supports;
  const rounded = (roundedProducts as ReadonlySet<WeightFormat> | undefined)?.has(format) ?? false;
  const find = (name: string) =>
    decode('f32', reference.find((weight) => weight.name === name)!.bytes);
  await using device = await openLowered(backend, { program, weights: scope.hostWeights });
  await using oracle = await openOracle({ program, weights: reference });
  for (const batch of batches) {
    const [got, want] = [await device.run(batch), await oracle.run(batch)];
    const where = `${kind} with ${format}, T = ${batch.tokens.length}`;
    equal(got.length, want.length, `${where}: numbers returned`);
    const allowance = allowanceOf(built, batch, { format, rounded, find });
    assertClose({
      got: allowance
        ? forgive(
            got,
            want,
            allowance.map((value) => gain * value),
          )
        : got,
      want,
      width: built.out.width,
      bound: opBound(kind, backend.supports, slack),
      where,
    });
  }
}

export const formatCases: readonly CaseDefinition[] = formats.flatMap((format) => {
  const define = (one: FormatCase, vectors: boolean): CaseDefinition => ({
    name: `${format}: ${one.name}`,
    run: (context) => runFormat(context, one, { format, vectors }),
  });
  return [
    ...matrixCases.map((one) => define(one, false)),
    ...vectorCases.map((one) => define(one, true)),
  ];
});
