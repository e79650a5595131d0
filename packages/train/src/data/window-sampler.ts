/** Which tokens a window is of: a function of its index alone, so that a position in the data is one number. */
import { DataError, checkInteger } from './errors.js';
import { checkSeed } from './held-out.js';
import { magicPrime } from './magic-prime.js';
import { hashBits, permute } from './random.js';
import type { TokenData, TokenRange } from './token-data.js';

/**
 * - `permuted`: RWKV-LM's sampler. Of the windows that begin at a multiple of `context`, in an order that looks random,
 *   each once before one comes again. Documents lie one after another in them.
 * - `sequential`: the data from its beginning to its end, each token predicted once: for evaluation. The last window of a
 *   round may be shorter.
 * - `documents`: each document once, in an order of its own in every round; each window is one document, cut at `context`
 *   targets.
 */
export type WindowOrder = 'permuted' | 'sequential' | 'documents';

export interface WindowSamplerOptions {
  readonly order: WindowOrder;
  /** Targets of a window. */
  readonly context: number;
  /** An integer below 2^32. With 0, the default, `permuted` goes through the data exactly as RWKV-LM does. */
  readonly seed?: number;
}

export interface WindowSampler {
  /** Windows until each has come once. */
  readonly windows: number;
  /** The tokens of a window and the one behind it: `context` + 1 at most. */
  range(index: number): Promise<TokenRange>;
}

/**
 * @throws DataError `TOO_FEW_TOKENS`: `permuted` needs 3 · context tokens, the others a token to predict
 */
export function createWindowSampler(
  data: TokenData,
  { order, context, seed = 0 }: WindowSamplerOptions,
): WindowSampler {
  checkInteger('context', context, { minimum: 1, maximum: 2 ** 31 });
  checkSeed(seed);
  switch (order) {
    case 'permuted':
      return permutedSampler(data, { context, seed });
    case 'sequential':
      return sequentialSampler(data, context);
    case 'documents':
      return documentSampler(data, { context, seed });
    default:
      throw new TypeError(`order is permuted, sequential or documents, not ${String(order)}`);
  }
}

/**
 * Window i begins at token ((f · (1 + i + s)³) mod p) · context, with p the magic prime, f = ⌊p · (√5 - 1) ÷ 2⌋, both as
 * RWKV-LM's dataset.py has them, and s = 0 there. Here s is a number below p that the seed chooses.
 */
function permutedSampler(
  data: TokenData,
  { context, seed }: { context: number; seed: number },
): WindowSampler {
  const windows = magicPrime(Math.floor(data.tokens / context));
  if (windows === undefined)
    throw tooFew(data, 3 * context, `windows of ${context} in random order`);
  const prime = BigInt(windows);
  const factor = BigInt(Math.floor(windows * ((Math.sqrt(5) - 1) / 2)));
  const shift = seed === 0 ? 0 : hashBits(seed, windows) % windows;
  return {
    windows,
    async range(index) {
      checkInteger('index', index);
      const place = (1n + BigInt(index) + BigInt(shift)) % prime;
      const slot = (factor * place * place * place) % prime;
      return { offset: Number(slot) * context, length: context + 1 };
    },
  };
}

function sequentialSampler(data: TokenData, context: number): WindowSampler {
  if (data.tokens < 2) throw tooFew(data, 2, 'a token to predict');
  const windows = Math.ceil((data.tokens - 1) / context);
  return {
    windows,
    async range(index) {
      checkInteger('index', index);
      const offset = (index % windows) * context;
      return { offset, length: Math.min(context + 1, data.tokens - offset) };
    },
  };
}

function documentSampler(
  data: TokenData,
  { context, seed }: { context: number; seed: number },
): WindowSampler {
  const windows = data.documents;
  if (windows === 0 || data.tokens < 2) throw tooFew(data, 2, 'a token to predict');
  return {
    windows,
    async range(index) {
      checkInteger('index', index);
      const round = Math.floor(index / windows);
      const document = permute(index % windows, windows, hashBits(seed, round));
      const { offset, length } = await data.document(document);
      return { offset, length: Math.min(length, context + 1) };
    },
  };
}

function tooFew({ name, tokens }: TokenData, expected: number, what: string): DataError {
  return new DataError({
    code: 'TOO_FEW_TOKENS',
    message: `${name}: ${what} need at least ${expected} tokens, here are ${tokens}`,
    expected,
    got: tokens,
  });
}
