import type { Tokenizer } from '@rwkv-ts/tokenizer';

/**
 * The tokens that repetition penalties leave alone: those made of nothing but spaces, tabs, line ends and digits.
 * Punishing them garbles layout and numbers. One pass over the vocabulary.
 */
export function penaltyExemptTokens(tokenizer: Tokenizer, vocabularySize: number): number[] {
  const exempt: number[] = [];
  const size = Math.min(tokenizer.vocabularySize, vocabularySize);
  for (let token = 0; token < size; token++) {
    const bytes = bytesOf(tokenizer, token);
    if (bytes !== undefined && bytes.length > 0 && bytes.every(isSpaceOrDigit)) exempt.push(token);
  }
  return exempt;
}

/** Vocabularies have gaps: World has no token between its last one and the padded size. */
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
