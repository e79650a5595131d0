import { decode, encode } from '@rwkv-ts/formats';
import { describe, expect, it } from 'vitest';
import { rawTensor } from '../../test/fake-raw-file.js';
import { randomDense, randomNumbers } from '../../test/random-model.js';
import type { RawTensor } from '../raw-file.js';
import { materialise, pieceFormat, TensorReader } from './materialise.js';
import type { Piece } from './types.js';
import { cut, pick, reshape, transpose, viewOf } from './view.js';

const { values } = randomDense([6, 64], randomNumbers(3));
const shape = [6, 64];
const f32 = rawTensor('wide', { shape, format: 'f32', bytes: encode('f32', values) });
const q8 = rawTensor('blocks', { shape, format: 'q8_0', bytes: encode('q8_0', values) });
const q8Values = decode('q8_0', encode('q8_0', values));

async function numbers(piece: Piece, of: readonly number[], reader = new TensorReader([piece])) {
  const { format, bytes } = await materialise({ piece, shape: of, reader });
  return { format, values: decode(format, bytes), bytes };
}

describe('materialise', () => {
  it('keeps blocks of whole rows, and decodes where a cut or a turn breaks them', async () => {
    const rows: Piece = { name: 'rows', parts: [cut(viewOf(q8), 4, 2), cut(viewOf(q8), 0, 1)] };
    const kept = await numbers(rows, [3, 64]);
    expect(kept.format).toBe('q8_0');
    expect(kept.values).toEqual(
      Float32Array.from([...q8Values.slice(256), ...q8Values.slice(0, 64)]),
    );

    const turned = await numbers({ name: 'turned', parts: [transpose(viewOf(q8))] }, [64, 6]);
    expect(turned.format).toBe('f32');
    expect(turned.values[9 * 6 + 2]).toBe(q8Values[2 * 64 + 9]);

    const narrow: Piece = { name: 'narrow', parts: [reshape(viewOf(q8), [24, 16])!] };
    expect(pieceFormat(narrow, [24, 16])).toBe('f32');
    expect((await numbers(narrow, [24, 16])).values).toEqual(q8Values);
  });

  it('joins parts of different formats as f32', async () => {
    const piece: Piece = { name: 'mixed', parts: [pick(viewOf(f32), 5), pick(viewOf(q8), 1)] };
    const joined = await numbers(piece, [2, 64]);
    expect(joined.format).toBe('f32');
    expect(joined.values).toEqual(
      Float32Array.from([...values.slice(320), ...q8Values.slice(64, 128)]),
    );
  });

  it('reads bytes that are not aligned', async () => {
    const bytes = new Uint8Array(4 * values.length + 1).subarray(1);
    bytes.set(encode('f32', values));
    const odd: RawTensor = { ...f32, read: async () => bytes };
    const turned = await numbers({ name: 'odd', parts: [transpose(viewOf(odd))] }, [64, 6]);
    expect(turned.values[9 * 6 + 2]).toBe(values[2 * 64 + 9]);
  });

  it('reads a shared tensor once, and gives everyone bytes of their own', async () => {
    let reads = 0;
    const counted: RawTensor = {
      ...f32,
      read: (options) => {
        reads++;
        return f32.read(options);
      },
    };
    const pieces: Piece[] = [0, 1].map((index) => ({ name: `${index}`, parts: [viewOf(counted)] }));
    const reader = new TensorReader(pieces);
    const first = await numbers(pieces[0]!, shape, reader);
    first.bytes.fill(0);
    const second = await numbers(pieces[1]!, shape, reader);
    expect(reads).toBe(1);
    expect(second.values).toEqual(values);
  });

  it('multiplies in the scales, and in f32 where a scale would round', async () => {
    const doubled = await numbers({ name: 'x', parts: [viewOf(q8)], exponent: 3 }, shape);
    expect(doubled.format).toBe('q8_0');
    expect(doubled.values).toEqual(q8Values.map((value) => 8 * value));
    const large = await numbers({ name: 'x', parts: [viewOf(q8)], exponent: 30 }, shape);
    expect(large.format).toBe('f32');
    expect(large.values).toEqual(q8Values.map((value) => 2 ** 30 * value));
  });
});
