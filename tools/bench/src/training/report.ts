/** Tables of what was measured. */
import type { InstructionName } from '@rwkv-ts/backend-cpu';
import { median, ratios, summarise } from '../cpu/statistics.js';
import { figure, megabytes, percent, spread, table } from '../cpu/table.js';
import { multipliedNumbers, type Round, type Shape } from './measure.js';
import { type Recurrence, recurrences, type TorchRound } from './torch.js';

export interface MeasuredRound {
  readonly own: Round;
  /** 10^9 operations a second of all threads in f32, in the same minute. */
  readonly peak: number | undefined;
  readonly torch: Readonly<Partial<Record<Recurrence, TorchRound>>>;
}

export interface Measured {
  readonly shape: Shape;
  readonly rounds: readonly MeasuredRound[];
}

/** 10^9 operations a second that a thread does in products, by its own processor time. */
export function productRate({ profile }: Round): number {
  return profile.productOperations / profile.instructionMilliseconds.product / 1e6;
}

/** Of the arithmetic that all threads could have done in the time of a step: two operations forward, four backward. */
export function stepShare(shape: Shape, { own, peak }: MeasuredRound): number | undefined {
  if (peak === undefined) return undefined;
  const operations = 6 * multipliedNumbers(shape) * shape.batch * shape.context;
  return operations / own.stepMilliseconds / 1e6 / peak;
}

const of = (values: readonly (number | undefined)[]) =>
  summarise(values.filter((value) => value !== undefined));

export function speedTable(all: readonly Measured[]): string {
  const rows = all.map(({ shape, rounds }) => {
    const shares = rounds.map((round) =>
      round.peak === undefined
        ? undefined
        : productRate(round.own) / (round.peak / round.own.threads),
    );
    const product = of(shares)?.median;
    const step = of(rounds.map((round) => stepShare(shape, round)))?.median;
    return [
      String(shape.batch),
      String(shape.vocabulary),
      spread(of(rounds.map(({ own }) => own.tokensPerSecond))),
      figure(median(rounds.map(({ own }) => own.stepMilliseconds))),
      figure(median(rounds.map(({ own }) => own.updateMilliseconds))),
      figure(median(rounds.map(({ own }) => productRate(own)))),
      product === undefined ? '–' : percent(product),
      step === undefined ? '–' : percent(step),
      megabytes(rounds[0]!.own.bytes),
    ];
  });
  const titles = [
    'sequences',
    'vocabulary',
    'tokens/s',
    'ms a step',
    'of it optimiser',
    'GOP/s of a thread in products',
    'of the peak',
    'whole step, of the peak',
    'MB',
  ];
  return table(
    titles.map((title) => ({ title })),
    rows,
  );
}

export function torchTable(all: readonly Measured[]): string {
  const rows = all.flatMap(({ shape, rounds }) =>
    recurrences.flatMap((recurrence) => {
      const theirs = rounds.map(({ torch }, round) => {
        return { round, value: torch[recurrence]?.tokensPerSecond };
      });
      const known = theirs.flatMap(({ round, value }) =>
        value === undefined ? [] : [{ round, value }],
      );
      if (known.length === 0) return [];
      const own = rounds.map(({ own: { tokensPerSecond: value } }, round) => ({ round, value }));
      return [
        [
          String(shape.batch),
          String(shape.vocabulary),
          recurrence,
          spread(of(known.map(({ value }) => value))),
          spread(of(ratios(own, known))),
        ],
      ];
    }),
  );
  const titles = [
    'sequences',
    'vocabulary',
    'recurrence',
    'PyTorch tokens/s',
    'this, times as many',
  ];
  return table(
    titles.map((title) => ({ title })),
    rows,
  );
}

/** Processor time of a run by instruction, over all rounds; what takes less than half a per cent is put together. */
export function timeTable({ rounds }: Measured): string {
  const total = new Map<InstructionName, number>();
  for (const { own } of rounds) {
    const { runs, instructionMilliseconds } = own.profile;
    for (const [name, milliseconds] of Object.entries(instructionMilliseconds)) {
      const key = name as InstructionName;
      total.set(key, (total.get(key) ?? 0) + milliseconds / runs / rounds.length);
    }
  }
  const sum = [...total.values()].reduce((whole, each) => whole + each, 0);
  const sorted = [...total].sort(([, a], [, b]) => b - a);
  const large = sorted.filter(([, each]) => each >= sum * 0.005);
  const rest = sorted.slice(large.length).reduce((whole, [, each]) => whole + each, 0);
  const rows = [...large, ['others', rest] as const].map(([name, milliseconds]) => [
    name,
    figure(milliseconds),
    percent(milliseconds / sum),
  ]);
  return table(
    [{ title: 'instruction', align: 'left' }, { title: 'ms of all threads' }, { title: 'share' }],
    rows,
  );
}
