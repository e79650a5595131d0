import type { BackendError, Batch, HostWeight, Program, WeightFormat } from '@rwkv-ts/backend';
import { buildProgram } from '@rwkv-ts/model';
import { lower } from '@rwkv-ts/program';
import { describe, expect, it } from 'vitest';
import { batchOf, sessionLimits } from '../test/harness.js';
import { smallConfigs } from '../test/models.js';
import { coarse, dispose, prepare, tokens, weights } from '../test/prepare.js';
import { hostWeights } from '../test/random.js';
import { createReferenceBackend } from './index.js';

const code = (expected: string): unknown => expect.objectContaining({ code: expected });

describe('memory', () => {
  it.each(['f32', 'f64'] as const)(
    'counts every byte of %s and gives all back',
    async (precision) => {
      const { backend, executable, program, ...bindings } = await prepare({ precision });
      const size = precision === 'f64' ? 8 : 4;
      const count = (specs: readonly { readonly shape: readonly number[] }[]): number =>
        specs.reduce((sum, { shape }) => sum + shape.reduce((product, n) => product * n, 1), 0);
      expect(bindings.weights.bytes).toBe(count(program.weights) * 4);
      expect(bindings.states.bytes).toBe(count(program.states) * 3 * size);
      expect(executable.bytes).toBeGreaterThan(sessionLimits.wanted * program.output.width * size);
      expect(backend.bytes).toBe(bindings.weights.bytes + bindings.states.bytes + executable.bytes);
      await dispose(executable);
      expect(executable.bytes).toBe(0);
      expect(backend.bytes).toBe(bindings.weights.bytes + bindings.states.bytes);
      await dispose(bindings.weights);
      await dispose(bindings.states);
      expect(backend.bytes).toBe(0);
    },
  );

  it('refuses before allocating, with both numbers, and keeps nothing of what failed', async () => {
    const { backend, program } = await prepare();
    const needed = backend.bytes;
    await dispose(backend);
    const tight = createReferenceBackend({ memoryLimit: needed - 1 });
    const bindings = {
      weights: await tight.upload(hostWeights(program, weights)),
      states: await tight.createStates(program.states, 3),
    };
    const before = tight.bytes;
    const error: unknown = await tight
      .compile(program, bindings, sessionLimits)
      .catch((e: unknown) => e);
    expect(error).toMatchObject({ code: 'OUT_OF_MEMORY' });
    const { expected, got } = error as BackendError;
    expect(got).toBeGreaterThan(expected as number);
    expect(tight.bytes).toBe(before);
    await expect(tight.createStates(program.states, 1e9)).rejects.toEqual(code('OUT_OF_MEMORY'));
    expect(tight.bytes).toBe(before);
    const small = createReferenceBackend({ memoryLimit: 1000 });
    await expect(small.upload(hostWeights(program, weights))).rejects.toEqual(
      code('OUT_OF_MEMORY'),
    );
    expect(small.bytes).toBe(0);
  });

  it('calls what the runtime cannot allocate OUT_OF_MEMORY as well', async () => {
    const { backend, program, weights, states } = await prepare();
    const limits = { ...sessionLimits, tokens: 2 ** 45 };
    const before = backend.bytes;
    await expect(backend.compile(program, { weights, states }, limits)).rejects.toEqual(
      code('OUT_OF_MEMORY'),
    );
    for (const slots of [2 ** 40, 2 ** 52]) {
      await expect(backend.createStates(program.states, slots)).rejects.toEqual(
        code('OUT_OF_MEMORY'),
      );
    }
    expect(backend.bytes).toBe(before);
  });
});

