/** Timing steps in this process. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** What making a model left behind would be collected in the middle of the steps. */
export function collectGarbage(): void {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
}

/** Steps for at least so many seconds, `queued` of them under way at a time; at least one each. */
export async function timed(
  once: () => Promise<unknown>,
  { seconds, queued = 1 }: { seconds: number; queued?: number },
): Promise<{ steps: number; seconds: number }> {
  const began = performance.now();
  const passed = () => (performance.now() - began) / 1000;
  let steps = 0;
  const lane = async (): Promise<void> => {
    do {
      steps++;
      await once();
    } while (passed() < seconds);
  };
  await Promise.all(Array.from({ length: queued }, lane));
  return { steps, seconds: passed() };
}

/** Tokens a second, after a step that does not count. */
export async function rateOf(
  once: () => Promise<unknown>,
  { tokens, seconds, queued = 1 }: { tokens: number; seconds: number; queued?: number },
): Promise<number> {
  await timed(once, { seconds: 0, queued });
  const measured = await timed(once, { seconds, queued });
  return (tokens * measured.steps) / measured.seconds;
}
