/** The measurements of the `cpu` and `compare` commands, from their options. */
import type { BackendSettings } from './backends.js';
import type { Case } from './cases.js';
import type { Side } from './compare-report.js';
import {
  batchedBenchCommand,
  llamaBenchCommand,
  parseBatchedBench,
  parseLlamaBench,
} from './llama-bench.js';
import type { ModelUnderTest } from './models.js';
import type { Options } from './options.js';

const decodeTest = (batch: number): string => `decode, batch ${batch}`;
const prefillTest = (tokens: number): string => `prefill ${tokens}`;

interface Place {
  readonly model: ModelUnderTest;
  readonly threads: number;
}

function placesOf(models: readonly ModelUnderTest[], threads: readonly number[]): Place[] {
  return models.flatMap((model) => threads.map((many) => ({ model, threads: many })));
}

function ownSettings({ backend, instructions, seconds }: Options, { model, threads }: Place) {
  const settings: BackendSettings = {
    backend,
    threads,
    ...(instructions === undefined ? {} : { instructions }),
  };
  return { ...settings, file: model.path, seconds };
}

export function cpuCases(models: readonly ModelUnderTest[], options: Options): Case<Side>[] {
  return placesOf(models, options.threads).flatMap((place): Case<Side>[] => {
    const settings = ownSettings(options, place);
    const at = { file: place.model.name, threads: place.threads };
    return [
      ...options.batch.flatMap((batch): Case<Side>[] => [
        {
          ...at,
          test: decodeTest(batch),
          side: 'run',
          job: { ...settings, kind: 'decode', batch },
        },
        {
          ...at,
          test: `generate, batch ${batch}`,
          side: 'generate',
          job: { ...settings, kind: 'generate', batch },
        },
      ]),
      ...options.prefill.map((tokens): Case<Side> => {
        const job = { ...settings, kind: 'prefill', tokens } as const;
        return { ...at, test: prefillTest(tokens), side: 'run', job };
      }),
    ];
  });
}

/** `folder`: where node-llama-cpp is installed, if it takes part. */
export function compareCases(
  models: readonly ModelUnderTest[],
  options: Options,
  { folder }: { folder: string | undefined },
): Case<Side>[] {
  return placesOf(models, options.threads).flatMap((place) => [
    ...options.batch.flatMap((batch) => decodeCases(place, { options, folder, batch })),
    ...options.prefill.flatMap((tokens) => prefillCases(place, { options, folder, tokens })),
  ]);
}

function decodeCases(
  place: Place,
  { options, folder, batch }: { options: Options; folder: string | undefined; batch: number },
): Case<Side>[] {
  const { model, threads } = place;
  const { llamaBench, llamaBatchedBench } = options;
  const own = { ...ownSettings(options, place), batch };
  const at = { file: model.name, threads, test: decodeTest(batch) };
  // As many steps as take about as long, since a step of a batch takes longer.
  const tokens = Math.max(8, Math.round(options.tokens / Math.sqrt(batch)));
  const settings = { file: model.path, threads, tokens };
  const cases: Case<Side>[] = [{ ...at, side: 'run', job: { ...own, kind: 'decode' } }];
  if (folder !== undefined) {
    cases.push(
      { ...at, side: 'generate', job: { ...own, kind: 'generate' } },
      {
        ...at,
        side: 'node-llama-cpp',
        job: { ...settings, kind: 'node-llama-cpp', folder, task: 'decode', batch },
      },
    );
  }
  if (llamaBench !== undefined && batch === 1) {
    cases.push(llamaBenchCase(at, llamaBenchCommand(llamaBench, { ...settings, prompt: 0 })));
  }
  if (llamaBatchedBench !== undefined) {
    const command = batchedBenchCommand(llamaBatchedBench, { ...settings, batch });
    const parse = (output: string) => ({ rate: parseBatchedBench(output) });
    cases.push({ ...at, side: 'llama-batched-bench', job: { kind: 'command', command }, parse });
  }
  return cases;
}

function prefillCases(
  place: Place,
  { options, folder, tokens }: { options: Options; folder: string | undefined; tokens: number },
): Case<Side>[] {
  const { model, threads } = place;
  const own = ownSettings(options, place);
  const at = { file: model.name, threads, test: prefillTest(tokens) };
  const settings = { file: model.path, threads };
  const cases: Case<Side>[] = [{ ...at, side: 'run', job: { ...own, kind: 'prefill', tokens } }];
  if (folder !== undefined) {
    const job = {
      ...settings,
      kind: 'node-llama-cpp',
      folder,
      task: 'prefill',
      batch: 1,
      tokens,
    } as const;
    cases.push({ ...at, side: 'node-llama-cpp', job });
  }
  if (options.llamaBench !== undefined) {
    const wanted = { ...settings, prompt: tokens, tokens: 0 };
    cases.push(llamaBenchCase(at, llamaBenchCommand(options.llamaBench, wanted)));
  }
  return cases;
}

function llamaBenchCase(
  at: Pick<Case, 'file' | 'threads' | 'test'>,
  command: readonly string[],
): Case<Side> {
  const parse = (output: string) => {
    const [result] = parseLlamaBench(output);
    if (!result) throw new TypeError('llama-bench measured nothing.');
    return result;
  };
  return { ...at, side: 'llama-bench', job: { kind: 'command', command }, parse };
}
