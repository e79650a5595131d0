/** The table of the `compare` command. */
import { type Measured, samplesOf } from './cases.js';
import { ratios, summarise } from './statistics.js';
import { type Column, figure, spread, table } from './table.js';

export type Side = 'run' | 'generate' | 'llama-bench' | 'llama-batched-bench' | 'node-llama-cpp';

/**
 * Which of our figures stands beside whose. llama.cpp's tools sample nothing, as our `Executable.run`; node-llama-cpp
 * chooses every token, as our `generate` does, but for a prompt, which needs no choice.
 */
export function ourSide(peer: Side, test: string): Side {
  return peer === 'node-llama-cpp' && !test.startsWith('prefill') ? 'generate' : 'run';
}

const ours: readonly Side[] = ['run', 'generate'];

const columns: readonly Column[] = [
  { title: 'model', align: 'left' },
  { title: 'test', align: 'left' },
  { title: 'threads' },
  { title: 'peer', align: 'left' },
  { title: 'peer, tokens/s' },
  { title: 'ours, tokens/s' },
  { title: 'ratio' },
];

export function compareTable(cases: readonly Measured<Side>[]): string {
  const rows = cases
    .filter(({ side }) => !ours.includes(side))
    .map((peer) => {
      const { file, test, threads, side } = peer;
      const own = cases.find(
        (each) =>
          each.file === file &&
          each.test === test &&
          each.threads === threads &&
          each.side === ourSide(side, test),
      );
      const [theirs, mine] = [samplesOf(peer), own ? samplesOf(own) : []];
      const values = (samples: typeof mine): number[] => samples.map(({ value }) => value);
      return [
        file,
        test,
        String(threads),
        side,
        spread(summarise(values(theirs))),
        `${spread(summarise(values(mine)))} (${ourSide(side, test)})`,
        spread(summarise(ratios(mine, theirs))),
      ];
    });
  return table(columns, rows);
}

/**
 * Each side with the number of threads that suits it best, by medians: a peer may be faster with fewer, and nobody who
 * wants speed would give it more.
 */
export function bestTable(cases: readonly Measured<Side>[]): string {
  const best = (
    file: string,
    test: string,
    side: Side,
  ): { rate: number; threads: number } | undefined =>
    cases
      .filter((each) => each.file === file && each.test === test && each.side === side)
      .flatMap((each) => {
        const summary = summarise(samplesOf(each).map(({ value }) => value));
        return summary ? [{ rate: summary.median, threads: each.threads }] : [];
      })
      .sort((a, b) => b.rate - a.rate)[0];
  const places = new Map(cases.map((each) => [`${each.file} ${each.test} ${each.side}`, each]));
  const rows = [...places.values()].flatMap(({ file, test, side }) => {
    if (ours.includes(side)) return [];
    const [theirs, mine] = [best(file, test, side), best(file, test, ourSide(side, test))];
    if (!theirs || !mine) return [[file, test, side, '–', '–', '–']];
    const shown = ({ rate, threads }: typeof mine): string =>
      `${figure(rate)} (${threads} threads)`;
    return [[file, test, side, shown(theirs), shown(mine), figure(mine.rate / theirs.rate)]];
  });
  return table(
    columns.filter(({ title }) => title !== 'threads'),
    rows,
  );
}

/** What computed, once each: versions, instructions, settings. */
export function enginesOf(cases: readonly Measured[]): string[] {
  const engines = cases.flatMap(({ side, runs }) =>
    runs.flatMap(({ engine }) => (engine === undefined ? [] : [`${side}: ${engine}`])),
  );
  return [...new Set(engines)].sort();
}
