import type { Batch } from '@rwkv-ts/backend';
import { buildProgram } from '@rwkv-ts/model';
import { describe, expect, it } from 'vitest';
import { smallConfigs } from '../test/models.js';
import { batchBounds, validateBatch } from './validate-batch.js';
import { validateLimits } from './validate-limits.js';

const limits = { tokens: 6, sequences: 3, wanted: 2 };
const context = { slots: 4, vocabularySize: 10, channels: 2, embeddings: true, candidates: false };
const of = (...numbers: number[]) => new Uint32Array(numbers);
const good: Batch = { tokens: of(1, 2, 9), starts: of(0, 2, 3), slots: of(3, 0), wanted: of(0, 2) };
const check = (change: Partial<Batch>, changes: Partial<typeof context> = {}): void => {
  validateBatch({ ...good, ...change }, limits, { ...context, ...changes });
};
const expectInvalid = (change: Partial<Batch>, expected: unknown, got: unknown): void => {
  expect(() => {
    check(change);
  }).toThrow(
    expect.objectContaining({
      code: 'BATCH_INVALID',
      expected,
      got,
      message: expect.stringContaining(`got ${String(got)}`) as string,
    }),
  );
};
const containing = (text: string): unknown => expect.stringContaining(text);

describe('validateBatch', () => {
  it('accepts a good batch, one without wanted rows, an empty one, and one at every limit', () => {
    check({});
    check({ wanted: of() });
    check({ tokens: of(), starts: of(0), slots: of(), wanted: of() });
    check({ tokens: of(0, 1, 2, 3, 4, 5), starts: of(0, 1, 2, 6), slots: of(0, 1, 2) });
    check({ embeddings: { at: of(1), vectors: new Float32Array(2) } });
  });

  it('rejects a batch over a limit', () => {
    expectInvalid({ tokens: new Uint32Array(7) }, containing('at most 6'), 7);
    expectInvalid({ slots: of(0, 1, 2, 3) }, containing('at most 3'), 4);
    expectInvalid({ wanted: of(0, 1, 2) }, containing('at most 2'), 3);
  });

  it('rejects starts that do not divide the tokens', () => {
    expectInvalid({ starts: of(0, 3) }, containing('3'), 2);
    expectInvalid({ starts: of(1, 2, 3) }, 0, 1);
    expectInvalid({ starts: of(0, 0, 3) }, 'above 0', 0);
    expectInvalid({ starts: of(0, 3, 3) }, 'above 3', 3);
    expectInvalid({ starts: of(0, 1, 2) }, containing('3'), 2);
    expectInvalid({ starts: of(0, 1, 4) }, containing('3'), 4);
    expectInvalid({ starts: of() }, containing('3'), 0);
  });

  it('rejects slots and tokens out of range, and a slot twice', () => {
    expectInvalid({ slots: of(3, 4) }, 'below 4', 4);
    expectInvalid({ slots: of(3, 3) }, containing('once'), '3 again');
    expectInvalid({ tokens: of(1, 10, 2) }, containing('below 10'), 10);
  });

  it('rejects wanted rows that are unsorted, repeated, or out of range', () => {
    expectInvalid({ wanted: of(2, 1) }, 'above 2', 1);
    expectInvalid({ wanted: of(1, 1) }, 'above 1', 1);
    expectInvalid({ wanted: of(1, 3) }, containing('below 3'), 3);
  });

  it('rejects embeddings that do not fit', () => {
    const vectors = new Float32Array(4);
    expectInvalid({ embeddings: { at: of(0), vectors } }, 2, 4);
    expectInvalid({ embeddings: { at: of(1, 0), vectors } }, 'above 1', 0);
    expectInvalid({ embeddings: { at: of(0, 3), vectors } }, containing('below 3'), 3);
    const embeddings = { at: of(0), vectors: new Float32Array(2) };
    for (const changes of [{ embeddings: false }, { channels: 0 }]) {
      expect(() => {
        check({ embeddings }, changes);
      }).toThrow(expect.objectContaining({ code: 'BATCH_INVALID' }));
    }
  });

  it('calls another kind of array a TypeError', () => {
    for (const name of ['tokens', 'starts', 'slots', 'wanted'] as const) {
      expect(() => {
        check({ [name]: [...good[name]] });
      }).toThrow(TypeError);
      expect(() => {
        check({ [name]: new Int32Array(good[name]) });
      }).toThrow(TypeError);
    }
    const vectors = new Float64Array(2) as unknown as Float32Array;
    expect(() => {
      check({ embeddings: { at: of(0), vectors } });
    }).toThrow(TypeError);
  });
});

describe('batchBounds', () => {
  it('reads the vocabulary and the channels from the embed ops', () => {
    for (const config of smallConfigs) {
      expect(batchBounds(buildProgram(config))).toEqual({
        vocabularySize: 23,
        channels: 12,
        candidates: false,
      });
    }
  });
});

describe('validateLimits', () => {
  it('accepts positive sizes and no wanted rows, and nothing else', () => {
    validateLimits({ tokens: 1, sequences: 1, wanted: 0 });
    for (const change of [{ tokens: 0 }, { sequences: 1.5 }, { wanted: -1 }, { tokens: NaN }]) {
      expect(() => {
        validateLimits({ ...limits, ...change });
      }).toThrow(TypeError);
    }
  });
});
