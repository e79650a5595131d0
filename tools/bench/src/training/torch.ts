/** The same step in PyTorch: native/train_torch.py, in a process of its own. */
import { execute, lastLine } from '../common/execute.js';
import type { Shape } from './measure.js';

/** `loop`: the recurrence token by token, as it is written without a kernel of its own. `none`: without it, for its share. */
export const recurrences = ['loop', 'none'] as const;
export type Recurrence = (typeof recurrences)[number];

export interface TorchRound {
  readonly stepMilliseconds: number;
  readonly tokensPerSecond: number;
  readonly version: string;
}

export interface TorchOptions {
  readonly python: string;
  readonly script: string;
  readonly threads: number;
  readonly steps: number;
  readonly recurrence: Recurrence;
}

/** Why it is not measured, in words, where it is not. */
export async function measureTorch(
  shape: Shape,
  { python, script, threads, steps, recurrence }: TorchOptions,
): Promise<TorchRound | string> {
  const numbers = { ...shape, threads, steps };
  const words = Object.entries(numbers).flatMap(([name, value]) => [`--${name}`, String(value)]);
  const { output, errors, status } = await execute([
    python,
    script,
    ...words,
    '--recurrence',
    recurrence,
  ]);
  if (status !== '0') return lastLine(errors) || status;
  return parseTorch(lastLine(output));
}

/** @throws TypeError where it is not what the script prints */
export function parseTorch(text: string): TorchRound {
  const parsed = JSON.parse(text) as Partial<TorchRound>;
  const { stepMilliseconds, tokensPerSecond, version } = parsed;
  if (typeof stepMilliseconds !== 'number' || typeof tokensPerSecond !== 'number') {
    throw new TypeError('The PyTorch script printed something else than its results.');
  }
  return { stepMilliseconds, tokensPerSecond, version: String(version) };
}
