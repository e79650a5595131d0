import type { Backend } from '@rwkv-ts/backend';
import { createReferenceBackend } from '@rwkv-ts/reference';
import { describe, expect, it } from 'vitest';
import { FakeModel, hashNext } from '../test/fake-model.js';
import { testTokenizer } from '../test/test-tokenizer.js';
import { createTinyModel, tinyConfigs } from '../test/tiny-model.js';
import { GenerateError } from './errors.js';
import { Model } from './model.js';
import type { GenerateOptions } from './options.js';

const tokenizer = testTokenizer();
const V = tokenizer.vocabularySize;

const fake = (candidates?: number): FakeModel =>
  new FakeModel({
    vocabularySize: V,
    next: hashNext(V),
    ...(candidates === undefined ? {} : { candidates }),
  });
const open = (languageModel: FakeModel): Promise<Model> =>
  Model.create({ languageModel, tokenizer, slots: 4 });

const common = { maxTokens: 12, ignoreEndOfText: true } as const;
const texts: readonly GenerateOptions[] = [
  { ...common, seed: 1 },
  { ...common, preset: 'rwkv-chat', seed: 2 },
  { ...common, temperature: 0, maxTokens: 5 },
  { ...common, seed: 4, topK: 2, topP: 1 },
  { ...common, seed: 5, topP: 1 },
  { ...common, seed: 6, logitBias: { 7: 4 } },
  { ...common, seed: 7, logprobs: true },
];
const prompts = texts.map((_, n) => [n + 3, 9, 20 + n]);

const codeOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'none',
    (error: unknown) => (error instanceof GenerateError ? error.code : String(error)),
  );

describe('a model that gives candidates', () => {
  it.each([1, 2, 20])('makes the same texts with %d of them, alone and together', async (count) => {
    await using whole = await open(fake());
    await using short = await open(fake(count));
    const together = prompts.map((prompt, n) => short.generate(prompt, texts[n]));
    for (const [n, prompt] of prompts.entries()) {
      const expected = await whole.generate(prompt, texts[n]);
      expect((await together[n]!).tokens).toEqual(expected.tokens);
      const alone = await short.generate(prompt, texts[n]);
      expect(alone.tokens).toEqual(expected.tokens);
      expect(alone.logprobs).toEqual(expected.logprobs);
    }
  });

  const askedFor = async (options: GenerateOptions, count = 20): Promise<FakeModel> => {
    const model = fake(count);
    await using opened = await open(model);
    await opened.generate([5, 6], options);
    return model;
  };

  it('is asked for them alone where they decide', async () => {
    const { asked, readWhole } = await askedFor(texts[1]!);
    expect(asked).toEqual(Array(12).fill(true));
    expect(readWhole).toEqual([]);
  });

  it('is not asked where they never do, or where log probabilities are kept', async () => {
    for (const options of [texts[4]!, texts[6]!]) {
      const { asked, readWhole } = await askedFor(options);
      expect(asked).toEqual(Array(12).fill(false));
      expect(readWhole).toEqual([]);
    }
  });

  it('is asked ever more rarely where they fail', async () => {
    const { asked, readWhole } = await askedFor({ ...texts[0]!, topP: 0.999, maxTokens: 40 }, 1);
    // After a miss come 0, 2, 6, 14 whole rows before the next try.
    const tries = asked.flatMap((candidates, step) => (candidates ? [step] : []));
    expect(tries).toEqual([0, 1, 4, 11, 26]);
    expect(readWhole).toHaveLength(tries.length);
  });

  it('gives whole rows to everybody in a step where one wants them', async () => {
    const model = fake(20);
    await using opened = await open(model);
    const long = opened.generate([5, 6], { ...texts[1]!, maxTokens: 9 });
    await opened.generate([7, 8], { ...texts[4]!, maxTokens: 4 });
    await long;
    expect(model.asked).toEqual([
      ...Array<boolean>(4).fill(false),
      ...Array<boolean>(5).fill(true),
    ]);
  });

  it('fails the text whose row it cannot read, and no other', async () => {
    const model = fake(2);
    model.beforeRow = () => {
      throw new Error('no row today');
    };
    await using opened = await open(model);
    const certain = opened.generate([5, 6], { ...common, temperature: 0 });
    const uncertain = opened.generate([7, 8], { ...texts[0]!, topP: 0.999 });
    expect(await codeOf(uncertain)).toBe('FORWARD_FAILED');
    expect((await certain).tokens).toHaveLength(12);
  });

  it('drops the row of a text that is aborted meanwhile', async () => {
    const model = fake(1);
    const stop = new AbortController();
    model.beforeRow = () => {
      stop.abort();
    };
    await using opened = await open(model);
    const options = { ...texts[0]!, topP: 0.999, signal: stop.signal };
    const { tokens, finishReason } = await opened.generate([7, 8], options);
    expect(finishReason).toBe('abort');
    expect(tokens).toEqual([]);
    model.beforeRow = undefined;
    expect((await opened.generate([7, 8], texts[0])).tokens).toHaveLength(12);
  });
});

describe('candidates of a backend', () => {
  /** The same backend without the op. */
  const without = (backend: Backend): Backend =>
    new Proxy(backend, {
      get(target, key) {
        if (key !== 'supports') {
          const value: unknown = Reflect.get(target, key);
          return typeof value === 'function' ? (value.bind(target) as unknown) : value;
        }
        const ops = new Set(target.supports.ops);
        ops.delete('top-k');
        return { ...target.supports, ops };
      },
    });

  it('make the texts that whole rows make', async () => {
    const config = { ...tinyConfigs[0]!, vocabularySize: 1500 };
    const limits = { tokens: 8, sequences: 4, wanted: 4 };
    const made: (readonly number[])[][] = [];
    for (const wrap of [(backend: Backend) => backend, without]) {
      await using backend = wrap(createReferenceBackend());
      const languageModel = await createTinyModel(config, { backend, limits });
      expect(languageModel.candidates).toBe(wrap === without ? undefined : 120);
      await using model = await Model.create({ languageModel, slots: 4 });
      const results = await Promise.all(
        texts.map((options, n) => model.generate(prompts[n]!, { ...options, maxTokens: 30 })),
      );
      made.push(results.map(({ tokens }) => tokens));
    }
    expect(made[0]).toEqual(made[1]);
    expect(new Set(made[0]!.flat()).size).toBeGreaterThan(50);
  });
});
