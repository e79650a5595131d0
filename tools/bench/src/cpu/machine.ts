/** What this machine can do at most: `native/machine.cc`, compiled when it is needed. */
import { execute } from '../common/execute.js';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';

/** Of one test with one number of threads: GB/s, or 10^9 operations a second. */
export interface LimitSample {
  readonly test: string;
  readonly instruction: string;
  readonly threads: number;
  /** Read from; 0 for arithmetic. */
  readonly bytes: number;
  readonly values: readonly number[];
}

export interface MachineRound {
  readonly processors: number;
  readonly results: readonly LimitSample[];
}

/** @throws SyntaxError, TypeError where it is not what the program prints */
export function parseMachine(output: string): MachineRound {
  const parsed = JSON.parse(output) as Partial<MachineRound>;
  const { processors, results } = parsed;
  if (typeof processors !== 'number' || !Array.isArray(results)) {
    throw new TypeError('The machine program printed something else than its results.');
  }
  return { processors, results };
}

/** Rounds of several runs put together, test by test. */
export function mergeLimits(runs: readonly (readonly LimitSample[])[]): LimitSample[] {
  const merged = new Map<string, { sample: LimitSample; values: number[] }>();
  for (const sample of runs.flat()) {
    const key = `${sample.test} ${sample.threads} ${sample.bytes}`;
    const entry = merged.get(key) ?? { sample, values: [] };
    entry.values.push(...sample.values);
    merged.set(key, entry);
  }
  return [...merged.values()].map(({ sample, values }) => ({ ...sample, values }));
}

/**
 * The program, from the cache where the same source was compiled before.
 * @throws Error with what the compilers said
 */
export async function buildMachine({
  source,
  cache,
}: {
  source: string;
  cache: string;
}): Promise<string> {
  const hash = createHash('sha256').update(readFileSync(source)).digest('hex').slice(0, 16);
  const program = join(cache, `machine-${process.platform}-${process.arch}-${hash}`);
  if (existsSync(program)) return program;
  mkdirSync(cache, { recursive: true });
  const native = process.arch === 'arm64' ? '-mcpu=native' : '-march=native';
  const options = ['-O3', native, '-std=c++17', '-pthread', source, '-o', `${program}.new`];
  const said: string[] = [];
  for (const compiler of [process.env['CXX'], 'c++', 'g++', 'clang++']) {
    if (compiler === undefined) continue;
    const { errors, status } = await execute([compiler, ...options]);
    if (status === '0') {
      renameSync(`${program}.new`, program);
      return program;
    }
    said.push(`${compiler} ended with ${status}. ${errors.trim().split('\n')[0] ?? ''}`);
  }
  throw new Error(`No C++ compiler made ${source}: ${said.join(' ')}`);
}
