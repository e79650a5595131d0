import type { Tokenizer } from '@rwkv-ts/tokenizer';

export interface EncodedPair {
  readonly context: Uint32Array;
  readonly continuation: Uint32Array;
}

/**
 * A context and what follows it, as lm-evaluation-harness encodes them: white space at the end of the context goes to the
 * continuation; the tokens of the two together, from the number of the context's own tokens on, are the continuation's.
 * Where that leaves nothing (the two have melted into fewer tokens than the context alone has) the continuation is encoded
 * by itself, where the harness would score nothing at all.
 */
export function encodePair(
  tokenizer: Tokenizer,
  { context, continuation }: { readonly context: string; readonly continuation: string },
): EncodedPair {
  const kept = context.trimEnd();
  const following = context.slice(kept.length) + continuation;
  const before = tokenizer.encode(kept);
  const after = tokenizer.encode(kept + following).subarray(before.length);
  return { context: before, continuation: after.length > 0 ? after : tokenizer.encode(following) };
}
