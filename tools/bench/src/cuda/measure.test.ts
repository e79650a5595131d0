/** What is measured, on the reference backend in the place of a device. */
import { BackendError } from '@rwkv-ts/backend';
import type { CudaBackend } from '@rwkv-ts/backend-cuda';
import { createReferenceBackend } from '@rwkv-ts/reference';
import { expect, test } from 'vitest';
import { measureModel, type MeasureOptions, nameOf, testsOf } from './measure.js';

const options: MeasureOptions = {
  batch: [1, 3],
  prefill: [5],
  candidates: 4,
  logits: [1, 8],
  rounds: 2,
  seconds: 0.001,
  peer: [],
};
const subject = { shape: 'tiny', format: 'f16' } as const;

/** `mostSlots`: how many sequences fit. */
function backendOf(mostSlots = Infinity): CudaBackend {
  const backend = createReferenceBackend({ precision: 'f32' });
  const createStates = backend.createStates.bind(backend);
  const limited: typeof createStates = async (specs, slots) => {
    if (slots <= mostSlots) return createStates(specs, slots);
    throw new BackendError({ code: 'OUT_OF_MEMORY', message: 'too many', expected: 1, got: slots });
  };
  return Object.assign(backend, { createStates: limited }) as unknown as CudaBackend;
}

test('the tests are all batches, some of them twice, and the prompts', () => {
  const names = (given: MeasureOptions) =>
    testsOf(given).map((each) => `${nameOf(each)} ${each.rows}`);
  const prompts = ['prefill 5 logits'];
  expect(names(options)).toEqual([
    ...['decode 1 candidates', 'decode 3 candidates', 'decode 1 logits'],
    ...prompts,
  ]);
  const whole = ['decode 1 logits', 'decode 3 logits', ...prompts];
  expect(names({ ...options, candidates: 0 })).toEqual(whole);
});

test('every test has a sample of each round, and nothing is left', async () => {
  const open = async () => backendOf();
  const result = await measureModel(subject, { ...options, open });
  expect(result).toMatchObject({ shape: 'tiny', format: 'f16', bytesLeft: 0 });
  expect(result.weightBytes).toBeGreaterThan(0);
  expect(result.loadSeconds).toBeGreaterThan(0);
  expect(result.cost.weightBytes).toBeGreaterThan(0);
  expect(result.peer).toBeUndefined();
  expect(result.tests.length).toBe(4);
  for (const { samples, bytes, failure } of result.tests) {
    expect(failure).toBeUndefined();
    expect(samples.map(({ round }) => round)).toEqual([0, 1]);
    expect(samples.every(({ value }) => value > 0 && Number.isFinite(value))).toBe(true);
    expect(bytes).toBeGreaterThan(0);
  }
});

test('a test that does not fit says so, and the others are measured', async () => {
  const open = async () => backendOf(2);
  const { tests } = await measureModel(subject, { ...options, open });
  const [one, three, ...rest] = tests;
  expect(three).toMatchObject({ samples: [], failure: 'OUT_OF_MEMORY: too many' });
  expect([one, ...rest].every((each) => each?.samples.length === 2)).toBe(true);
});

test('a peer runs once a round', async () => {
  const program = `console.log('{"engine":"fake"}\\n{"test":"decode 3","rate":7}')`;
  const peer = [process.execPath, '-e', program, '--'];
  const open = async () => backendOf();
  const result = await measureModel(subject, { ...options, peer, open });
  const samples = [0, 1].map((round) => ({ round, value: 7 }));
  expect(result.peer).toEqual({ engine: 'fake', samples: { 'decode 3': samples }, failures: [] });
});
