/** What is measured, and running all of it in rounds. */
import { availableParallelism } from 'node:os';
import type { Job, JobResult } from './jobs.js';
import { type JobRunner, runJob } from './run-job.js';
import { type Sample, undisturbed } from './statistics.js';

export interface Case<Name extends string = string> {
  readonly file: string;
  readonly threads: number;
  readonly test: string;
  /** Who does it. */
  readonly side: Name;
  readonly job: Job;
  /** The result of another program's output. */
  readonly parse?: (output: string) => Pick<JobResult, 'rate' | 'engine'>;
}

export interface Run extends JobResult {
  readonly round: number;
}

export interface Measured<Name extends string = string> extends Omit<Case<Name>, 'parse'> {
  readonly runs: readonly Run[];
}

/**
 * Rounds of everything, one process after the other; every other round goes backwards, so that nobody always follows the
 * same neighbour. `betweenRounds` runs before each.
 */
export async function runRounds<Name extends string>(
  cases: readonly Case<Name>[],
  {
    rounds,
    runner,
    betweenRounds,
    onRun,
  }: {
    rounds: number;
    runner: JobRunner;
    betweenRounds?: () => Promise<void>;
    onRun?: (text: string) => void;
  },
): Promise<Measured<Name>[]> {
  const runs = cases.map((): Run[] => []);
  for (let round = 0; round < rounds; round++) {
    await betweenRounds?.();
    const order = cases.map((_, index) => index);
    if (round % 2 === 1) order.reverse();
    for (const index of order) {
      const { file, threads, test, side, job, parse } = cases[index]!;
      const result = parsed(await runJob(job, runner), parse);
      runs[index]!.push({ ...result, round });
      const outcome = result.failure ?? `${result.rate?.toFixed(1)} tokens/s`;
      onRun?.(
        `round ${round + 1}/${rounds}: ${file}, ${threads} threads, ${test}, ${side}: ${outcome}`,
      );
    }
  }
  return cases.map(({ parse: _, ...each }, index) => ({ ...each, runs: runs[index]! }));
}

function parsed(result: JobResult, parse: Case['parse']): JobResult {
  if (!parse || result.output === undefined) return result;
  const { output, ...rest } = result;
  try {
    return { ...rest, ...parse(output) };
  } catch (error) {
    return { ...rest, failure: String(error) };
  }
}

/** The runs that count: those that gave a figure, and had their cores for themselves as far as enough of them had. */
export function countedRuns({ runs, threads }: Pick<Measured, 'runs' | 'threads'>): readonly Run[] {
  const complete = runs.filter(({ rate }) => rate !== undefined);
  return undisturbed(complete, { threads, cores: availableParallelism() });
}

export function samplesOf(measured: Measured): Sample[] {
  return countedRuns(measured).map(({ round, rate }) => ({ round, value: rate! }));
}
