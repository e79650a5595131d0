/** Over 400 lines because one fake model serves every law of `Model`; they are told one after the other. */
import { byteTokenizer } from '@rwkv-ts/tokenizer';
import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { FakeModel, hashNext, historyOf } from '../test/fake-model.js';
import { longTokens, testTokenizer } from '../test/test-tokenizer.js';
import { GenerateError } from './errors.js';
import type { StreamChunk } from './generation.js';
import { Model } from './model.js';
import type { CreateModelOptions } from './model-types.js';
import type { GenerateOptions, Prompt } from './options.js';

const tokenizer = testTokenizer();
const V = tokenizer.vocabularySize;

function hashed(capacity?: number): FakeModel {
  return new FakeModel({
    vocabularySize: V,
    next: hashNext(V),
    ...(capacity === undefined ? {} : { capacity }),
  });
}

/** Says these tokens after any prompt of one token. */
function saying(tokens: readonly number[]): FakeModel {
  return new FakeModel({ vocabularySize: V, next: (history) => tokens[history.length - 1] ?? 0 });
}

async function open(
  languageModel: FakeModel,
  options: Partial<CreateModelOptions> = {},
): Promise<Model> {
  return Model.create({ languageModel, tokenizer, ...options });
}

async function collect(stream: AsyncIterable<StreamChunk>): Promise<StreamChunk[]> {
  const chunks: StreamChunk[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return chunks;
}

async function codeOf(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'none',
    (error: unknown) => (error instanceof GenerateError ? error.code : String(error)),
  );
}

const greedy = { temperature: 0, presencePenalty: 0, frequencyPenalty: 0 } as const;
/** Token ids of a text, any of the vocabulary: also ones that a canonical encoding would not use, and broken UTF-8. */
const said = fc.array(
  fc.oneof(
    fc.integer({ min: 1, max: V - 1 }),
    fc.integer({ min: 257, max: V - 1 }),
    fc.constantFrom(...'ab\n 1'.split('').map((letter) => letter.charCodeAt(0) + 1)),
  ),
  { maxLength: 20 },
);
const stops = fc.array(
  fc.constantFrom('\n\n', 'b', 'ab', 'bc', 'c. ', '好', 'é', '\n\nUser', '21', '\ufffd'),
  { maxLength: 3 },
);

/** The naive rule: what is complete first ends the text. */
function cutAt(text: string, all: readonly string[]): { text: string; stop: string | undefined } {
  for (let end = 1; end <= text.length; end++) {
    const found = all
      .filter((stop) => text.slice(0, end).endsWith(stop))
      .sort((a, b) => b.length - a.length);
    if (found[0] !== undefined)
      return { text: text.slice(0, end - found[0].length), stop: found[0] };
  }
  return { text, stop: undefined };
}

