/** The laws of generation on the reference backend: real programs, real states, every kind of RWKV. */
import { createReferenceBackend } from '@rwkv-ts/reference';
import { describe, expect, it } from 'vitest';
import { type GenerateOptions, Model } from '../src/index.js';
import { testTokenizer } from './test-tokenizer.js';
import { createTinyModel, tinyConfigs } from './tiny-model.js';

const tokenizer = testTokenizer();
const limits = { tokens: 12, sequences: 3, wanted: 3 };

describe('a backend that computes on the calling thread', () => {
  it('leaves timers their turn while a long prompt is read, and a signal from one ends it', async () => {
    await using backend = createReferenceBackend();
    const languageModel = await createTinyModel(tinyConfigs.at(-1)!, {
      backend,
      limits: { tokens: 256, sequences: 8, wanted: 8 },
    });
    await using model = await Model.create({ languageModel, tokenizer });
    const prompt = 'abc 好的 '.repeat(200_000);
    // Gaps by the process's own time: what other programs take of the processor is not the model's doing.
    const gaps: number[] = [];
    let last = process.cpuUsage();
    const ticking = setInterval(() => {
      const { user, system } = process.cpuUsage(last);
      gaps.push((user + system) / 1000);
      last = process.cpuUsage();
    }, 5);
    const controller = new AbortController();
    const started = performance.now();
    setTimeout(() => {
      controller.abort();
    }, 300);
    const { signal } = controller;
    const state = await model.prefill(prompt, { signal }).catch((error: unknown) => error);
    clearInterval(ticking);
    expect(state).toMatchObject({ code: 'ABORTED' });
    expect(performance.now() - started).toBeLessThan(5000);
    // The first gap holds the encoding of the prompt.
    const sorted = gaps.slice(2).sort((a, b) => a - b);
    expect(sorted.length).toBeGreaterThan(3);
    expect(sorted[sorted.length >> 1]).toBeLessThan(50);
  });
});

describe.each(tinyConfigs)('RWKV-$version', (config) => {
  async function open(backend: ReturnType<typeof createReferenceBackend>): Promise<Model> {
    const languageModel = await createTinyModel(config, { backend, limits });
    return Model.create({ languageModel, tokenizer, slots: 4, prefillTokens: 5 });
  }

  it('gives the same text for the same seed, whatever runs beside it', async () => {
    await using backend = createReferenceBackend();
    await using model = await open(backend);
    const requests = Array.from({ length: 9 }, (_, i) => ({
      prompt: 'The 好的 answer abc '.repeat((i % 4) + 1).slice(i),
      options: {
        seed: i,
        temperature: 1,
        topP: 1,
        maxTokens: 5 + i,
        topLogprobs: 3,
        ignoreEndOfText: true,
      } satisfies GenerateOptions,
    }));
    const alone = [];
    for (const { prompt, options } of requests) alone.push(await model.generate(prompt, options));
    const controller = new AbortController();
    const disturbance = model.generate('x'.repeat(50), {
      maxTokens: 1000,
      ignoreEndOfText: true,
      signal: controller.signal,
    });
    const together = await Promise.all(
      requests.map(({ prompt, options }) => model.generate(prompt, options)),
    );
    controller.abort();
    expect((await disturbance).finishReason).toBe('abort');
    expect(together).toEqual(alone);
    expect(new Set(alone.map(({ text }) => text)).size).toBe(alone.length);
  });

  it('continues from a state as from the whole prompt, on another backend too', async () => {
    await using backend = createReferenceBackend();
    await using model = await open(backend);
    await using otherBackend = createReferenceBackend();
    await using other = await open(otherBackend);
    const options: GenerateOptions = { seed: 1, maxTokens: 12, ignoreEndOfText: true };
    const whole = await model.generate('User: abc 好的', options);
    const state = await model.prefill('User: abc');
    const file = model.saveState(state);
    const loaded = other.loadState(file).state;
    for (const [each, start] of [
      [model, state],
      [other, loaded],
    ] as const) {
      const result = await each.generate(' 好的', { ...options, state: start });
      expect(result.text).toBe(whole.text);
    }
    expect(model.stateBlocks(state)).toEqual(other.stateBlocks(loaded));
    const { logprobs } = await model.logprobs('User: abc 好的');
    const rest = await model.logprobs(' 好的', { state });
    expect([...rest.logprobs]).toEqual([...logprobs.slice(-rest.logprobs.length)]);
    expect([...rest.logprobs].every((value) => value < 0)).toBe(true);
  });

  it('leaves nothing on the backend', async () => {
    await using backend = createReferenceBackend();
    const model = await open(backend);
    expect(backend.bytes).toBeGreaterThan(0);
    const running = model
      .generate('abc', { maxTokens: Infinity, ignoreEndOfText: true })
      .catch((error: unknown) => error);
    await new Promise((resolve) => setTimeout(resolve, 5));
    await model[Symbol.asyncDispose]();
    expect(await running).toMatchObject({ code: 'MODEL_DISPOSED' });
    expect(backend.bytes).toBe(0);
  });
});
