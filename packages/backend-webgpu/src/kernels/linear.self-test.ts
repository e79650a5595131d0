import type { Activation, WeightFormat } from '@rwkv-ts/backend';
import { formatLayouts, type MatrixLayout } from '../weights/layout.js';
import { activationCode, activationFormulas } from './math.js';
import { linearParts } from './linear.js';
import { matrixFieldsOf, testPage } from './self-test-page.js';
import { stepWords } from '@rwkv-ts/program';
import { quantisedRow } from './quantise.js';
import { type SelfTest, testHeader, TestMemory, type TestRows } from './self-test.js';

/** Of three matrices. Those of the last one are so small that half precision has few bits left for them, or for their scales. */
const rows = [11, 8, 8];
const smallest = 3e-5;

/** What is done with which of them; the first has every part that a product can have. */
const jobs: readonly { readonly matrix: number; readonly activation?: Activation }[] = [
  { matrix: 0, activation: 'tanh' },
  { matrix: 1 },
  { matrix: 2 },
  { matrix: 1, activation: 'silu' },
  { matrix: 1, activation: 'relu2' },
  { matrix: 1, activation: 'exp-negative-exp' },
  { matrix: 1, activation: 'decay7' },
];

/** Some columns for all tokens, others for one of them. */
const isZero = (t: number, column: number): boolean => column % 3 === 1 || (column + t) % 4 === 0;

/** A number of granules that no tile divides, or of blocks, odd where the format lets them be. */
function columnsOf(format: WeightFormat): number {
  const { bits, scales } = formatLayouts[format];
  if (bits >= 16) return 72;
  return scales === 'k' || scales === 'six' ? 256 : 288;
}

/** As many products as a dispatch has, for tokens in two sequences. */
export function linearSelfTest(
  format: WeightFormat,
  parts: {
    readonly tokens: number;
    /** x comes as quantise.ts leaves it. */
    readonly integers?: boolean;
    readonly layout?: MatrixLayout;
    readonly groupsOf: (quads: readonly number[]) => SelfTest['groups'];
  },
): SelfTest {
  const { tokens, integers = false, layout = 'rows', groupsOf } = parts;
  // Matrices in columns are met in stretches of up to 1024 of them, by few tokens.
  const columns = layout === 'columns' && tokens < 16 ? 1096 : columnsOf(format);
  const memory = new TestMemory({ rows: tokens, seed: 7 });
  const count = rows.reduce((a, b) => a + b, 0) * columns;
  const numbers = memory
    .draw(count)
    .map((value, index) => (index < 19 * columns ? value : smallest * value));
  const page = testPage(format, { layout, columns, rows, numbers });
  const x = memory.rows(columns, (t, c) => (isZero(t, c) ? 0 : memory.draw(1)[0]!));
  const rounded = integers ? quantisedRows(memory, { tokens, columns }) : undefined;
  const [gate, residual] = [memory.view(rows[0]!), memory.view(rows[0]!)];
  const bias = memory.parameter(rows[0]!);
  const products = page.matrices.map(({ at }, index) =>
    Float64Array.from({ length: tokens * rows[index]! }, (_, n) => {
      const [t, row] = [Math.floor(n / rows[index]!), n % rows[index]!];
      let sum = 0;
      for (let column = 0; column < columns; column++)
        sum += (rounded ?? x).at(t, column) * at(row, column);
      return sum;
    }),
  );
  const quads = jobs.map(({ matrix }) => 2 * Math.ceil(rows[matrix]! / 8));
  const fields = jobs.map(({ matrix, activation }, index) => {
    const isFirst = index === 0;
    const formula = activation ? activationFormulas[activation] : (value: number) => value;
    const out = memory.out(rows[matrix]!, (t, row) => {
      const product = products[matrix]![t * rows[matrix]! + row]!;
      if (!isFirst) return formula(product);
      return residual.at(t, row) + gate.at(t, row) * formula(bias.at(0, row) + product);
    });
    const all = linearParts.bias | linearParts.gate | linearParts.residual;
    const codes = (isFirst ? all : 0) | (activationCode(activation) << 8);
    const optional = isFirst ? { gate, residual, bias } : {};
    const own = {
      x,
      q: rounded?.rows ?? 0,
      out,
      ...optional,
      count: rows[matrix]!,
      codes,
      quads: quads[index]!,
    };
    return Object.entries({ ...own, ...matrixFieldsOf(page.matrices[matrix]!) }).map(
      ([name, value]) => [`${name}_${index}`, value] as const,
    );
  });
  const { arena, parameters, expected } = memory.buffers;
  rounded?.fill(arena);
  return {
    nodes: [
      {
        rows: stepWords.tokens,
        jobs_count: jobs.length,
        ...Object.fromEntries(fields.flat()),
      },
    ],
    header: testHeader([1, tokens - 1]),
    arena,
    parameters,
    expected,
    own: page.words,
    groups: groupsOf(quads),
    tolerance: 5e-5,
  };
}

interface QuantisedRows {
  readonly rows: TestRows;
  readonly at: (row: number, column: number) => number;
  /** Puts their words where the rows are. */
  readonly fill: (arena: Float32Array<ArrayBuffer>) => void;
}

function quantisedRows(
  memory: TestMemory,
  { tokens, columns }: { tokens: number; columns: number },
): QuantisedRows {
  const row = quantisedRow(columns);
  const rows = memory.view(row.words);
  const quants = Int8Array.from(memory.draw(tokens * columns, -127, 127));
  const scales = memory.draw(tokens * row.blocks, 1e-3, 1e-2);
  const sums = new Int16Array((tokens * columns) / 16);
  for (const [n, value] of quants.entries()) sums[n >> 4]! += value;
  const fill = (arena: Float32Array<ArrayBuffer>): void => {
    const words = new Uint32Array(arena.buffer);
    for (let t = 0; t < tokens; t++) {
      const at = rows.offset + t * rows.stride;
      words.set(new Uint32Array(quants.slice(t * columns, (t + 1) * columns).buffer), at);
      arena.set(scales.subarray(t * row.blocks, (t + 1) * row.blocks), at + row.scalesAt);
      const own = sums.slice(2 * t * row.blocks, 2 * (t + 1) * row.blocks);
      words.set(new Uint32Array(own.buffer), at + row.sumsAt);
    }
  };
  const at = (t: number, column: number): number =>
    quants[t * columns + column]! * scales[t * row.blocks + (column >> 5)]!;
  return { rows, at, fill };
}
