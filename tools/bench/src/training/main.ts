/** `node dist/training.js`: a step of training, beside the machine's limit and PyTorch. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { execute } from '../common/execute.js';
import { publish, surroundings } from '../common/results.js';
import { buildMachine, parseMachine } from '../cpu/machine.js';
import { measureTraining, type Shape } from './measure.js';
import { type Options, readOptions, usage, UsageError } from './options.js';
import { type Measured, type MeasuredRound, speedTable, timeTable, torchTable } from './report.js';
import { measureTorch, type Recurrence, recurrences, type TorchRound } from './torch.js';

const repository = fileURLToPath(new URL('../../../', import.meta.url));
const cache = join(repository, 'bench/out/cache');
const source = join(repository, 'tools/bench/native/machine.cc');
const script = join(repository, 'tools/bench/native/train_torch.py');

try {
  const options = readOptions(process.argv.slice(2));
  if (options) await main(options);
  else console.log(usage);
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  console.error(`${error.message}\n\n${usage}`);
  process.exitCode = 2;
}

async function main(options: Options): Promise<void> {
  const { context, channels, layers } = options;
  const shapes = options.vocabularies.flatMap((vocabulary) =>
    options.batches.map((batch): Shape => ({ batch, vocabulary, context, channels, layers })),
  );
  const rounds = new Map<Shape, MeasuredRound[]>(shapes.map((shape) => [shape, []]));
  const problems = new Set<string>();
  for (let round = 0; round < options.rounds; round++) {
    for (const shape of round % 2 === 0 ? shapes : [...shapes].reverse()) {
      console.error(`round ${round + 1}: ${JSON.stringify(shape)}`);
      rounds.get(shape)!.push(await measureRound(shape, { options, problems }));
    }
  }
  const all = shapes.map((shape): Measured => ({ shape, rounds: rounds.get(shape)! }));
  const { own } = all[0]!.rounds[0]!;
  const hasTorch = all.some((each) => each.rounds.some(({ torch }) => torch.loop !== undefined));
  const last = all.at(-1)!;
  const text = [
    `RWKV-7, ${layers} layers of ${channels} channels, sequences of ${context} tokens, every token a target, everything trained in f32. A step is the states' reset, \`accumulate\` and \`update\`. Medians with the spread over rounds. Times by instruction, and with them the rate of products, are the threads' own processor time; the peak is by the clock, so the two compare on a quiet machine only.`,
    speedTable(all),
    ...(hasTorch ? ['## Beside PyTorch', torchTable(all)] : []),
    ...[...problems].map((problem) => `Not measured: ${problem}.`),
    `## Where the time goes: ${last.shape.batch} sequences, a vocabulary of ${last.shape.vocabulary}`,
    timeTable(last),
  ].join('\n\n');
  publish(
    { title: 'Training on the CPU', file: 'training.md', text, data: { measured: all } },
    {
      where: `${own.instructions}, ${own.threads} threads. ${surroundings('training.js', ['--python'])}`,
      about: { instructions: own.instructions, threads: own.threads },
      settings: options,
    },
  );
}

async function measureRound(
  shape: Shape,
  { options, problems }: { options: Options; problems: Set<string> },
): Promise<MeasuredRound> {
  const own = await measureTraining(shape, options);
  const peak = await measurePeak(own.threads, problems);
  const torch: Partial<Record<Recurrence, TorchRound>> = {};
  for (const recurrence of options.python === undefined ? [] : recurrences) {
    const { steps } = options;
    const measured = await measureTorch(shape, {
      python: options.python!,
      script,
      threads: own.threads,
      steps,
      recurrence,
    });
    if (typeof measured === 'string') problems.add(`PyTorch (${measured})`);
    else torch[recurrence] = measured;
  }
  return { own, peak, torch };
}

/** Undefined where there is no compiler for the program that measures it. */
async function measurePeak(threads: number, problems: Set<string>): Promise<number | undefined> {
  try {
    const program = await buildMachine({ source, cache });
    const words = ['--threads', String(threads), '--bytes', '1048576', '--rounds', '1'];
    const { output } = await execute([program, ...words]);
    const { results } = parseMachine(output);
    return results.find(({ test }) => test === 'f32')?.values[0];
  } catch (error) {
    problems.add(`the peak (${error instanceof Error ? error.message : String(error)})`);
    return undefined;
  }
}
