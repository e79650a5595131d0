/**
 * The same bits, always: on repeated runs, on any number of threads, with other models at work, from a snapshot, and
 * whatever the other sequences of a batch hold.
 */
import type { Batch, Rows } from '@rwkv-ts/backend';
import { describe, expect, test } from 'vitest';
import { batchOf } from '../../backend-kit/conformance/batches.js';
import { availableInstructions, createCpuBackend } from '../src/index.js';
import {
  cheapWeights,
  everyVersion,
  heavyConfig,
  openSubject,
  type Opened,
  type Subject,
  tokensOf,
  wideSubject,
} from './subjects.js';

const subjects: readonly Subject[] = [
  ...everyVersion,
  ...(['bf16', 'q8_0', 'q5_1', 'q4_k', 'q6_k'] as const).map(wideSubject),
];

/** Prefills and decodes, alone and ragged: a few shapes for every path through the kernels. */
function script(vocabularySize: number, seed = 0): Batch[] {
  const tokens = (count: number, own: number) =>
    tokensOf(count, { seed: seed + own, below: vocabularySize });
  const single = (slot: number, own: number) => ({ slot, tokens: tokens(1, own) });
  return [
    batchOf([{ slot: 0, tokens: tokens(64, 1) }]),
    batchOf([
      { slot: 1, tokens: tokens(33, 2) },
      { slot: 2, tokens: tokens(1, 3) },
      { slot: 3, tokens: tokens(18, 4) },
    ]),
    batchOf([single(0, 5)]),
    batchOf([single(1, 6), single(3, 7)]),
    batchOf([single(4, 8), single(0, 9), single(1, 10), single(2, 11), single(3, 12)], 'last'),
    batchOf([{ slot: 0, tokens: tokens(5, 13) }], 'last'),
  ];
}

/** Rows of every step of the script, then the states it left. */
async function play(model: Opened, batches = script(model.vocabularySize)): Promise<Buffer> {
  for (let slot = 0; slot < model.states.slots; slot++) model.states.reset(slot);
  const parts: Uint8Array[] = [];
  for (const batch of batches) parts.push(bytesOf(await model.run(batch)));
  for (let slot = 0; slot < 5; slot++) parts.push(await model.states.read(slot));
  return Buffer.concat(parts);
}

function bytesOf(rows: Rows): Uint8Array {
  return new Uint8Array(rows.buffer, rows.byteOffset, rows.byteLength);
}

/** Not `toEqual`, which takes long for many bytes and tells 0 from -0 only sometimes. */
function expectSame(got: Uint8Array, want: Uint8Array, what: string): void {
  if (Buffer.compare(got, want) === 0) return;
  const at = got.findIndex((byte, index) => byte !== want[index]);
  expect.fail(`${what}: number ${Math.floor(at / 4)} of ${want.length / 4} has other bits`);
}

