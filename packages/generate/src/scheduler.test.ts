import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FakeModel, hashNext, historyOf } from '../test/fake-model.js';
import { GenerateError } from './errors.js';
import { Scheduler, type SchedulerOptions } from './scheduler.js';
import { type SequenceRequest, finished } from './sequence.js';

const V = 50;

async function create(
  model: FakeModel,
  options: Partial<SchedulerOptions> = {},
): Promise<Scheduler> {
  return Scheduler.create({
    languageModel: model,
    slots: 4,
    maximumQueued: 100,
    prefillTokens: 8,
    ...options,
  });
}

function fake(limits: { tokens?: number; sequences?: number; wanted?: number } = {}): FakeModel {
  return new FakeModel({ vocabularySize: V, next: hashNext(V), limits });
}

/** The most likely token of a row. */
function best(row: ArrayLike<number>): number {
  return Array.from(row).reduce((at, value, i, all) => (value > all[at]! ? i : at), 0);
}

/** Reads a prompt and makes `count` tokens; gives them, and the state. */
function greedy(
  scheduler: Scheduler,
  {
    prompt,
    count,
    ...rest
  }: { prompt: readonly number[]; count: number } & Partial<SequenceRequest>,
): { tokens: number[]; done: Promise<Uint8Array | undefined> } {
  const tokens: number[] = [];
  const done = scheduler.run({
    name: 'Test',
    tokens: Uint32Array.from(prompt),
    rows: 'last',
    receive: (row) => {
      tokens.push(best(row));
      return tokens.length < count ? tokens.at(-1)! : finished;
    },
    ...rest,
  });
  return { tokens, done };
}

/** What `greedy` must give. */
function expectedTokens(prompt: readonly number[], count: number): number[] {
  const history = [...prompt];
  const next = hashNext(V);
  return Array.from({ length: count }, () => {
    const token = next(history);
    history.push(token);
    return token;
  });
}

async function codeOf(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'none',
    (error: unknown) => (error instanceof GenerateError ? error.code : String(error)),
  );
}

/** Resolves when called. */
function gate(): { open: () => void; opened: Promise<void> } {
  let open!: () => void;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { open, opened };
}

const tokens = fc.array(fc.nat(V - 1), { minLength: 1, maxLength: 40 });

