/** A job in a process of its own, and the same job inside that process. */
import { execute, lastLine } from '../common/execute.js';
import type { Job, JobResult } from './jobs.js';
import { peakBytes, watchOthers } from './processor-use.js';
import { runGenerate, runSteps } from './run-model.js';
import { runNodeLlamaCpp } from './run-node-llama-cpp.js';

export interface JobRunner {
  /** This program, which understands `child JOB`. */
  readonly self: string;
  /** Words before the command: a lock that serialises measurements, a priority, a set of processors. */
  readonly wrap: readonly string[];
}

/** Marks the line that holds the result; whatever else a job prints is not ours. */
const marker = '@result ';

/** Never rejects: a job that fails is a result that says why. */
export async function runJob(job: Job, { self, wrap }: JobRunner): Promise<JobResult> {
  const command = [...wrap, process.execPath, self, 'child', JSON.stringify(job)];
  const { output, errors, status } = await execute(command);
  const line = output.split('\n').findLast((each) => each.startsWith(marker));
  if (line !== undefined) return JSON.parse(line.slice(marker.length)) as JobResult;
  return { failure: `${command[0]} ended with ${status}: ${lastLine(errors || output)}` };
}

/** The part of the child: does the job and prints the result. */
export async function performJob(job: Job): Promise<void> {
  let result: JobResult;
  try {
    result = { peakBytes: peakBytes(), ...(await perform(job)) };
    if (job.kind !== 'command') result = { ...result, peakBytes: peakBytes() };
  } catch (error) {
    result = { failure: error instanceof Error ? error.message : String(error) };
  }
  process.stdout.write(`\n${marker}${JSON.stringify(result)}\n`);
}

function perform(job: Job): Promise<JobResult> {
  switch (job.kind) {
    case 'decode':
    case 'prefill':
      return runSteps(job);
    case 'generate':
      return runGenerate(job);
    case 'node-llama-cpp':
      return runNodeLlamaCpp(job);
    case 'command':
      return runCommand(job.command);
  }
}

async function runCommand(command: readonly string[]): Promise<JobResult> {
  const others = watchOthers();
  const { output, errors, status } = await execute(command);
  const otherCores = others();
  if (status !== '0') {
    return { failure: `${command[0]} ended with ${status}: ${lastLine(errors || output)}` };
  }
  return { output, ...(otherCores === undefined ? {} : { otherCores }) };
}