describe('generate and stream', () => {
  it('give the decoded tokens, up to the first stop string, whatever the tokens are', async () => {
    await fc.assert(
      fc.asyncProperty(
        said,
        stops,
        fc.integer({ min: 1, max: 25 }),
        async (tokens, stop, maxTokens) => {
          await using model = await open(saying(tokens));
          const options: GenerateOptions = { ...greedy, stop, maxTokens };
          const result = await model.generate([5], options);
          const kept = tokens.slice(0, maxTokens);
          const expected = cutAt(tokenizer.decode(kept), stop);
          expect(result.text).toBe(expected.text);
          expect(kept.slice(0, result.tokens.length)).toEqual(result.tokens);
          if (expected.stop !== undefined) {
            expect([result.finishReason, result.stop]).toEqual(['stop', expected.stop]);
            // It stopped as soon as it could: with one token less the stop was not complete.
            expect(cutAt(tokenizer.decode(result.tokens), stop).stop).toBe(expected.stop);
            const before = result.tokens.slice(0, -1);
            const decoder = tokenizer.createDecoder();
            expect(
              cutAt(before.map((token) => decoder.push(token)).join(''), stop).stop,
            ).toBeUndefined();
          } else {
            expect(result.tokens).toEqual(kept);
            expect(result.finishReason).toBe(tokens.length < maxTokens ? 'stop' : 'length');
            expect(result.stop).toBe(tokens.length < maxTokens ? 0 : undefined);
          }
          const chunks = await collect(model.stream([5], options));
          expect(chunks.map(({ text }) => text).join('')).toBe(result.text);
          expect(chunks.at(-1)?.result).toEqual(result);
          expect(chunks.slice(0, -1).map(({ token }) => token)).toEqual(result.tokens);
          expect(chunks.filter(({ finishReason }) => finishReason !== undefined).length).toBe(1);
        },
      ),
      { numRuns: 400 },
    );
  });

  it('never split a character', async () => {
    await using model = await open(
      saying([...new TextEncoder().encode('é😀好')].map((byte) => byte + 1)),
    );
    const chunks = await collect(model.stream([5], greedy));
    expect(chunks.map(({ text }) => text).filter((text) => text !== '')).toEqual(['é', '😀', '好']);
  });

  it('give the same for the same seed, whatever runs beside it', async () => {
    const languageModel = hashed();
    await using model = await open(languageModel, { slots: 3, prefillTokens: 2 });
    const requests = Array.from({ length: 12 }, (_, i) => ({
      prompt: `prompt ${'x'.repeat(i * 3)}`,
      options: {
        seed: i,
        maxTokens: 20,
        temperature: 1,
        topP: 1,
        ignoreEndOfText: true,
      } satisfies GenerateOptions,
    }));
    const alone = [];
    for (const { prompt, options } of requests) alone.push(await model.generate(prompt, options));
    const together = await Promise.all(
      requests.map(({ prompt, options }) => model.generate(prompt, options)),
    );
    expect(together).toEqual(alone);
    // The seed matters: the fake model leaves a choice.
    const seeds = new Set(
      await Promise.all(
        [1, 2, 3].map(
          async (seed) => (await model.generate('p', { ...requests[0]!.options, seed })).text,
        ),
      ),
    );
    expect(seeds.size).toBeGreaterThan(1);
  });

  it('end at stop tokens and at end-of-text, unless told otherwise', async () => {
    await using model = await open(saying([98, 99, 0, 100, 101]));
    expect(await model.generate([5], greedy)).toMatchObject({
      text: 'ab',
      tokens: [98, 99],
      finishReason: 'stop',
      stop: 0,
    });
    expect(await model.generate([5], { ...greedy, stopTokens: [99] })).toMatchObject({
      text: 'a',
      stop: 99,
    });
    expect(
      await model.generate([5], { ...greedy, ignoreEndOfText: true, stopTokens: [101] }),
    ).toMatchObject({
      text: 'abc',
      tokens: [98, 99, 0, 100],
      stop: 101,
    });
  });

  it('report usage and logprobs', async () => {
    await using model = await open(saying([98, 99, 100]));
    const result = await model.generate('x', { ...greedy, maxTokens: 2, topLogprobs: 2 });
    expect(result.usage).toEqual({ promptTokens: 1, cachedTokens: 0, completionTokens: 2 });
    expect(result.logprobs?.map(({ token }) => token)).toEqual([98, 99]);
    const [first] = result.logprobs!;
    expect(first?.topLogprobs?.map(({ token }) => token)).toEqual([98, 99]);
    expect(first?.logprob).toBeCloseTo(first!.topLogprobs![0]!.logprob, 10);
    expect(Math.exp(first!.logprob)).toBeCloseTo(Math.exp(3) / (Math.exp(3) + Math.exp(1.6)), 4);
    expect((await model.generate('x', greedy)).logprobs).toBeUndefined();
  });

  it('leave white space and digits out of penalties, and nothing else', async () => {
    const penalised: GenerateOptions = { temperature: 0, presencePenalty: 100, maxTokens: 3 };
    const repeat = async (text: string): Promise<string> => {
      const [token] = tokenizer.encode(text);
      await using model = await open(new FakeModel({ vocabularySize: V, next: () => token! }));
      return (await model.generate([5], penalised)).text;
    };
    for (const text of [' ', '\n', '7', '12', '\n\n', '  '])
      expect(await repeat(text)).toBe(text.repeat(3));
    for (const text of ['a', 'ab', '. ', 'é']) expect(await repeat(text)).not.toBe(text.repeat(3));
  });

  it('never sample an id that no text has', async () => {
    const padded = V + 20;
    await using model = await open(
      new FakeModel({ vocabularySize: padded, next: () => padded - 3 }),
    );
    const options: GenerateOptions = {
      temperature: 1,
      topP: 1,
      maxTokens: 20,
      ignoreEndOfText: true,
    };
    const { tokens } = await model.generate('x', { ...options, bannedTokens: [7] });
    expect(tokens.length).toBe(20);
    expect(tokens.every((token) => token < V && token !== 7)).toBe(true);
  });

  it('can end where the tokenizer does not know the bytes of its end', async () => {
    const forgetful = new Proxy(tokenizer, {
      get(target, name): unknown {
        const value: unknown = Reflect.get(target, name, target);
        if (typeof value !== 'function') return value;
        if (name !== 'tokenBytes') return (value as (...all: never[]) => unknown).bind(target);
        return (token: number) => {
          if (token === 0) throw new RangeError('no bytes');
          return target.tokenBytes(token);
        };
      },
    });
    await using model = await open(saying([98]), { tokenizer: forgetful });
    const { text, stop } = await model.generate([5], greedy);
    expect({ text, stop }).toEqual({ text: 'a', stop: 0 });
  });

  it('abort with what there is', async () => {
    const languageModel = hashed();
    await using model = await open(languageModel, { slots: 1 });
    const controller = new AbortController();
    languageModel.beforeStep = () => {
      if (languageModel.steps.length === 4) controller.abort();
    };
    const options: GenerateOptions = {
      ...greedy,
      maxTokens: 100,
      ignoreEndOfText: true,
      signal: controller.signal,
      keepState: true,
    };
    const result = await model.generate([5], { ...options, keepState: false });
    expect(result).toMatchObject({ finishReason: 'abort', usage: { completionTokens: 3 } });
    expect(result.state).toBeUndefined();
    expect(result.text).toBe(tokenizer.decode(result.tokens));
    const [only] = await collect(model.stream([5], options));
    expect(only).toMatchObject({ text: '', finishReason: 'abort' });
    expect(only?.result?.state).toBeUndefined();
    expect(model.load).toEqual({ slots: 1, active: 0, queued: 0 });
  });

  it('abort behind a whole step where the state is wanted, and go on from it as if never stopped', async () => {
    const options: GenerateOptions = { ...greedy, maxTokens: 40, ignoreEndOfText: true };
    const [prompt, beside] = [
      [5, 6, 7],
      [9, 8],
    ];
    const languageModel = hashed();
    await using model = await open(languageModel, { slots: 2 });
    const whole = await model.generate(prompt, options);
    const other = await model.generate(beside, options);
    const steps = languageModel.steps.length;
    // In the step in flight, and between two steps, wherever the reader of a stream stands.
    for (const place of [1, 2, 3, 7, 20]) {
      const controller = new AbortController();
      const from = languageModel.steps.length;
      languageModel.beforeStep = () => {
        if (languageModel.steps.length === from + place) controller.abort();
      };
      const signal = controller.signal;
      const [cut, undisturbed] = await Promise.all([
        model.generate(prompt, { ...options, keepState: true, signal }),
        model.generate(beside, options),
      ]);
      expect(undisturbed.tokens).toEqual(other.tokens);
      expect(cut.finishReason).toBe('abort');
      if (place === 1) {
        // The prompt's own step: there is no token yet.
        expect(cut.state).toBeUndefined();
        continue;
      }
      expect(cut.tokens).toEqual(whole.tokens.slice(0, place));
      expect(cut.state!.tokenCount).toBe(prompt.length + cut.tokens.length);
      expect(cut.state!.pending).toEqual(cut.tokens.slice(-1));
      languageModel.beforeStep = undefined;
      const rest = await model.generate('', {
        ...options,
        maxTokens: 40 - cut.tokens.length,
        state: cut.state!,
      });
      expect([...cut.tokens, ...rest.tokens]).toEqual(whole.tokens);
    }
    expect(languageModel.steps.length).toBeGreaterThan(steps);
    expect(model.load).toEqual({ slots: 2, active: 0, queued: 0 });
  });

  it('abort while the reader of a stream is behind gives the state, too', async () => {
    const languageModel = hashed(8192);
    await using model = await open(languageModel, { slots: 1 });
    const controller = new AbortController();
    const { signal } = controller;
    const options = { ...greedy, maxTokens: 5000, ignoreEndOfText: true, keepState: true, signal };
    const stream = model.stream([5], options);
    await stream.next();
    // Nobody reads on: the generation stands still when its queue is full.
    let steps = 0;
    await vi.waitFor(
      () => {
        const before = steps;
        steps = languageModel.steps.length;
        if (steps !== before) throw new Error('it runs');
      },
      { interval: 50, timeout: 10_000 },
    );
    controller.abort();
    const chunks = await collect(stream);
    const { state, tokens } = chunks.at(-1)!.result!;
    expect(tokens.length).toBeLessThan(5000);
    expect(state!.tokenCount).toBe(1 + tokens.length);
    expect(historyOf(state!.snapshot)).toEqual([5, ...tokens.slice(0, -1)]);
  });

  it('free the slot when the reader leaves, and start nothing before it comes', async () => {
    const languageModel = hashed();
    await using model = await open(languageModel, { slots: 1 });
    const options: GenerateOptions = { ...greedy, maxTokens: Infinity, ignoreEndOfText: true };
    const unread = model.stream([5], options);
    let count = 0;
    for await (const { token } of model.stream([5], options)) {
      expect(token).toBeDefined();
      if (++count === 5) break;
    }
    expect(model.load.active).toBe(0);
    expect((await model.generate([5], { ...greedy, maxTokens: 3 })).tokens.length).toBe(3);
    await unread.return(undefined);
    expect(model.load.active).toBe(0);
  });

  it('wait for a slow reader instead of piling up text', async () => {
    const languageModel = hashed(4096);
    await using model = await open(languageModel);
    const stream = model.stream([5], { ...greedy, maxTokens: 3000, ignoreEndOfText: true });
    await stream.next();
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(languageModel.steps.length).toBeLessThan(1100);
    let rest = 0;
    for await (const { token } of stream) rest += Number(token !== undefined);
    expect(rest).toBe(2999);
  });
});

