/** What a backend may tell about its own time, beyond the contract. Found by its presence, never by the backend's name. */
import type { Executable } from '@rwkv-ts/backend';

export interface Profile {
  readonly steps: number;
  /** Of all steps together, by the backend's own clock, without what JavaScript adds around them. */
  readonly stepMilliseconds: number;
  /** Summed over threads. */
  readonly operationMilliseconds: Readonly<Record<string, number>>;
  /** Summed over threads: making the inputs of products ready, where that is told apart. */
  readonly prepareMilliseconds?: number;
}

export interface ProfilingExecutable extends Executable {
  /** What was measured since the last call with `true`; measuring starts anew, or stops. */
  profile(on: boolean): Promise<Profile>;
}

export function canProfile(executable: Executable): executable is ProfilingExecutable {
  return 'profile' in executable && typeof executable.profile === 'function';
}

export interface OperationShare {
  readonly operation: string;
  /** Of the time of all threads in operations. */
  readonly share: number;
  /** Of one step, summed over threads. */
  readonly milliseconds: number;
}

/** Longest first; operations that took no time are left out. */
export function operationShares({
  steps,
  operationMilliseconds,
  prepareMilliseconds = 0,
}: Profile): readonly OperationShare[] {
  const all = [
    ...Object.entries(operationMilliseconds),
    ['(prepare)', prepareMilliseconds] as const,
  ];
  const total = all.reduce((sum, [, milliseconds]) => sum + milliseconds, 0);
  return all
    .filter(([, milliseconds]) => milliseconds > 0)
    .sort((a, b) => b[1] - a[1])
    .map(([operation, milliseconds]) => ({
      operation,
      share: milliseconds / total,
      milliseconds: milliseconds / Math.max(1, steps),
    }));
}
