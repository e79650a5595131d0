/** Texts that a model in training writes, so that people see what it has learned. */
import type { Backend } from '@rwkv-ts/backend';
import { createLanguageModel, Model } from '@rwkv-ts/generate';
import type { Tokenizer } from '@rwkv-ts/tokenizer';
import type { Trainer } from '@rwkv-ts/train';
import { createFingerprint } from '@rwkv-ts/weights';

export interface SampleTextsOptions {
  readonly backend: Backend;
  readonly tokenizer: Tokenizer;
  /** None: the text begins at the end-of-text token, as documents do. */
  readonly prompts: readonly string[];
  readonly tokens: number;
  readonly seed: number;
  readonly signal: AbortSignal;
}

export interface SampleText {
  readonly prompt: string;
  readonly text: string;
}

/** The weights as they stand are uploaded beside the training, and freed again. */
export async function sampleTexts(
  trainer: Trainer,
  { backend, tokenizer, prompts, tokens, seed, signal }: SampleTextsOptions,
): Promise<readonly SampleText[]> {
  const learned = trainer.model;
  const { config } = learned;
  const fingerprint = createFingerprint(config);
  async function* seen() {
    for await (const weight of learned.weights()) {
      fingerprint.add(weight);
      yield weight;
    }
  }
  const languageModel = await createLanguageModel({
    config,
    weights: seen(),
    backend,
    limits: { tokens: 64, sequences: 1, wanted: 1 },
    fingerprint: () => fingerprint.digest(),
  });
  const initialBlocks = await trainer.initialStates();
  await using model = await Model.create({
    languageModel,
    tokenizer,
    slots: 1,
    config,
    ...(initialBlocks === undefined ? {} : { initialBlocks }),
  });
  const beginsAtEnd = prompts.length === 0 && tokenizer.endOfText !== undefined;
  const texts: SampleText[] = [];
  for (const prompt of prompts.length > 0 ? prompts : [beginsAtEnd ? '' : '\n']) {
    const options = { maxTokens: tokens, seed, signal, prependEndOfText: beginsAtEnd };
    const { text } = await model.generate(prompt, options);
    texts.push({ prompt, text });
  }
  return texts;
}
