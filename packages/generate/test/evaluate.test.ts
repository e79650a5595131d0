/** Evaluation against log probabilities computed one by one, without states and batches. */
import { createReferenceBackend } from '@rwkv-ts/reference';
import { byteTokenizer } from '@rwkv-ts/tokenizer';
import { describe, expect, it } from 'vitest';
import {
  type ChoiceSample,
  evaluateItems,
  type EvaluationItem,
  evaluationItem,
  type EvaluationKind,
  type LastWordSample,
  Model,
  type TextSample,
} from '../src/index.js';
import { FakeModel, hashNext } from './fake-model.js';
import { testTokenizer } from './test-tokenizer.js';
import { createTinyModel, tinyConfigs } from './tiny-model.js';

const tokenizer = testTokenizer();

function items(kind: EvaluationKind, values: readonly unknown[]): EvaluationItem[] {
  return values.map((value, at) => evaluationItem(value, kind, `line ${at + 1}`));
}

const questions = [
  { query: 'User: abc abcab', choices: ['answer', 'é 12', '好的'], gold: 0 },
  { query: 'ab ab ab', choices: ['ab', 'abcabcabc'], gold: 1 },
  { query: '12', choices: ['a', 'b', 'c', 'd'], gold: 'C' },
  { query: '', choices: ['x', 'yy'], gold: 1 },
  { query: 'trailing  ', choices: ['one', 'two'], gold: 'two' },
];

/** log p of `continuation` behind `context`, and whether it is greedy, from rows of logits by the formula. */
async function naive(
  model: Model,
  context: readonly number[],
  continuation: readonly number[],
): Promise<{ logprob: number; greedy: boolean }> {
  const all = [...context, ...continuation];
  const { logits } = await model.evaluate(all.slice(0, -1), { rows: 'all' });
  const width = model.vocabularySize;
  let [logprob, greedy] = [0, true];
  for (let at = context.length; at < all.length; at++) {
    const row = [...logits.subarray((at - 1) * width, at * width)];
    const largest = Math.max(...row);
    const total = row.reduce((sum, logit) => sum + Math.exp(logit - largest), 0);
    logprob += row[all[at]!]! - largest - Math.log(total);
    greedy &&= row.indexOf(largest) === all[at];
  }
  return { logprob, greedy };
}

function standardError(values: readonly number[]): number {
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  const variance = values.reduce((a, b) => a + (b - mean) ** 2, 0) / (values.length - 1);
  return Math.sqrt(variance / values.length);
}

