/** What many runs of one measurement say together. */

export interface Summary {
  readonly median: number;
  readonly lowest: number;
  readonly highest: number;
  readonly runs: number;
}

/** @throws RangeError without values */
export function median(values: readonly number[]): number {
  if (values.length === 0) throw new RangeError('A median needs at least one value, got none.');
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** Nothing where nothing was measured. */
export function summarise(values: readonly number[]): Summary | undefined {
  if (values.length === 0) return undefined;
  return {
    median: median(values),
    lowest: Math.min(...values),
    highest: Math.max(...values),
    runs: values.length,
  };
}

/** One run of one side of a comparison. */
export interface Sample {
  /** Rounds of the two sides belong together: they ran one after the other. */
  readonly round: number;
  readonly value: number;
}

/**
 * `ours / theirs`, round by round: what slows the machine for some seconds slows both. Rounds that one side lacks count on
 * neither.
 */
export function ratios(ours: readonly Sample[], theirs: readonly Sample[]): number[] {
  const byRound = new Map(theirs.map(({ round, value }) => [round, value]));
  return ours.flatMap(({ round, value }) => {
    const other = byRound.get(round);
    return other === undefined || other <= 0 ? [] : [value / other];
  });
}

export interface Disturbed {
  /** Cores that other programs kept busy meanwhile; absent where the system does not tell. */
  readonly otherCores?: number;
}

/**
 * The runs that had the cores they asked for, where there are at least two of them; else all. Threads that wait for one
 * another by spinning lose far more to other programs than those take, so such runs measure the other programs.
 */
export function undisturbed<Run extends Disturbed>(
  runs: readonly Run[],
  { threads, cores, tolerance = 0.25 }: { threads: number; cores: number; tolerance?: number },
): readonly Run[] {
  const free = Math.max(0, cores - threads) + tolerance;
  const quiet = runs.filter(({ otherCores = 0 }) => otherCores <= free);
  return quiet.length >= 2 ? quiet : runs;
}