describe('prompts', () => {
  it('may be empty where end-of-text can begin a text', async () => {
    const languageModel = hashed();
    await using model = await open(languageModel);
    const { usage } = await model.generate('', { ...greedy, maxTokens: 1 });
    expect([languageModel.steps[0], usage.promptTokens]).toEqual([[[0]], 1]);
    await using bytes = await Model.create({
      languageModel: new FakeModel({ vocabularySize: 256, next: () => 1 }),
      tokenizer: byteTokenizer(),
    });
    expect(await codeOf(bytes.generate(''))).toBe('PROMPT_EMPTY');
    expect(await codeOf(bytes.evaluate([]))).toBe('PROMPT_EMPTY');
    expect(await codeOf(bytes.generate('x', { prependEndOfText: true }))).toBe('OPTION_INVALID');
  });

  it('begin with end-of-text only on request', async () => {
    const languageModel = hashed();
    await using model = await open(languageModel);
    await model.generate('ab', { ...greedy, maxTokens: 1 });
    await model.generate('ab', { ...greedy, maxTokens: 1, prependEndOfText: true });
    expect(languageModel.steps.map((step) => step[0])).toEqual([[262], [0, 262]]);
  });

  it('are checked', async () => {
    await using model = await open(hashed());
    for (const bad of [[V], [-1], [1.5], [NaN], Uint32Array.of(V)])
      expect(await codeOf(model.generate(bad))).toBe('PROMPT_INVALID');
    await expect(model.generate(5 as unknown as Prompt)).rejects.toThrow(TypeError);
    for (const options of [
      { maxTokens: 0 },
      { maxTokens: 1.5 },
      { stop: [''] },
      { stopTokens: [V] },
      { preset: 'toString' as 'pipeline' },
      { state: {} as never },
    ]) {
      expect(await codeOf(model.generate('x', options))).toBe('OPTION_INVALID');
    }
    await expect(model.generate('x', { temperature: -1 })).rejects.toMatchObject({
      code: 'OPTION_INVALID',
    });
    expect(model.load.active).toBe(0);
  });

  it('need a tokenizer when they are text', async () => {
    await using model = await open(hashed(), { tokenizer: undefined });
    expect(await codeOf(model.generate('x'))).toBe('TOKENIZER_REQUIRED');
    expect(await codeOf(model.generate([1], { stop: 'x' }))).toBe('TOKENIZER_REQUIRED');
    expect(await codeOf(model.chat([{ role: 'user', content: 'x' }]))).toBe('TOKENIZER_REQUIRED');
    expect(() => model.conversation()).toThrow(GenerateError);
    expect(await model.generate([1], { ...greedy, maxTokens: 2 })).toMatchObject({
      text: '',
      tokens: { length: 2 },
    });
  });

  it('refuse a tokenizer that does not fit, and give everything back', async () => {
    const languageModel = new FakeModel({ vocabularySize: 1000, next: () => 0 });
    await expect(open(languageModel)).rejects.toMatchObject({ code: 'VOCABULARY_MISMATCH' });
    expect([languageModel.disposed, languageModel.liveStates]).toEqual([1, 0]);
  });
});

