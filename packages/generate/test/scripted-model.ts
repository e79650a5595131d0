/** A model that answers chats by a script. */
import type { Tokenizer } from '@rwkv-ts/tokenizer';
import { FakeModel } from './fake-model.js';

const assistant = 'Assistant:';

/**
 * `reply` gets everything before and including the last "Assistant:", and gives all that follows (the prompt's opener
 * included); then the text ends. What was not asked by the script ends at once.
 */
export function scriptedModel(tokenizer: Tokenizer, reply: (prompt: string) => string): FakeModel {
  const latin = new TextDecoder('latin1');
  return new FakeModel({
    vocabularySize: tokenizer.vocabularySize,
    limits: { tokens: 64 },
    next(history) {
      const bytes = tokenizer.decodeBytes(history);
      // latin1 keeps one character per byte, so that positions in text and bytes agree.
      const end = latin.decode(bytes).lastIndexOf(assistant) + assistant.length;
      const said = bytes.subarray(end);
      const whole = new TextEncoder().encode(
        reply(new TextDecoder().decode(bytes.subarray(0, end))),
      );
      if (said.length > whole.length || said.some((byte, i) => whole[i] !== byte)) return 0;
      return tokenizer.encodeBytes(whole.subarray(said.length))[0] ?? 0;
    },
  });
}