describe('disposal', () => {
  it('is idempotent, waits for queued work, and ends every method', async () => {
    const { backend, program, executable, weights, states } = await prepare();
    const running = executable.run(batchOf({ slot: 0, tokens }));
    await Promise.all([dispose(backend), dispose(backend)]);
    expect((await running).length).toBe(tokens.length * program.output.width);
    await dispose(executable);
    expect(backend.bytes).toBe(0);
    const disposed = code('DISPOSED');
    await expect(executable.run(batchOf({ slot: 0, tokens }))).rejects.toEqual(disposed);
    await expect(states.read(0)).rejects.toEqual(disposed);
    for (const call of [
      () => {
        states.reset(0);
      },
      () => {
        states.copy(0, 1);
      },
      () => {
        states.write(0, new Uint8Array());
      },
      () => states.values(0, program.states[0]!.name),
    ]) {
      expect(call).toThrow(disposed);
    }
    await expect(backend.createStates(program.states, 1)).rejects.toEqual(disposed);
    await expect(backend.upload(hostWeights(program, new Map()))).rejects.toEqual(disposed);
    await expect(backend.compile(program, { weights, states }, sessionLimits)).rejects.toEqual(
      disposed,
    );
  });

  it('of bindings ends the executable and later compiles', async () => {
    for (const name of ['weights', 'states'] as const) {
      const { backend, program, executable, ...bindings } = await prepare();
      await dispose(bindings[name]);
      await expect(executable.run(batchOf({ slot: 0, tokens }))).rejects.toEqual(code('DISPOSED'));
      await expect(backend.compile(program, bindings, sessionLimits)).rejects.toEqual(
        code('DISPOSED'),
      );
      await dispose(backend);
    }
  });

  it.each([1, coarse.weights.length])('after %d tensors of an upload ends it', async (count) => {
    const backend = createReferenceBackend();
    async function* stream(): AsyncGenerator<HostWeight> {
      let seen = 0;
      for await (const weight of hostWeights(coarse, weights)) {
        yield weight;
        if (++seen === count) await dispose(backend);
      }
    }
    await expect(backend.upload(stream())).rejects.toEqual(code('DISPOSED'));
    expect(backend.bytes).toBe(0);
  });
});

describe('the queue', () => {
  it('keeps call order without awaiting, and batches may be reused at once', async () => {
    const { backend, executable, states } = await prepare();
    const first = await executable.run(batchOf({ slot: 0, tokens }));
    const batch = batchOf({ slot: 1, tokens });
    // The first run may start inside its call; the second waits, and must not see its batch change meanwhile.
    const runs = [executable.run(batchOf({ slot: 2, tokens })), executable.run(batch)];
    for (const array of [batch.tokens, batch.starts, batch.slots, batch.wanted]) array.fill(0);
    states.copy(1, 2);
    const snapshot = states.read(2);
    states.reset(1);
    runs.push(executable.run(batchOf({ slot: 1, tokens })));
    states.reset(1);
    const bytes = await snapshot;
    const given = bytes.slice();
    states.write(1, given);
    given.fill(255);
    expect(await states.read(1)).toEqual(bytes);
    expect(await states.read(0)).toEqual(bytes);
    for (const rows of await Promise.all(runs)) expect(rows).toEqual(first);
    await dispose(backend);
  });

  it('lets timers run between steps that follow each other without a pause', async () => {
    const { backend, executable } = await prepare();
    let ticks = 0;
    const timer = setInterval(() => {
      ticks++;
    }, 1);
    const finished: number[] = [];
    const runs: Promise<unknown>[] = [];
    const start = performance.now();
    // Long enough for a machine that has much else to do; where timers never run it ends too.
    for (let index = 0; ticks < 3 && performance.now() - start < 4000; index++) {
      // Pairs, so that calls also wait for each other.
      const run = executable.run(batchOf({ slot: 0, tokens })).then(() => finished.push(index));
      runs.push(run);
      if (index % 2 === 1) await run;
    }
    await Promise.all(runs);
    clearInterval(timer);
    expect(ticks).toBeGreaterThan(2);
    expect(finished).toEqual(runs.map((_, index) => index));
    await dispose(backend);
  });
});

