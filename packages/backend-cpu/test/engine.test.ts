/**
 * The machinery around the kernels: who waits for whom, what is given back, and what bad input meets.
 * Over 400 lines because its tables of bad input are long; they share the models and the way to ask for an error.
 */
import { readdirSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { BackendError, type HostWeight } from '@rwkv-ts/backend';
import { describe, expect, test } from 'vitest';
import { batchOf } from '../../backend-kit/conformance/batches.js';
import { handOver } from '../../backend-kit/conformance/session.js';
import { OpScope } from '../../backend-kit/conformance/op-scope.js';
import { tinyModel } from '../../backend-kit/conformance/tiny-models.js';
import { type CpuBackend, createCpuBackend } from '../src/index.js';
import { loadNative } from '../src/load-native.js';
import {
  cheapWeights,
  everyVersion,
  heavyConfig,
  openSubject,
  tokensOf,
  usualLimits,
  wideSubject,
} from './subjects.js';

const tiny = tinyModel('7');
const heavyLimits = { tokens: 256, sequences: 1, wanted: 1 };
const heavyBatch = batchOf(
  [{ slot: 0, tokens: tokensOf(256, { seed: 1, below: heavyConfig.vocabularySize }) }],
  'last',
);
const openHeavy = (backend: CpuBackend) => {
  const options = { limits: heavyLimits, slots: 1, weights: cheapWeights(heavyConfig) };
  return openSubject(backend, { config: heavyConfig }, options);
};
const someBatch = batchOf([{ slot: 0, tokens: [1, 2, 3, 4, 5] }]);
const one = batchOf([{ slot: 0, tokens: [1] }]);

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

async function failure(promise: Promise<unknown>): Promise<BackendError> {
  try {
    await promise;
  } catch (error) {
    expect(error).toBeInstanceOf(BackendError);
    return error as BackendError;
  }
  return expect.fail('it must reject');
}

describe('waiting', () => {
  test('the event loop runs while steps do', async () => {
    await using backend = createCpuBackend({ threads: 1 });
    const model = await openHeavy(backend);
    await model.run(heavyBatch);
    const start = performance.now();
    let [last, longest, ticks] = [start, 0, 0];
    const tick = () => {
      const now = performance.now();
      longest = Math.max(longest, now - last);
      last = now;
      ticks++;
    };
    const timer = setInterval(tick, 2);
    await Promise.all(Array.from({ length: 8 }, () => model.run(heavyBatch)));
    tick();
    clearInterval(timer);
    const all = last - start;
    // Were the steps done on this thread, the longest gap would be an eighth of the whole at least.
    expect(longest).toBeLessThan(Math.max(20, all / 12));
    expect(ticks).toBeGreaterThan(all / 20);
  });

  test('several backends with several models each, disposed of in any order', async () => {
    const backends = [1, 2, 3].map((threads) => createCpuBackend({ threads }));
    const opened = await Promise.all(
      backends.flatMap((backend) => everyVersion.map((subject) => openSubject(backend, subject))),
    );
    const runs = opened.map((model) => model.run(someBatch));
    await backends[1]![Symbol.asyncDispose]();
    await Promise.all(runs);
    const rest = opened.filter((_, index) => Math.floor(index / everyVersion.length) !== 1);
    await Promise.all(rest.map((model) => model.run(one)));
    for (const backend of backends) {
      await backend[Symbol.asyncDispose]();
      expect(backend.bytes).toBe(0);
    }
  });

  test('what is queued is done before a disposal, of whichever handle', async () => {
    for (const which of ['executable', 'states', 'backend'] as const) {
      const backend = createCpuBackend({ threads: 1 });
      const model = await openHeavy(backend);
      const runs = Array.from({ length: 6 }, () => model.run(heavyBatch));
      const read = model.states.read(0);
      await { ...model, backend }[which][Symbol.asyncDispose]();
      const rows = await Promise.all(runs);
      expect(rows.every((row) => row.length === heavyConfig.vocabularySize)).toBe(true);
      expect((await read).length).toBeGreaterThan(0);
      expect((await failure(model.run(heavyBatch))).code).toBe('DISPOSED');
      await backend[Symbol.asyncDispose]();
      expect(backend.bytes).toBe(0);
    }
  });

  const all = tiny.weights.length;
  test.each([0, 1, 3, all])(
    'the backend goes during an upload, after %i weights',
    async (count) => {
      const backend = createCpuBackend({ threads: 2 });
      let disposal: PromiseLike<void> | undefined;
      async function* source(): AsyncGenerator<HostWeight> {
        let index = 0;
        for await (const weight of handOver(tiny.weights)) {
          if (index++ === count) {
            disposal = backend[Symbol.asyncDispose]();
            if (count === 3) await disposal;
          }
          yield weight;
        }
        disposal ??= backend[Symbol.asyncDispose]();
      }
      expect((await failure(backend.upload(source()))).code).toBe('DISPOSED');
      await disposal;
      expect(backend.bytes).toBe(0);
    },
  );

  test('rows go to the output of the batch, wherever that goes meanwhile', async () => {
    await using backend = createCpuBackend({ threads: 2 });
    const model = await openSubject(backend, everyVersion[0]!);
    const [fresh, output] = [await model.run(someBatch), new Float32Array(1000)];
    const before = backend.bytes;
    for (let step = 0; step < 3; step++) {
      model.states.reset(0);
      const rows = await model.run({ ...someBatch, output });
      expect([rows.buffer, rows.byteOffset]).toEqual([output.buffer, 0]);
      expect(backend.bytes - before).toBe(fresh.byteLength);
    }
    for (let slot = 0; slot < model.states.slots; slot++) model.states.reset(slot);
    const expected = await model.run(someBatch);
    for (let slot = 0; slot < model.states.slots; slot++) model.states.reset(slot);
    const running = model.run({ ...someBatch, output });
    structuredClone(output, { transfer: [output.buffer] });
    expect(output.length).toBe(0);
    expect(await running).toEqual(expected);
    const unwanted = { ...someBatch, wanted: new Uint32Array(0) };
    expect(await model.run({ ...unwanted, output })).toHaveLength(0);
  });

  test('heads too large for the memory of a thread are refused', async () => {
    await using backend = createCpuBackend({ threads: 1 });
    const weights = await backend.upload(handOver(tiny.weights));
    const states = await backend.createStates(tiny.program.states, 1);
    const size = 32769;
    const scope = new OpScope({ seed: 1 });
    const [x, out] = [scope.input(size), scope.value(size)];
    const inputs = { r: x, w: x, k: x, v: x, a: x, b: x };
    const state = scope.state([1, size, size], 0);
    scope.emit({ kind: 'wkv7', out, ...inputs, heads: 1, state });
    const program = scope.program(out);
    const refused = await failure(backend.compile(program, { weights, states }, usualLimits));
    expect(refused).toMatchObject({ code: 'UNSUPPORTED_OP', expected: 32768, got: 32769 });
  });

  test('the backend goes right after createStates, with nothing else alive', async () => {
    for (let round = 0; round < 100; round++) {
      const backend = createCpuBackend({ threads: 2 });
      const created = failure(backend.createStates(tiny.program.states, 2));
      await backend[Symbol.asyncDispose]();
      expect((await created).code).toBe('DISPOSED');
      expect(backend.bytes).toBe(0);
    }
  });

  test('the backend goes during createStates and compile', async () => {
    const backend = createCpuBackend({ threads: 2 });
    const weights = await backend.upload(handOver(tiny.weights));
    const states = await backend.createStates(tiny.program.states, 2);
    const compiled = failure(backend.compile(tiny.program, { weights, states }, usualLimits));
    const created = failure(backend.createStates(tiny.program.states, 2));
    await backend[Symbol.asyncDispose]();
    expect((await compiled).code).toBe('DISPOSED');
    expect((await created).code).toBe('DISPOSED');
    expect(backend.bytes).toBe(0);
  });

  test('an engine that was stopped says so', async () => {
    const addon = loadNative();
    const engine = addon.createEngine(addon.instructions()[0]!, 1, false, 0);
    await addon.drainEngine(engine);
    addon.stopEngine(engine);
    addon.stopEngine(engine);
    await expect(addon.drainEngine(engine)).rejects.toMatchObject({ code: 'STOPPED' });
  });

  test('profiling counts steps and where their time went', async () => {
    await using backend = createCpuBackend({ threads: 2 });
    const model = await openHeavy(backend);
    await model.executable.profile(true);
    for (let step = 0; step < 3; step++) await model.run(heavyBatch);
    const profile = await model.executable.profile(false);
    const { linear, wkv7, wkv4 } = profile.operationMilliseconds;
    expect(profile.steps).toBe(3);
    expect(wkv4).toBe(0);
    expect(wkv7).toBeGreaterThan(0);
    expect(linear).toBeGreaterThan(wkv7);
    // Summed over two threads.
    expect(linear).toBeLessThan(2.2 * profile.stepMilliseconds);
    await model.run(heavyBatch);
    expect((await model.executable.profile(false)).steps).toBe(3);
  });
});

describe('memory', () => {
  test('V8 hears of it', async () => {
    await using backend = createCpuBackend();
    // Not process.memoryUsage().external, which has only the buffers of arrays. Those count here too, so they must go.
    const told = () => {
      // V8 counts the buffers of a collection that it still sweeps; the next one waits for that.
      collectGarbage();
      collectGarbage();
      return loadNative().adjustMemory(0);
    };
    const before = told();
    const model = await openHeavy(backend);
    const held = backend.bytes;
    expect(held).toBeGreaterThan(30e6);
    expect(told() - before).toBeGreaterThan(0.8 * held);
    await model[Symbol.asyncDispose]();
    expect(told() - before).toBeLessThan(0.2 * held);
    // V8 itself aborts the process on such numbers.
    for (const absurd of [2 ** 64, -(2 ** 64), NaN]) loadNative().adjustMemory(absurd);
    expect(told() - before).toBeLessThan(0.2 * held);
  });

  const threadsNow = () => readdirSync('/proc/self/task').length;
  test.skipIf(process.platform !== 'linux')(
    '50 models and backends later, memory and threads are back',
    async () => {
      const subject = wideSubject('f32');
      const limits = { tokens: 512, sequences: 1, wanted: 1 };
      const tokens = tokensOf(512, { seed: 1, below: subject.config.vocabularySize });
      const long = batchOf([{ slot: 0, tokens }], 'last');
      // So that nothing goes because nobody refers to it any more.
      const kept: unknown[] = [];
      const cycle = async () => {
        await using backend = createCpuBackend({ threads: 2 });
        const model = await openSubject(backend, subject, { limits, slots: 1 });
        await model.run(long);
        await model.run(one);
        kept.push(backend, model);
      };
      for (let index = 0; index < 10; index++) await cycle();
      collectGarbage();
      const [before, threads] = [process.memoryUsage.rss(), threadsNow()];
      for (let index = 0; index < 40; index++) await cycle();
      collectGarbage();
      expect(threadsNow()).toBeLessThanOrEqual(threads);
      expect(kept).toHaveLength(100);
      // A leak of programs or of weights would be some 200 MB.
      expect(process.memoryUsage.rss() - before).toBeLessThan(60e6);
    },
  );

  test('a limit is refused with both numbers, and what is there stays usable', async () => {
    await using measure = createCpuBackend({ threads: 1 });
    const whole = await openSubject(measure, everyVersion[0]!);
    const uploaded = measure.bytes - whole.executable.bytes - whole.states.bytes;
    const needs = { states: whole.states.bytes, executable: whole.executable.bytes };

    await using small = createCpuBackend({ threads: 1, memoryLimit: uploaded - 1 });
    const weights = everyVersion[0]!.weights();
    const refused = await failure(small.upload(handOver(weights)));
    expect(refused.code).toBe('OUT_OF_MEMORY');
    expect(refused.message).toContain(`${refused.got as number} bytes`);
    expect(refused.message).toContain(`available: ${refused.expected as number}`);
    expect(refused.got as number).toBeGreaterThan(refused.expected as number);
    expect(small.bytes).toBe(0);

    const program = tinyModel('4').program;
    await using exact = createCpuBackend({ threads: 1, memoryLimit: uploaded + needs.states });
    const there = await exact.upload(handOver(weights));
    const tooMany = await failure(exact.createStates(program.states, 9));
    expect(tooMany).toMatchObject({ code: 'OUT_OF_MEMORY', expected: needs.states });
    expect(tooMany.got).toBe((needs.states / 8) * 9);
    const states = await exact.createStates(program.states, 8);
    const compiled = await failure(exact.compile(program, { weights: there, states }, usualLimits));
    expect(compiled).toMatchObject({ code: 'OUT_OF_MEMORY', expected: 0 });
    expect(exact.bytes).toBe(uploaded + needs.states);
    expect((await states.read(7)).length).toBe(needs.states / 8);
  });

  test.each([2 ** 40, 2 ** 52, Number.MAX_SAFE_INTEGER])(
    'without a limit, %d slots are refused',
    async (slots) => {
      await using backend = createCpuBackend({ memoryLimit: Infinity });
      const states = [{ name: 'state', shape: [1024], initial: 1 }];
      const refused = await failure(backend.createStates(states, slots));
      expect(refused.code).toBe('OUT_OF_MEMORY');
      expect(backend.bytes).toBe(0);
      // With 2^52 slots the bytes are 0 again in 64 bits.
      const addon = loadNative();
      expect(() =>
        addon.createStates(Float64Array.of(1024), new Float32Array(1024), slots),
      ).toThrow(expect.objectContaining({ code: 'OUT_OF_MEMORY' }));
    },
  );

  test('without a limit, activations beyond any memory are refused', async () => {
    await using backend = createCpuBackend({ memoryLimit: Infinity });
    const model = await openSubject(backend, everyVersion[0]!);
    const weights = await backend.upload(handOver(tiny.weights));
    const states = await backend.createStates(tiny.program.states, 1);
    for (const tokens of [2 ** 40, 2 ** 45]) {
      const limits = { tokens, sequences: 1, wanted: 1 };
      const refused = await failure(backend.compile(tiny.program, { weights, states }, limits));
      expect(refused.code).toBe('OUT_OF_MEMORY');
    }
    await model.run(someBatch);
  });
});

describe('bad input', () => {
  const bytes = (count: number) => new Uint8Array(count);
  const detached = () => {
    const gone = bytes(64);
    structuredClone(gone.buffer, { transfer: [gone.buffer] });
    return gone;
  };
  test.each([
    { what: 'too few bytes', weight: { shape: [4, 4], format: 'f32', bytes: bytes(63) } },
    { what: 'detached bytes', weight: { shape: [4, 4], format: 'f32', bytes: detached() } },
    { what: 'no dimensions', weight: { shape: [], format: 'f32', bytes: bytes(4) } },
    { what: 'a size of 0', weight: { shape: [0, 4], format: 'f32', bytes: bytes(0) } },
    { what: 'a negative size', weight: { shape: [-1, -4], format: 'f32', bytes: bytes(16) } },
    { what: 'half a row', weight: { shape: [1.5, 2], format: 'f32', bytes: bytes(12) } },
    { what: 'no number', weight: { shape: [NaN], format: 'f32', bytes: bytes(0) } },
    { what: 'rows that wrap', weight: { shape: [2 ** 32, 4], format: 'f32', bytes: bytes(0) } },
    { what: 'columns that wrap', weight: { shape: [1, 2 ** 33], format: 'f16', bytes: bytes(0) } },
    {
      what: 'too many numbers',
      weight: { shape: [2 ** 31, 2 ** 31], format: 'f32', bytes: bytes(0) },
    },
    { what: 'a broken block', weight: { shape: [4, 33], format: 'q8_0', bytes: bytes(140) } },
    { what: 'a broken long block', weight: { shape: [2, 128], format: 'q4_k', bytes: bytes(144) } },
  ] as const)('a weight with $what', async ({ weight }) => {
    await using backend = createCpuBackend({ threads: 1, memoryLimit: Infinity });
    const weights = handOver([]);
    async function* source(): AsyncGenerator<HostWeight> {
      yield* weights;
      yield { name: 'weight', ...weight };
    }
    expect((await failure(backend.upload(source()))).code).toBe('WEIGHT_INVALID');
    expect(backend.bytes).toBe(0);
  });

  test('bytes at any address, also in shared memory', async () => {
    await using backend = createCpuBackend();
    const subject = wideSubject('q8_0');
    const rows = async (place: (bytes: Uint8Array) => Uint8Array) => {
      async function* placed(): AsyncGenerator<HostWeight> {
        for (const weight of subject.weights()) yield { ...weight, bytes: place(weight.bytes) };
      }
      const model = await openSubject(backend, subject, { weights: placed() });
      return model.run(someBatch);
    };
    const want = await rows((given) => given.slice());
    const at = (buffer: ArrayBufferLike, offset: number, given: Uint8Array) => {
      const placed = new Uint8Array(buffer, offset, given.length);
      placed.set(given);
      return placed;
    };
    expect(await rows((g) => at(new ArrayBuffer(g.length + 3), 3, g))).toEqual(want);
    expect(await rows((g) => at(new SharedArrayBuffer(g.length + 1), 1, g))).toEqual(want);
  });

  test('infinities and NaN in weights stay where the mathematics has them', async () => {
    await using backend = createCpuBackend();
    for (const format of ['f32', 'f16'] as const) {
      const subject = wideSubject(format);
      const { vocabularySize, channels } = subject.config;
      const size = format === 'f32' ? 4 : 2;
      const [nan, infinity] = format === 'f32' ? [0x7fc00000, 0x7f800000] : [0x7e00, 0x7c00];
      const spoil = (given: HostWeight): Uint8Array => {
        const own = given.bytes.slice();
        const view = new DataView(own.buffer);
        const put = (row: number, value: number) => {
          const offset = (row * channels + 5) * size;
          if (size === 4) view.setUint32(offset, value, true);
          else view.setUint16(offset, value, true);
        };
        if (given.name === 'head.weight') put(3, nan);
        if (given.name === 'emb.weight') put(7, infinity);
        return own;
      };
      async function* spoiled(): AsyncGenerator<HostWeight> {
        for (const weight of subject.weights()) yield { ...weight, bytes: spoil(weight) };
      }
      const sound = await openSubject(backend, subject);
      const model = await openSubject(backend, subject, { weights: spoiled() });
      const batch = batchOf([
        { slot: 0, tokens: [1, 2, 3, 4] },
        { slot: 1, tokens: [5, 7, 8] },
        { slot: 2, tokens: [9] },
      ]);
      const [got, want] = [await model.run(batch), await sound.run(batch)];
      for (let row = 0; row < 8; row++) {
        const own = got.subarray(row * vocabularySize, (row + 1) * vocabularySize);
        const expected = want.slice(row * vocabularySize, (row + 1) * vocabularySize);
        const isLost = row === 5 || row === 6;
        if (isLost) expected.fill(NaN);
        expected[3] = NaN;
        expect(own, `${format} row ${row}`).toEqual(expected);
      }
    }
  });

  test.each([
    { threads: 0 },
    { threads: -1 },
    { threads: 1.5 },
    { threads: 257 },
    { threads: NaN },
    { threads: '2' as unknown as number },
    { threads: null as unknown as number },
    { spinMicroseconds: -1 },
    { spinMicroseconds: 1e7 },
    { spinMicroseconds: Infinity },
    { pin: 'yes' as unknown as boolean },
    { memoryLimit: -1 },
    { memoryLimit: NaN },
    { memoryLimit: '100' as unknown as number },
  ])('options out of range: %o', (options) => {
    expect(() => createCpuBackend(options)).toThrow(TypeError);
    expect(() => createCpuBackend(options)).toThrow(Object.keys(options)[0]);
  });

  test('instructions that are not there', () => {
    const create = () => createCpuBackend({ instructions: 'sse9' });
    expect(create).toThrow(expect.objectContaining({ code: 'DEVICE_UNAVAILABLE', got: 'sse9' }));
    expect(create).toThrow(/this machine runs .*\w/);
  });

  test.each([
    { threads: 16, spinMicroseconds: 0 },
    { threads: 3, pin: true, spinMicroseconds: 1000 },
    { threads: 1, pin: true, spinMicroseconds: 0 },
  ])('unusual options work: %o', async (options) => {
    await using plain = createCpuBackend({ threads: 2 });
    await using backend = createCpuBackend(options);
    const [want, got] = [
      await openSubject(plain, everyVersion[5]!),
      await openSubject(backend, everyVersion[5]!),
    ];
    for (const batch of [someBatch, one])
      expect(await got.run(batch)).toEqual(await want.run(batch));
  });

  test('a batch in shared memory, and one that lies about its length', async () => {
    await using backend = createCpuBackend();
    const model = await openSubject(backend, everyVersion[0]!);
    const want = await model.run(someBatch);
    const shared = (array: Uint32Array) => {
      const copy = new Uint32Array(new SharedArrayBuffer(array.byteLength));
      copy.set(array);
      return copy;
    };
    const { tokens, starts, slots, wanted } = someBatch;
    model.states.reset(0);
    const batch = {
      tokens: shared(tokens),
      starts: shared(starts),
      slots: shared(slots),
      wanted: shared(wanted),
    };
    expect(await model.run(batch)).toEqual(want);

    class Liar extends Uint32Array {
      override get length() {
        return 1;
      }
    }
    const lie = { ...one, tokens: new Liar(1e6) };
    await expect(model.run(lie)).rejects.toThrow('does not fit');
    model.states.reset(0);
    expect(await model.run(someBatch)).toEqual(want);
  });
});