describe('states', () => {
  const text = fc
    .array(fc.constantFrom('a', 'b', 'ab', '\n', '好', ' '), { maxLength: 10 })
    .map((parts) => parts.join(''));
  /** Random cuts of one prompt give the same as the whole, if each part is encoded by itself. */
  it('continue as if everything had been one prompt', async () => {
    await using model = await open(hashed(100));
    await fc.assert(
      fc.asyncProperty(fc.array(text, { minLength: 1, maxLength: 4 }), async (parts) => {
        const tokens = parts.flatMap((part) => [...tokenizer.encode(part)]);
        let state;
        for (const part of parts) state = await model.prefill(part, state ? { state } : {});
        const options: GenerateOptions = { seed: 3, maxTokens: 6, keepState: true };
        const whole = await model.generate(tokens, options);
        const continued = await model.generate('', { ...options, ...(state ? { state } : {}) });
        expect(continued.tokens).toEqual(whole.tokens);
        expect(continued.usage.promptTokens).toBe(Math.max(1, tokens.length));
        expect(historyOf(continued.state!.snapshot)).toEqual(historyOf(whole.state!.snapshot));
        // In two halves, too.
        const onward: GenerateOptions = {
          ...greedy,
          maxTokens: 3,
          ignoreEndOfText: true,
          keepState: true,
        };
        const half = await model.generate(tokens, onward);
        const rest = await model.generate('', { ...onward, state: half.state! });
        const full = await model.generate(tokens, { ...onward, maxTokens: 6 });
        expect([...half.tokens, ...rest.tokens]).toEqual(full.tokens);
        expect(model.saveState(rest.state!)).toEqual(model.saveState(full.state!));
      }),
      { numRuns: 60 },
    );
  });

  it('are never changed by use, so that any number of generations start from one', async () => {
    await using model = await open(hashed(), { slots: 2 });
    const state = await model.prefill('ab好');
    const before = model.saveState(state);
    const run = (): Promise<unknown> => model.generate('x', { ...greedy, state, maxTokens: 5 });
    const results = await Promise.all([run(), run(), run()]);
    expect(results[1]).toEqual(results[0]);
    expect(results[2]).toEqual(results[0]);
    expect(model.saveState(state)).toEqual(before);
  });

  it('after a stop token need a prompt', async () => {
    await using model = await open(saying([98]));
    const { state } = await model.generate([5], { ...greedy, keepState: true });
    expect(state).toMatchObject({ pending: [], tokenCount: 2 });
    expect(await codeOf(model.generate('', { state: state! }))).toBe('PROMPT_EMPTY');
    expect(
      (await model.generate('x', { ...greedy, state: state!, maxTokens: 1 })).usage,
    ).toMatchObject({ cachedTokens: 2, promptTokens: 3 });
  });

  it('of another model are refused, with both fingerprints', async () => {
    await using model = await open(hashed());
    await using other = await open(
      new FakeModel({ vocabularySize: V, next: () => 1, fingerprint: 'other' }),
    );
    const state = await model.prefill('ab');
    const error: unknown = await other.generate('x', { state }).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: 'STATE_MISMATCH', expected: 'other', got: 'fake' });
    expect(await codeOf(other.prefill('x', { state }))).toBe('STATE_MISMATCH');
    expect(() => other.saveState(state)).toThrow(GenerateError);
  });

  it('start from tuned blocks', async () => {
    const history = new Float32Array(2049);
    history.set([2, 7, 8]);
    const languageModel = hashed();
    await using model = await open(languageModel, {
      initialBlocks: new Map([['history', history]]),
    });
    const { state } = await model.generate([9], { ...greedy, maxTokens: 1, keepState: true });
    expect(historyOf(state!.snapshot)).toEqual([7, 8, 9]);
    expect([...model.stateBlocks(state!).get('history')!.subarray(0, 4)]).toEqual([3, 7, 8, 9]);
    expect(() => model.createState(new Map([['x', history]]))).toThrow(/none of them/);
    expect(() => model.createState(new Map([['history', new Float32Array(2)]]))).toThrow(
      /2049 numbers/,
    );
  });
});