describe.each(tinyConfigs)('evaluateItems on RWKV-$version', (config) => {
  const limits = { tokens: 24, sequences: 8, wanted: 16 };

  async function withModels(work: (tested: Model, exact: Model) => Promise<void>): Promise<void> {
    await using backend = createReferenceBackend();
    await using exactBackend = createReferenceBackend({ precision: 'f64' });
    await using tested = await Model.create({
      languageModel: await createTinyModel(config, { backend, limits }),
      tokenizer,
      slots: 3,
    });
    await using exact = await Model.create({
      languageModel: await createTinyModel(config, { backend: exactBackend, limits }),
      tokenizer,
    });
    await work(tested, exact);
  }

  it('chooses as the f64 reference does', async () => {
    await withModels(async (tested, exact) => {
      for (const prependEndOfText of [false, true]) {
        const { metrics, samples, tokens } = await evaluateItems(
          tested,
          items('choice', questions),
          { prependEndOfText },
        );
        let predicted = 0;
        const right: number[] = [];
        const rightPerCharacter: number[] = [];
        for (const [index, { query, choices, gold }] of questions.entries()) {
          const answer = [0, 1, 2, 1, 1][index]!;
          expect(gold).toBeDefined();
          const context = [...tokenizer.encode(query.trimEnd())];
          const start = prependEndOfText || context.length === 0 ? [0, ...context] : context;
          const expected: number[] = [];
          for (const choice of choices) {
            const whole = [...tokenizer.encode(`${query} ${choice}`)];
            const continuation = whole.slice(context.length);
            expected.push((await naive(exact, start, continuation)).logprob);
            predicted += continuation.length;
          }
          const sample = samples[index] as ChoiceSample;
          expect(sample).toMatchObject({ index, gold: answer });
          for (const [at, logprob] of expected.entries())
            expect(sample.logprobs[at]).toBeCloseTo(logprob, 4);
          const perCharacter = expected.map(
            (logprob, at) => logprob / Array.from(choices[at]!).length,
          );
          expect(sample.chosen).toBe(expected.indexOf(Math.max(...expected)));
          expect(sample.chosenPerCharacter).toBe(perCharacter.indexOf(Math.max(...perCharacter)));
          right.push(Number(sample.chosen === answer));
          rightPerCharacter.push(Number(sample.chosenPerCharacter === answer));
        }
        expect(tokens).toBe(predicted);
        const mean = (values: number[]) => values.reduce((a, b) => a + b, 0) / values.length;
        expect(metrics['acc']!.value).toBeCloseTo(mean(right), 12);
        expect(metrics['acc']!.standardError).toBeCloseTo(standardError(right), 12);
        expect(metrics['acc_norm']!.value).toBeCloseTo(mean(rightPerCharacter), 12);
      }
    });
  });

  it('predicts last words and texts as the f64 reference does', async () => {
    await withModels(async (tested, exact) => {
      const texts = ['abc 好的 answer', 'User: 12 12 ab', 'a  b', 'é é é abc'];
      const words = await evaluateItems(tested, items('last-word', texts));
      const logprobs: number[] = [];
      const right: number[] = [];
      for (const [index, text] of texts.entries()) {
        const blank = text.lastIndexOf(' ');
        const context = [...tokenizer.encode(text.slice(0, blank).trimEnd())];
        const whole = [...tokenizer.encode(text)];
        const expected = await naive(exact, context, whole.slice(context.length));
        const sample = words.samples[index] as LastWordSample;
        expect(sample.logprob).toBeCloseTo(expected.logprob, 4);
        expect(sample.greedy).toBe(expected.greedy);
        logprobs.push(expected.logprob);
        right.push(Number(expected.greedy));
      }
      const mean = logprobs.reduce((a, b) => a + b, 0) / logprobs.length;
      expect(words.metrics['perplexity']!.value / Math.exp(-mean)).toBeCloseTo(1, 4);
      expect(
        words.metrics['perplexity']!.standardError! / (Math.exp(-mean) * standardError(logprobs)),
      ).toBeCloseTo(1, 4);
      expect(words.metrics['acc']!.value).toBe(right.reduce((a, b) => a + b, 0) / right.length);

      const done: number[] = [];
      const whole = await evaluateItems(tested, items('text', texts), {
        onProgress: (progress) => done.push(progress.done / progress.total),
      });
      let [logprob, tokens, bytes, spaced] = [0, 0, 0, 0];
      for (const [index, text] of texts.entries()) {
        const own = [...tokenizer.encode(text)];
        const expected = await naive(exact, [0], own);
        expect((whole.samples[index] as TextSample).logprob).toBeCloseTo(expected.logprob, 4);
        logprob += expected.logprob;
        tokens += own.length;
        bytes += Buffer.byteLength(text);
        spaced += text.split(/\s+/).length;
      }
      expect(whole.tokens).toBe(tokens);
      const { metrics } = whole;
      expect(metrics['perplexity']!.value / Math.exp(-logprob / tokens)).toBeCloseTo(1, 4);
      expect(metrics['byte_perplexity']!.value / Math.exp(-logprob / bytes)).toBeCloseTo(1, 4);
      expect(metrics['word_perplexity']!.value / Math.exp(-logprob / spaced)).toBeCloseTo(1, 3);
      expect(metrics['bits_per_byte']!.value).toBeCloseTo(-logprob / bytes / Math.LN2, 4);
      expect(metrics['bits_per_byte']!.standardError).toBeGreaterThan(0);
      expect(done).toEqual(Array.from({ length: tokens }, (_, at) => (at + 1) / tokens));
    });
  });
});

