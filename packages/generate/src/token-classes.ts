import type { Tokenizer } from '@rwkv-ts/tokenizer';

export interface TokenClasses {
  /**
   * Tokens that repetition penalties leave alone: those made of nothing but spaces, tabs, line ends and digits. Punishing
   * them garbles layout and numbers.
   */
  readonly penaltyExempt: ReadonlySet<number>;
  /** Ids below the model's vocabulary size that no text has: padding and gaps. Never sampled. */
  readonly missing: readonly number[];
}

/** One pass over the vocabulary. */
export function tokenClasses(
  tokenizer: Tokenizer | undefined,
  vocabularySize: number,
): TokenClasses {
  const penaltyExempt = new Set<number>();
  const missing: number[] = [];
  if (tokenizer === undefined) return { penaltyExempt, missing };
  for (let token = 0; token < vocabularySize; token++) {
    const bytes = bytesOf(tokenizer, token);
    if (bytes === undefined) {
      // A text must be able to end, whatever a tokenizer says the bytes of its end are.
      if (token !== tokenizer.endOfText) missing.push(token);
    } else if (bytes.length > 0 && bytes.every(isSpaceOrDigit)) penaltyExempt.add(token);
  }
  return { penaltyExempt, missing };
}

function bytesOf(tokenizer: Tokenizer, token: number): Uint8Array | undefined {
  try {
    return tokenizer.tokenBytes(token);
  } catch {
    return undefined;
  }
}

function isSpaceOrDigit(byte: number): boolean {
  return byte === 0x20 || (byte >= 0x09 && byte <= 0x0d) || (byte >= 0x30 && byte <= 0x39);
}