describe('evaluation', () => {
  it('takes no other rows than the last or all', async () => {
    await using model = await open(hashed());
    const rows = 'first' as 'last';
    expect(await codeOf(model.evaluate('ab', { rows }))).toBe('OPTION_INVALID');
  });

  it('gives rows for the last or for all tokens, in small batches', async () => {
    const languageModel = hashed();
    await using model = await open(languageModel);
    const tokens = Array.from({ length: 70 }, (_, i) => (i * 13) % V);
    const all = await model.evaluate(tokens, { rows: 'all' });
    expect([all.rows, all.logits.length]).toEqual([70, 70 * V]);
    const next = hashNext(V);
    for (let i = 0; i < 70; i++) {
      const row = all.logits.subarray(i * V, (i + 1) * V);
      expect(row[next(tokens.slice(0, i + 1))]).toBe(3);
    }
    const rows: number[] = [];
    const streamed = await model.evaluate(tokens, {
      rows: 'all',
      onRow: (row, index) => {
        rows.push(index);
        expect(row[next(tokens.slice(0, index + 1))]).toBe(3);
      },
    });
    expect([rows, streamed.logits.length]).toEqual([tokens.map((_, i) => i), 0]);
    const last = await model.evaluate(tokens, { keepState: true });
    expect([...last.logits]).toEqual([...all.logits.subarray(69 * V)]);
    expect(historyOf(last.state!.snapshot)).toEqual(tokens);
    const state = await model.prefill(tokens.slice(0, 30));
    expect((await model.evaluate(tokens.slice(30), { rows: 'all', state })).logits).toEqual(
      all.logits.slice(30 * V),
    );
  });

  it('gives logprobs and perplexity', async () => {
    await using model = await open(hashed());
    const tokens = [
      5,
      ...(await model.generate([5], { ...greedy, maxTokens: 40, ignoreEndOfText: true })).tokens,
    ];
    const { logprobs, tokens: predicted } = await model.logprobs(tokens);
    expect([...predicted]).toEqual(tokens.slice(1));
    const likely = Math.log(Math.exp(3) / (Math.exp(3) + Math.exp(1.6)));
    for (const logprob of logprobs) expect(logprob).toBeCloseTo(likely, 6);
    const { perplexity, tokens: count } = await model.perplexity(tokens);
    expect(count).toBe(40);
    expect(perplexity).toBeCloseTo(Math.exp(-likely), 6);
    const state = await model.prefill(tokens.slice(0, 20));
    expect([...(await model.logprobs(tokens.slice(20), { state })).logprobs]).toEqual([
      ...logprobs.slice(19),
    ]);
    expect(await codeOf(model.perplexity([1]))).toBe('PROMPT_EMPTY');
    expect(await codeOf(model.perplexity([1], { prependEndOfText: true }))).toBe('none');
    expect(await codeOf(model.perplexity([1, 2], { signal: AbortSignal.abort() }))).toBe('ABORTED');
  });
});

