import { bytesForShape } from '@rwkv-ts/formats';
import { buildProgram } from '@rwkv-ts/model';
import { describe, expect, it } from 'vitest';
import { configOf } from '../../../fixtures/src/shapes.js';
import { arithmeticOf, decodeBytes, modelCost, stepOperations } from './model-cost.js';

const config = configOf('7', '0.1b');
const program = buildProgram(config);
const tensors = program.weights.map(({ name, shape }) => ({
  name,
  shape,
  format: 'f16' as const,
  byteLength: bytesForShape('f16', shape),
}));

describe('modelCost', () => {
  const cost = modelCost(program, tensors);
  const [L, C, F, V] = [12, 768, 3072, 65536];
  // Decay, learning rate and gate in every layer; the value's residual in all but the first.
  const lowRank = 2 * C * (L * (64 + 64 + 128) + (L - 1) * 32);
  const body = L * (4 * C * C + 2 * C * F) + lowRank;

  it('counts two operations for each element of a matrix, the head by itself', () => {
    expect(cost.bodyOperations).toBe(2 * body);
    expect(cost.headOperations).toBe(2 * C * V);
    expect(stepOperations(cost, { tokens: 10, wanted: 2 })).toBe(10 * 2 * body + 2 * 2 * C * V);
  });

  it('reads every weight once but one row of the table, and the state twice', () => {
    const all = tensors.reduce((sum, { byteLength }) => sum + byteLength, 0);
    expect(cost.rowBytes).toBe(C * 2);
    expect(cost.weightBytes).toBe(all - V * C * 2);
    expect(cost.stateBytes).toBe(2 * 4 * L * (C * 64 + 2 * C));
    expect(decodeBytes(cost, 3)).toBe(cost.weightBytes + 3 * (cost.rowBytes + cost.stateBytes));
  });

  it('names the format that most bytes of matrices are in', () => {
    const mixed = tensors.map((tensor) =>
      tensor.name === 'head.weight' || tensor.name === 'emb.weight'
        ? tensor
        : { ...tensor, format: 'q4_0' as const, byteLength: 1 },
    );
    expect(modelCost(program, mixed).mainFormat).toBe('f16');
    expect(cost.mainFormat).toBe('f16');
  });
});

describe('arithmeticOf', () => {
  it('multiplies blocks as bytes and halves in either float', () => {
    expect(arithmeticOf('q4_k')).toEqual(['int8']);
    expect(arithmeticOf('bf16')).toEqual(['f32', 'bf16']);
    expect(arithmeticOf('f32')).toEqual(['f32']);
  });
});