describe('the work of evaluateItems', () => {
  const vocabularySize = tokenizer.vocabularySize;
  const open = async (options: { slots?: number } = {}) => {
    const languageModel = new FakeModel({ vocabularySize, next: hashNext(vocabularySize) });
    return { languageModel, model: await Model.create({ languageModel, tokenizer, ...options }) };
  };

  it('reads a context once, whatever the number of choices', async () => {
    const { languageModel, model } = await open();
    const query = 'a long context that nobody wants to read four times';
    const choices = ['one', 'two', 'three', 'four'];
    await evaluateItems(model, items('choice', [{ query, choices, gold: 0 }]));
    const fed = languageModel.steps.flat(2).length;
    const context = tokenizer.encode(query).length;
    // Of each choice, its last token is predicted and never fed; the last token of the context is fed with each.
    const continuations = choices.map((choice) => tokenizer.encode(` ${choice}`).length);
    expect(fed).toBe(context - 1 + continuations.reduce((a, b) => a + b, 0));
    await model[Symbol.asyncDispose]();
  });

  it('shares batches, and keeps the order and the number of sequences', async () => {
    const { languageModel, model } = await open({ slots: 4 });
    const many = Array.from({ length: 30 }, (_, at) => ({
      query: `question ${'x'.repeat((at * 7) % 23)}`,
      choices: ['a', 'bb'],
      gold: 1,
    }));
    const shared = await evaluateItems(model, items('choice', many));
    const widths = languageModel.steps.map((step) => step.length);
    expect(Math.max(...widths)).toBe(4);
    expect(widths.reduce((a, b) => a + b, 0) / widths.length).toBeGreaterThan(2.5);
    const alone = await evaluateItems(model, items('choice', many), { concurrency: 1 });
    expect(alone).toEqual(shared);
    await model[Symbol.asyncDispose]();
  });

  it('gives the same answer the same score', async () => {
    const { languageModel, model } = await open();
    const choices = ['one', 'two', 'one'];
    const { samples } = await evaluateItems(
      model,
      items('choice', [{ query: 'q', choices, gold: 2 }]),
    );
    const { logprobs, chosen } = samples[0] as ChoiceSample;
    expect(logprobs[2]).toBe(logprobs[0]);
    expect(chosen).not.toBe(2);
    expect(languageModel.steps.flat().length).toBe(2);
    await model[Symbol.asyncDispose]();
  });

  it('never fills the queue', async () => {
    const languageModel = new FakeModel({ vocabularySize, next: hashNext(vocabularySize) });
    await using model = await Model.create({
      languageModel,
      tokenizer,
      slots: 2,
      maximumQueued: 2,
    });
    const choices = Array.from({ length: 26 }, (_, at) => `choice ${at}`);
    const result = await evaluateItems(model, items('choice', [{ query: 'q', choices, gold: 25 }]));
    expect((result.samples[0] as ChoiceSample).logprobs).toHaveLength(26);
  });

  it('stops at a signal and at the first failure, with nothing left running', async () => {
    const { languageModel, model } = await open({ slots: 2 });
    const many = Array.from({ length: 50 }, () => ({ query: 'q', choices: ['a', 'b'], gold: 1 }));
    const controller = new AbortController();
    const running = evaluateItems(model, items('choice', many), {
      signal: controller.signal,
      onProgress: ({ done }) => {
        if (done === 5) controller.abort();
      },
    });
    await expect(running).rejects.toMatchObject({ code: 'ABORTED' });
    expect(model.load).toMatchObject({ active: 0, queued: 0 });
    await expect(
      evaluateItems(model, items('choice', many), { signal: AbortSignal.abort() }),
    ).rejects.toMatchObject({ code: 'ABORTED' });
    // What is in work is given up, however long its step takes.
    let release: () => void = () => undefined;
    languageModel.beforeStep = () =>
      new Promise((resolve) => {
        release = resolve;
      });
    const slow = evaluateItems(model, items('choice', many), {
      signal: AbortSignal.timeout(20),
    });
    await expect(slow).rejects.toMatchObject({ code: 'ABORTED' });
    languageModel.beforeStep = undefined;
    release();
    languageModel.beforeStep = () => {
      throw new Error('device');
    };
    await expect(evaluateItems(model, items('choice', many))).rejects.toMatchObject({
      code: 'FORWARD_FAILED',
    });
    await model[Symbol.asyncDispose]();
  });

  it('refuses what cannot be evaluated', async () => {
    const { model } = await open();
    const evaluate = (given: EvaluationItem[]) => evaluateItems(model, given, { name: 'file' });
    await expect(evaluate([])).rejects.toMatchObject({ code: 'EVALUATION_INVALID' });
    await expect(
      evaluate([...items('text', ['a b']), ...items('last-word', ['a b'])]),
    ).rejects.toThrow(/^file: expected at least one item, and all of one kind/);
    await expect(evaluate(items('text', ['']))).rejects.toThrow(
      /^file: expected a text with a token/,
    );
    await expect(
      evaluateItems(model, items('text', ['a']), { concurrency: 0 }),
    ).rejects.toMatchObject({ code: 'OPTION_INVALID' });
    const bytes = await Model.create({
      languageModel: new FakeModel({ vocabularySize: 256, next: hashNext(256) }),
      tokenizer: byteTokenizer(),
    });
    const noContext = items('choice', [questions[3], questions[3]]);
    await expect(evaluateItems(bytes, noContext)).rejects.toThrow(/item 1: .* no end of text/);
    await expect(
      evaluateItems(bytes, items('text', ['ab']), { prependEndOfText: true }),
    ).rejects.toMatchObject({ code: 'OPTION_INVALID' });
    // Without end of text the first token is context.
    expect((await evaluateItems(bytes, items('text', ['ab']))).tokens).toBe(1);
    await bytes[Symbol.asyncDispose]();
    await model[Symbol.asyncDispose]();
  });
});
