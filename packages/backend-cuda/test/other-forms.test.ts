/** Weights that lie as one program's products like, read by another as a table and as a parameter. */
import type { HostWeight, Program, WeightFormat } from '@rwkv-ts/backend';
import { decode, encode } from '@rwkv-ts/formats';
import { expect, test, describe } from 'vitest';
import { handOver } from '../../backend-kit/conformance/session.js';
import { createEmulated, emulation } from './emulated.js';
import { weightFormats } from '../src/weights/layout.js';

const [rows, columns] = [5, 512];
const x = { id: 0, rows: 'T', width: columns } as const;
const hidden = { id: 1, rows: 'T', width: columns } as const;
const product = { id: 2, rows: 'T', width: rows } as const;
const output = { id: 3, rows: 'R', width: columns } as const;

const weights = [
  { name: 'w', shape: [rows, columns] },
  { name: 'vector', shape: [columns] },
] as const;

/** `w` is multiplied, by what relu2 left where `sparse`. */
function multiplies(sparse: boolean): Program {
  const out = { id: 3, rows: 'R', width: rows } as const;
  return {
    weights: [...weights, { name: 'input', shape: [rows, columns] }],
    states: [],
    ops: [
      { kind: 'embed', out: x, table: 'input', by: 'input' },
      { kind: 'activate', out: hidden, x, activation: sparse ? 'relu2' : 'tanh' },
      { kind: 'matmul', out: product, x: hidden, weight: 'w' },
      { kind: 'select-rows', out, x: product },
    ],
    output: out,
  };
}

const reads: Program = {
  weights: [...weights],
  states: [],
  ops: [
    { kind: 'embed', out: x, table: 'w', by: 'token' },
    { kind: 'mul', out: hidden, x, y: { weight: 'vector' } },
    { kind: 'select-rows', out: output, x: hidden },
  ],
  output,
};

function hostWeights(format: WeightFormat): HostWeight[] {
  const numbers = Float32Array.from({ length: rows * columns }, (_, n) => Math.sin(n * n) * 3);
  const ones = Float32Array.from({ length: columns }, (_, n) => 1 + (n % 3));
  return [
    { ...weights[0], format, bytes: encode(format, numbers) },
    { ...weights[1], format: 'f32', bytes: encode('f32', ones) },
    { name: 'input', shape: [rows, columns], format: 'f32', bytes: encode('f32', numbers) },
  ];
}

describe.skipIf(emulation.missing)(`emulated device ${emulation.missing ?? ''}`, () => {
  for (const sparse of [false, true]) {
    test.each(weightFormats)(`%s, sparse: ${sparse}`, async (format) => {
      await using backend = await createEmulated();
      const given = hostWeights(format);
      const uploaded = await backend.upload(handOver(given), { program: multiplies(sparse) });
      const states = await backend.createStates([], 1);
      const limits = { tokens: rows, sequences: 1, wanted: rows };
      const executable = await backend.compile(reads, { weights: uploaded, states }, limits);
      const tokens = Uint32Array.from({ length: rows }, (_, token) => rows - 1 - token);
      const got = await executable.run({
        tokens,
        starts: Uint32Array.of(0, rows),
        slots: Uint32Array.of(0),
        wanted: Uint32Array.from({ length: rows }, (_, row) => row),
      });
      const table = decode(format, given[0]!.bytes);
      const worst = Float64Array.from(got).reduce((most: number, value: number, n: number) => {
        const [row, column] = [Math.floor(n / columns), n % columns];
        const want = table[(rows - 1 - row) * columns + column]! * (1 + (column % 3));
        return Math.max(most, Math.abs(value - want));
      }, 0);
      expect(worst).toBeLessThan(1e-5);
    });
  }
});
