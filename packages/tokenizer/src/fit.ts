import { TokenizerError } from './errors.js';
import type { Tokenizer } from './tokenizer.js';

/** Training code rounds the vocabulary up to a multiple of this: World 65530 to 65536, 20B 50277 to 50304. */
const PADDING = 128;

/**
 * The tokenizer of the official models with this vocabulary size: World for 65536, 20B for 50277 and 50304, bytes for
 * 256; undefined for sizes that say nothing.
 */
export function tokenizerFor(modelVocabularySize: number): 'world' | '20b' | 'bytes' | undefined {
  switch (modelVocabularySize) {
    case 65536:
      return 'world';
    case 50277:
    case 50304:
      return '20b';
    case 256:
      return 'bytes';
    default:
      return undefined;
  }
}

/**
 * Throws `VOCABULARY_MISMATCH` unless the model has a row for every token and no more rows than padding explains:
 * tokenizer size <= model size <= tokenizer size rounded up to a multiple of 128. A wrong pairing gives fluent
 * nonsense rather than an error, so it is refused before anything is generated.
 */
export function assertTokenizerFits(tokenizer: Tokenizer, modelVocabularySize: number): void {
  if (!Number.isInteger(modelVocabularySize) || modelVocabularySize < 1)
    throw new TypeError(
      `assertTokenizerFits: expected a vocabulary size, got ${modelVocabularySize}`,
    );
  const { name, vocabularySize } = tokenizer;
  const padded = Math.ceil(vocabularySize / PADDING) * PADDING;
  if (vocabularySize <= modelVocabularySize && modelVocabularySize <= padded) return;
  const wanted = tokenizerFor(modelVocabularySize);
  const hint =
    wanted === undefined || wanted === name
      ? ''
      : `; models of that size use the "${wanted}" tokenizer`;
  throw new TokenizerError({
    code: 'VOCABULARY_MISMATCH',
    message: `the "${name}" tokenizer has ${vocabularySize} ids and fits models with a vocabulary of ${vocabularySize} to ${padded}, got ${modelVocabularySize}${hint}`,
    expected: vocabularySize,
    got: modelVocabularySize,
  });
}