describe('disposal', () => {
  it('rejects what runs, frees everything in order, once', async () => {
    const languageModel = hashed();
    const order: string[] = [];
    languageModel[Symbol.asyncDispose] = async () => {
      order.push(`model with ${languageModel.liveStates} states`);
    };
    const owned = {
      async [Symbol.asyncDispose](): Promise<void> {
        order.push('owned');
      },
    };
    const model = await open(languageModel, { slots: 1, owned: [owned] });
    const options: GenerateOptions = { ...greedy, maxTokens: Infinity, ignoreEndOfText: true };
    const running = [
      model.generate([1], options),
      model.generate([2], options),
      collect(model.stream([3], options)),
    ].map(codeOf);
    const stream = model.stream([4], options);
    const first = codeOf(stream.next());
    await new Promise((resolve) => setTimeout(resolve, 5));
    await Promise.all([model[Symbol.asyncDispose](), model[Symbol.asyncDispose]()]);
    expect(await Promise.all([...running, first])).toEqual(Array(4).fill('MODEL_DISPOSED'));
    expect(order).toEqual(['model with 0 states', 'owned']);
    for (const call of [
      model.generate('x'),
      model.prefill('x'),
      model.evaluate('x'),
      model.logprobs('xx'),
    ]) {
      expect(await codeOf(call)).toBe('MODEL_DISPOSED');
    }
  });
});

it('the test vocabulary has what these tests need', () => {
  expect(longTokens.map((text) => tokenizer.encode(text).length)).toEqual(longTokens.map(() => 1));
});