describe.each(availableInstructions())('%s', (instructions) => {
  describe.each(subjects)('$name', (subject) => {
    test('again, and on 1, 2 and 3 threads', async () => {
      let first: Buffer | undefined;
      for (const threads of [1, 2, 3]) {
        await using backend = createCpuBackend({ instructions, threads });
        const model = await openSubject(backend, subject);
        first ??= await play(model);
        for (let round = 0; round < 2; round++) {
          expectSame(await play(model), first, `round ${round} on ${threads} threads`);
        }
      }
    });

    test('whatever the other sequences of a batch hold', async () => {
      await using backend = createCpuBackend({ instructions, threads: 2 });
      const model = await openSubject(backend, subject);
      const { vocabularySize, states } = model;
      const rowsWith = async (seed: number, poison?: number): Promise<Rows> => {
        for (let slot = 0; slot < states.slots; slot++) states.reset(slot);
        if (poison !== undefined) {
          const size = (await states.read(0)).length;
          const numbers = new Float32Array(size / 4).fill(poison);
          for (const slot of [1, 2]) states.write(slot, new Uint8Array(numbers.buffer));
        }
        const strange = (count: number, own: number) =>
          tokensOf(count, { seed: seed + own, below: vocabularySize });
        const ours = tokensOf(9, { seed: 1, below: vocabularySize });
        const first = batchOf([
          { slot: 1, tokens: strange(7, 100) },
          { slot: 0, tokens: ours },
          { slot: 2, tokens: strange(20, 200) },
        ]);
        const second = batchOf([
          { slot: 1, tokens: strange(1, 300) },
          { slot: 0, tokens: [5] },
          { slot: 2, tokens: strange(1, 400) },
        ]);
        const [prefill, decode] = [await model.run(first), await model.run(second)];
        const rows = new Float32Array(10 * vocabularySize);
        rows.set(prefill.subarray(7 * vocabularySize, 16 * vocabularySize));
        rows.set(decode.subarray(vocabularySize, 2 * vocabularySize), 9 * vocabularySize);
        return rows;
      };
      const want = bytesOf(await rowsWith(0));
      for (const seed of [11, 23]) expectSame(bytesOf(await rowsWith(seed)), want, `seed ${seed}`);
      for (const poison of [NaN, Infinity, -1e30]) {
        expectSame(bytesOf(await rowsWith(0, poison)), want, `others' states all ${poison}`);
      }
    });
  });

  test('token by token as at once, with 8-bit activations too', async () => {
    await using backend = createCpuBackend({ instructions, threads: 2 });
    for (const format of ['q8_0', 'q4_k'] as const) {
      const model = await openSubject(backend, wideSubject(format));
      const tokens = tokensOf(12, { seed: 2, below: model.vocabularySize });
      const whole = await model.run(batchOf([{ slot: 0, tokens }]));
      for (const [index, token] of tokens.entries()) {
        const rows = await model.run(batchOf([{ slot: 1, tokens: [token] }]));
        for (const [column, value] of rows.entries()) {
          // Sums in another order turn a rounding of activations here and there.
          expect(value).toBeCloseTo(whole[index * model.vocabularySize + column]!, 1);
        }
      }
      await model[Symbol.asyncDispose]();
    }
  });

  // Models as small as those above have some of their steps done by one thread alone.
  test('a model whose every step is shared by the threads', async () => {
    let first: Buffer | undefined;
    for (const threads of [1, 2, 3]) {
      await using backend = createCpuBackend({ instructions, threads });
      const options = { weights: cheapWeights(heavyConfig) };
      const model = await openSubject(backend, { config: heavyConfig }, options);
      first ??= await play(model);
      expectSame(await play(model), first, `on ${threads} threads`);
    }
  });

  test('from a snapshot, and from a copied slot', async () => {
    await using backend = createCpuBackend({ instructions, threads: 2 });
    for (const subject of everyVersion) {
      const model = await openSubject(backend, subject);
      const { states, vocabularySize } = model;
      const continueAt = async (slot: number) => {
        const rows = [];
        for (const own of [20, 21, 22]) {
          const tokens = tokensOf(own === 21 ? 9 : 1, { seed: own, below: vocabularySize });
          rows.push(bytesOf(await model.run(batchOf([{ slot, tokens }]))));
        }
        return Buffer.concat([...rows, await states.read(slot)]);
      };
      await model.run(
        batchOf([{ slot: 0, tokens: tokensOf(40, { seed: 1, below: vocabularySize }) }]),
      );
      const snapshot = await states.read(0);
      states.copy(0, 6);
      const want = await continueAt(0);
      states.write(5, snapshot);
      expectSame(await continueAt(5), want, `${subject.name} from a snapshot`);
      expectSame(await continueAt(6), want, `${subject.name} from a copy`);
      states.write(0, snapshot);
      expectSame(await continueAt(0), want, `${subject.name} back in its own slot`);
      await model[Symbol.asyncDispose]();
    }
  });

  test('with other models and backends at work', async () => {
    await using backend = createCpuBackend({ instructions, threads: 2 });
    await using other = createCpuBackend({ instructions, threads: 2 });
    const chosen = [everyVersion[0]!, everyVersion.at(-2)!, wideSubject('q8_0')];
    const alone = [];
    for (const subject of chosen) {
      const model = await openSubject(backend, subject);
      alone.push(await play(model));
      await model[Symbol.asyncDispose]();
    }
    const models = await Promise.all(
      [backend, other].flatMap((each) => chosen.map((subject) => openSubject(each, subject))),
    );
    for (let round = 0; round < 2; round++) {
      const together = await Promise.all(models.map((model) => play(model)));
      for (const [index, got] of together.entries()) {
        expectSame(got, alone[index % chosen.length]!, `model ${index} in round ${round}`);
      }
    }
  });
});