describe('Scheduler', () => {
  it('gives every sequence what it would get alone, under any limits', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ prompt: tokens, count: fc.integer({ min: 1, max: 12 }) }), {
          minLength: 1,
          maxLength: 9,
        }),
        fc.record({
          tokens: fc.integer({ min: 1, max: 20 }),
          sequences: fc.integer({ min: 1, max: 5 }),
          wanted: fc.integer({ min: 1, max: 4 }),
        }),
        fc.integer({ min: 1, max: 5 }),
        async (requests, limits, slots) => {
          const model = fake(limits);
          await using scheduler = await create(model, { slots });
          const running = requests.map((request) =>
            greedy(scheduler, { ...request, keepState: true }),
          );
          const states = await Promise.all(running.map(({ done }) => done));
          for (const [i, { prompt, count }] of requests.entries()) {
            const made = expectedTokens(prompt, count);
            expect(running[i]!.tokens).toEqual(made);
            expect(historyOf(states[i])).toEqual([...prompt, ...made.slice(0, -1)]);
          }
          expect([scheduler.active, scheduler.queued]).toEqual([0, 0]);
        },
      ),
      { numRuns: 150 },
    );
  });

  it('survives aborts at any moment: the others are not disturbed, and slots come back', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.record({
            prompt: tokens,
            count: fc.integer({ min: 1, max: 12 }),
            abortAt: fc.option(fc.nat(12)),
          }),
          { minLength: 1, maxLength: 8 },
        ),
        async (requests) => {
          const model = fake({ tokens: 8 });
          await using scheduler = await create(model, { slots: 3 });
          let step = 0;
          const controllers = requests.map(() => new AbortController());
          model.beforeStep = async () => {
            for (const [i, { abortAt }] of requests.entries())
              if (abortAt === step) controllers[i]!.abort();
            step++;
          };
          const running = requests.map((request, i) =>
            greedy(scheduler, { ...request, signal: controllers[i]!.signal }),
          );
          const codes = await Promise.all(running.map(({ done }) => codeOf(done)));
          for (const [i, { prompt, count }] of requests.entries()) {
            const made = expectedTokens(prompt, count);
            if (codes[i] === 'none') expect(running[i]!.tokens).toEqual(made);
            else {
              expect(codes[i]).toBe('ABORTED');
              expect(running[i]!.tokens).toEqual(made.slice(0, running[i]!.tokens.length));
            }
          }
          expect([scheduler.active, scheduler.queued]).toEqual([0, 0]);
          model.beforeStep = undefined;
          // All slots are there again: three at once need no queue.
          const after = [1, 2, 3].map((token) => greedy(scheduler, { prompt: [token], count: 3 }));
          await Promise.all(after.map(({ done }) => done));
          expect(after.map(({ tokens: made }) => made)).toEqual(
            [1, 2, 3].map((token) => expectedTokens([token], 3)),
          );
        },
      ),
      { numRuns: 150 },
    );
  });

  it('admits in order, and refuses beyond the queue', async () => {
    const model = fake();
    await using scheduler = await create(model, { slots: 1, maximumQueued: 2 });
    const order: number[] = [];
    const start = (id: number): Promise<unknown> =>
      greedy(scheduler, { prompt: [id], count: 2 }).done.then(() => order.push(id));
    const first = start(0);
    await Promise.resolve();
    const rest = [start(1), start(2)];
    expect([scheduler.active, scheduler.queued]).toEqual([1, 2]);
    expect(await codeOf(start(3))).toBe('QUEUE_FULL');
    await Promise.all([first, ...rest]);
    expect(order).toEqual([0, 1, 2]);
  });

  it('frees the slot of a waiting sequence that is aborted, without running it', async () => {
    const model = fake();
    await using scheduler = await create(model, { slots: 1 });
    const controller = new AbortController();
    const first = greedy(scheduler, { prompt: [1], count: 5 });
    await Promise.resolve();
    const waiting = greedy(scheduler, { prompt: [2], count: 1, signal: controller.signal });
    controller.abort('enough');
    const error: unknown = await waiting.done.catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: 'ABORTED', cause: 'enough' });
    await first.done;
    expect(model.steps.flat(2)).not.toContain(2);
    expect(
      await codeOf(greedy(scheduler, { prompt: [3], count: 1, signal: controller.signal }).done),
    ).toBe('ABORTED');
  });

  it('goes on decoding while long prompts are read', async () => {
    const model = fake({ tokens: 32 });
    await using scheduler = await create(model, { prefillTokens: 4 });
    const talking = [0, 1].map((token) => greedy(scheduler, { prompt: [token], count: 40 }));
    const reading = greedy(scheduler, {
      prompt: Array.from({ length: 120 }, (_, i) => i % V),
      count: 1,
    });
    await Promise.all([...talking, reading].map(({ done }) => done));
    const during = model.steps.filter((step) => step.some((each) => each.length > 1));
    // 120 tokens at 4 a step, and both talkers get a token in each of them.
    expect(during.length).toBeGreaterThanOrEqual(30);
    for (const step of during) {
      expect(step.filter((each) => each.length === 1).length).toBeGreaterThanOrEqual(2);
      expect(Math.max(...step.map((each) => each.length))).toBeLessThanOrEqual(4);
    }
    expect(model.steps.length).toBeLessThan(60);
  });

  it('starves nobody, even one token at a time beside those who never end', async () => {
    const model = fake({ tokens: 1 });
    await using scheduler = await create(model);
    const stop = new AbortController();
    const endless = [1, 2].map((token) =>
      codeOf(greedy(scheduler, { prompt: [token], count: Infinity, signal: stop.signal }).done),
    );
    const others = [[3, 4, 5, 6], [7]].map((prompt) => greedy(scheduler, { prompt, count: 4 }));
    await Promise.all(others.map(({ done }) => done));
    expect(others[0]!.tokens).toEqual(expectedTokens([3, 4, 5, 6], 4));
    stop.abort();
    expect(await Promise.all(endless)).toEqual(['ABORTED', 'ABORTED']);
  });

  it('puts what starts together into one batch', async () => {
    const model = fake();
    await using scheduler = await create(model);
    await Promise.all(
      [0, 1, 2, 3].map((token) => greedy(scheduler, { prompt: [token], count: 5 }).done),
    );
    expect(model.steps.map((step) => step.length)).toEqual([4, 4, 4, 4, 4]);
  });

  it('fails only the sequence whose receiver throws', async () => {
    const model = fake();
    await using scheduler = await create(model);
    const good = greedy(scheduler, { prompt: [1], count: 6 });
    const bad = greedy(scheduler, {
      prompt: [2],
      count: 6,
      receive: () => {
        throw new RangeError('mine');
      },
    });
    await expect(bad.done).rejects.toThrow('mine');
    await good.done;
    expect(good.tokens).toEqual(expectedTokens([1], 6));
    expect(scheduler.active).toBe(0);
  });

  it('fails everybody when the backend fails, with its error as cause, and recovers', async () => {
    const model = fake();
    await using scheduler = await create(model, { slots: 2 });
    const broken = new Error('device lost');
    model.beforeStep = () => {
      throw broken;
    };
    const all = [1, 2, 3].map((token) => greedy(scheduler, { prompt: [token], count: 3 }).done);
    for (const each of await Promise.allSettled(all)) {
      expect(each).toMatchObject({
        status: 'rejected',
        reason: { code: 'FORWARD_FAILED', cause: broken },
      });
    }
    model.beforeStep = undefined;
    const again = greedy(scheduler, { prompt: [7], count: 3 });
    await again.done;
    expect(again.tokens).toEqual(expectedTokens([7], 3));
  });

  it('rejects rows of the wrong number', async () => {
    const model = fake();
    await using scheduler = await create(model);
    model.forward = async () => new Float32Array(3);
    expect(await codeOf(greedy(scheduler, { prompt: [1], count: 1 }).done)).toBe('FORWARD_FAILED');
  });

  it('stands still while a sequence is paused, and goes on when woken', async () => {
    const model = fake();
    await using scheduler = await create(model);
    let paused = false;
    const slow = greedy(scheduler, { prompt: [1], count: 10, paused: () => paused });
    const other = greedy(scheduler, { prompt: [2], count: 10 });
    model.beforeStep = () => {
      if (slow.tokens.length === 4) paused = true;
    };
    await other.done;
    expect(slow.tokens.length).toBe(5);
    expect(scheduler.active).toBe(1);
    paused = false;
    model.beforeStep = undefined;
    scheduler.wake();
    await slow.done;
    expect(slow.tokens).toEqual(expectedTokens([1], 10));
  });

  it('lets timers run during long generations', async () => {
    const model = fake();
    await using scheduler = await create(model);
    const signal = AbortSignal.timeout(30);
    const endless = greedy(scheduler, { prompt: [1], count: Infinity, signal });
    expect(await codeOf(endless.done)).toBe('ABORTED');
  });

  it('disposes while running: rejects all, waits for the step, frees the states once', async () => {
    const model = fake();
    const scheduler = await create(model, { slots: 1 });
    const step = gate();
    const reached = gate();
    model.beforeStep = () => {
      reached.open();
      return step.opened;
    };
    const running = [1, 2].map((token) =>
      codeOf(greedy(scheduler, { prompt: [token], count: 5 }).done),
    );
    await reached.opened;
    const disposal = scheduler[Symbol.asyncDispose]();
    expect(await Promise.all(running)).toEqual(['MODEL_DISPOSED', 'MODEL_DISPOSED']);
    expect(model.liveStates).toBe(1);
    step.open();
    await Promise.all([disposal, scheduler[Symbol.asyncDispose]()]);
    expect(model.liveStates).toBe(0);
    expect(await codeOf(greedy(scheduler, { prompt: [1], count: 1 }).done)).toBe('MODEL_DISPOSED');
    expect(model.steps.length).toBe(1);
  });

  it.each([
    { slots: 0 },
    { slots: 1.5 },
    { prefillTokens: 0 },
    { maximumQueued: -1 },
    { maximumQueued: NaN },
  ])('refuses %j, and leaves no states', async (options) => {
    const model = fake();
    expect(await codeOf(create(model, options))).toBe('OPTION_INVALID');
    expect(model.liveStates).toBe(0);
  });
});
