import type { Executable } from '@rwkv-ts/backend';

/** The most likely tokens, one after the other, that follow a prompt in slot 0. */
export async function greedyTokens(
  executable: Executable,
  { prompt, count }: { readonly prompt: readonly number[]; readonly count: number },
): Promise<number[]> {
  let tokens = prompt;
  const chosen: number[] = [];
  while (chosen.length < count) {
    const rows = await executable.run({
      tokens: Uint32Array.from(tokens),
      starts: Uint32Array.of(0, tokens.length),
      slots: Uint32Array.of(0),
      wanted: Uint32Array.of(tokens.length - 1),
    });
    const best = rows.indexOf(Math.max(...rows));
    chosen.push(best);
    tokens = [best];
  }
  return chosen;
}

export const greedyPrompt = [...new TextEncoder().encode('In the beginning ')];