describe('errors', () => {
  it('rejects a bad batch and changes no state', async () => {
    const { backend, executable, states } = await prepare();
    await executable.run(batchOf({ slot: 0, tokens }));
    const before = await states.read(0);
    const good = batchOf({ slot: 0, tokens });
    const bad: Partial<Batch>[] = [
      { tokens: Uint32Array.of(3, 1, 4, 1, 99) },
      { slots: Uint32Array.of(3) },
      { wanted: Uint32Array.of(1, 0) },
    ];
    for (const change of bad) {
      await expect(executable.run({ ...good, ...change })).rejects.toEqual(code('BATCH_INVALID'));
    }
    expect(await states.read(0)).toEqual(before);
    await dispose(backend);
  });

  it('rejects slots and snapshots that do not fit at once', async () => {
    const { backend, states } = await prepare();
    const invalid = code('STATE_INVALID') as Error;
    for (const slot of [-1, 3, 0.5]) {
      expect(() => {
        states.reset(slot);
      }).toThrow(invalid);
      expect(() => {
        states.copy(0, slot);
      }).toThrow(invalid);
      expect(() => {
        states.copy(slot, 0);
      }).toThrow(invalid);
      expect(() => {
        states.write(slot, new Uint8Array());
      }).toThrow(invalid);
      await expect(states.read(slot)).rejects.toEqual(invalid);
    }
    expect(() => {
      states.write(0, new Uint8Array(3));
    }).toThrow(invalid);
    expect(() => states.values(0, 'nothing')).toThrow(invalid);
    await dispose(backend);
  });

  it('rejects weights that are unknown, twice, or of another size, and frees the rest', async () => {
    const backend = createReferenceBackend();
    const good: HostWeight = {
      name: 'a',
      shape: [2, 32],
      format: 'f32',
      bytes: new Uint8Array(256),
    };
    async function* stream(...list: HostWeight[]): AsyncGenerator<HostWeight> {
      yield* list;
    }
    const invalid: HostWeight[][] = [
      [good, good],
      [{ ...good, bytes: new Uint8Array(255) }],
      [{ ...good, shape: [2, 31] }],
      [{ ...good, shape: [] }],
      [{ ...good, shape: [2, -32] }],
      [{ ...good, shape: [2 ** 40, 2 ** 40] }],
      [{ ...good, name: '' }],
      [{ ...good, format: 'q8_0', shape: [4, 16], bytes: new Uint8Array(68) }],
    ];
    for (const list of invalid) {
      await expect(backend.upload(stream(...list))).rejects.toEqual(code('WEIGHT_INVALID'));
    }
    const unknown = { ...good, format: 'q2_k' as WeightFormat };
    await expect(backend.upload(stream(good, unknown))).rejects.toEqual(
      code('UNSUPPORTED_WEIGHT_FORMAT'),
    );
    async function* failing(): AsyncGenerator<HostWeight> {
      yield good;
      throw new RangeError('the file ended');
    }
    await expect(backend.upload(failing())).rejects.toThrow('the file ended');
    expect(backend.bytes).toBe(0);
  });

  it('rejects programs that do not fit', async () => {
    const { backend, program, weights: uploaded, states } = await prepare();
    const bindings = { weights: uploaded, states };
    const compile = (changed: Program) => backend.compile(changed, bindings, sessionLimits);
    await expect(compile(coarse)).rejects.toEqual(code('UNSUPPORTED_OP'));
    await expect(compile({ ...program, ops: program.ops.slice(1) })).rejects.toEqual(
      code('PROGRAM_INVALID'),
    );
    const other = lower(
      buildProgram({ ...smallConfigs[5]!, vocabularySize: 38 }),
      backend.supports.ops,
    );
    await expect(compile(other)).rejects.toEqual(code('PROGRAM_INVALID'));
    const more = lower(buildProgram({ ...smallConfigs[5]!, layers: 3 }), backend.supports.ops);
    await expect(compile(more)).rejects.toEqual(code('PROGRAM_INVALID'));
    const fewer = lower(buildProgram({ ...smallConfigs[5]!, layers: 1 }), backend.supports.ops);
    await compile(fewer);
    await dispose(backend);
  });

  it('calls handles of another backend and impossible options TypeErrors', async () => {
    const [one, two] = [await prepare(), await prepare()];
    const { backend, program, weights: uploaded, states } = one;
    for (const bindings of [
      { weights: two.weights, states },
      { weights: uploaded, states: two.states },
      { weights: {} as typeof uploaded, states },
    ]) {
      await expect(backend.compile(program, bindings, sessionLimits)).rejects.toThrow(TypeError);
    }
    const none = { ...sessionLimits, tokens: 0 };
    await expect(backend.compile(program, { weights: uploaded, states }, none)).rejects.toThrow(
      TypeError,
    );
    await expect(backend.createStates(program.states, 0)).rejects.toThrow(TypeError);
    await expect(backend.createStates([...program.states, ...program.states], 1)).rejects.toThrow(
      TypeError,
    );
    for (const options of [{ chunkSize: 0 }, { memoryLimit: NaN }, { precision: 'f16' as 'f32' }]) {
      expect(() => createReferenceBackend(options)).toThrow(TypeError);
    }
    await dispose(one.backend);
    await dispose(two.backend);
  });
});
