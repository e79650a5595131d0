/**
 * What every golden model is asked for, whatever runs it: logits and state of sequences fed whole, token by token, in
 * random pieces, and in ragged batches with strangers.
 */
import type { Batch, Rows } from '@rwkv-ts/backend';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type ExpectedTensor, worstDifference } from './golden.js';

/** A model with states of at least 8 slots; `run` takes 256 tokens of 6 sequences. */
export interface GoldenSubject extends AsyncDisposable {
  readonly expected: ReadonlyMap<string, ExpectedTensor>;
  run(batch: Batch): Promise<Rows>;
  reset(slot: number): void;
  /** One slot's states by their names in the program. */
  state(slot: number): Promise<(name: string) => Rows>;
}

export interface GoldenCasesOptions {
  readonly load: () => Promise<GoldenSubject>;
  /** Bounds of absolute differences. */
  readonly logits: number;
  readonly state: number;
  /** Told at the end: the worst differences seen. */
  readonly report: (worst: { readonly logits: number; readonly state: number }) => void;
}

export const goldenLimits = { tokens: 256, sequences: 6, wanted: 256 } as const;
const targets = [
  { sequence: 's17', slot: 6 },
  { sequence: 's100', slot: 7 },
] as const;

function batchOf(
  parts: readonly { slot: number; tokens: ArrayLike<number>; wanted: 'all' | 'none' }[],
): Batch {
  const starts = [0];
  for (const { tokens } of parts) starts.push(starts.at(-1)! + tokens.length);
  const wanted = parts.flatMap(({ tokens, wanted: want }, part) =>
    want === 'all'
      ? Array.from({ length: tokens.length }, (_, index) => starts[part]! + index)
      : [],
  );
  return {
    tokens: Uint32Array.from(parts.flatMap(({ tokens }) => Array.from(tokens))),
    starts: Uint32Array.from(starts),
    slots: Uint32Array.from(parts.map(({ slot }) => slot)),
    wanted: Uint32Array.from(wanted),
  };
}

/** Numbers from 0 up to `below`, the same on every run. */
function createRandom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

function pieces(tokens: ArrayLike<number>, random: (below: number) => number): number[][] {
  const all = Array.from(tokens);
  const cut: number[][] = [];
  while (all.length > 0) cut.push(all.splice(0, 1 + random(9)));
  return cut;
}

/** Tensor names of the golden files, by the program's state names. */
function stateDifferences(
  { expected, state }: { expected: GoldenSubject['expected']; state: (name: string) => Rows },
  { sequence, limit }: { sequence: string; limit: number },
): { worst: number; excess: number } {
  let [worst, excess, compared] = [0, 0, 0];
  for (const [name, tensor] of expected) {
    const [, layer, what] =
      new RegExp(`^${sequence}\\.state\\.layer(\\d+)\\.(.+)$`).exec(name) ?? [];
    if (layer === undefined || what === undefined) continue;
    const stored = ['att_aa', 'att_bb', 'att_pp'].indexOf(what);
    const block = `blocks.${layer}.${what.startsWith('ffn') ? 'ffn' : 'att'}`;
    const mine = state(`${block}.${what.endsWith('x_prev') ? 'shift' : 'wkv'}`);
    const size = tensor.values.length;
    const got = stored < 0 ? mine : mine.subarray(stored * size, (stored + 1) * size);
    // The golden matrices are float64 results rounded to float32, so that they are compared after the same rounding.
    const rounded = what === 'att_kv' && limit < 1e-8;
    const largest = tensor.values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    const difference = worstDifference(got, tensor.values);
    const allowed = rounded
      ? largest * 2 ** -23
      : limit < 1e-8
        ? limit * Math.max(1, largest)
        : Math.max(limit, 3e-5 * largest);
    if (!rounded) worst = Math.max(worst, difference);
    excess = Math.max(excess, difference / allowed);
    compared++;
  }
  expect(compared).toBeGreaterThan(0);
  return { worst, excess };
}

export function goldenCases({ load, logits, state, report }: GoldenCasesOptions): void {
  let loaded: GoldenSubject;
  const seen = { logits: 0, state: 0 };
  beforeAll(async () => {
    loaded = await load();
  });
  afterAll(async () => {
    await loaded[Symbol.asyncDispose]();
    report(seen);
  });
  const tokensOf = (sequence: string) => loaded.expected.get(`${sequence}.tokens`)!.values;
  const checkLogits = (rows: ArrayLike<number>, expected: ArrayLike<number>) => {
    const worst = worstDifference(rows, expected);
    seen.logits = Math.max(seen.logits, worst);
    expect(worst).toBeLessThanOrEqual(logits);
  };
  const checkState = async (slot: number, sequence: string) => {
    const subject = { expected: loaded.expected, state: await loaded.state(slot) };
    const { worst, excess } = stateDifferences(subject, { sequence, limit: state });
    seen.state = Math.max(seen.state, worst);
    expect(excess).toBeLessThanOrEqual(1);
  };
  /** The rows that the golden file has: all of s1 and s17, the last of s100. */
  const compareRows = (sequence: string, rows: Rows) => {
    const { values } = loaded.expected.get(`${sequence}.logits`)!;
    checkLogits(rows.subarray(rows.length - values.length), values);
  };

  test.each(['s1', 's17', 's100'])('%s fed whole: logits and state', async (sequence) => {
    loaded.reset(0);
    const batch = batchOf([{ slot: 0, tokens: tokensOf(sequence), wanted: 'all' }]);
    compareRows(sequence, await loaded.run(batch));
    if (sequence !== 's1') await checkState(0, sequence);
  });

  test('token by token', async () => {
    loaded.reset(1);
    const rows: number[] = [];
    for (const token of tokensOf('s17')) {
      rows.push(...(await loaded.run(batchOf([{ slot: 1, tokens: [token], wanted: 'all' }]))));
    }
    checkLogits(rows, loaded.expected.get('s17.logits')!.values);
    await checkState(1, 's17');
  });

  test('in random pieces', async () => {
    const random = createRandom(7);
    for (let round = 0; round < 3; round++) {
      loaded.reset(2);
      const rows: number[] = [];
      for (const piece of pieces(tokensOf('s100'), random)) {
        rows.push(...(await loaded.run(batchOf([{ slot: 2, tokens: piece, wanted: 'all' }]))));
      }
      compareRows('s100', Float64Array.from(rows));
      await checkState(2, 's100');
    }
  });

  test('in ragged batches with strangers', async () => {
    const random = createRandom(11);
    for (const slot of [3, 4, 5, 6, 7]) loaded.reset(slot);
    const width = loaded.expected.get('s1.logits')!.values.length;
    const rows = { s17: [] as number[], s100: [] as number[] };
    const waiting = {
      s17: pieces(tokensOf('s17'), random),
      s100: pieces(tokensOf('s100'), random),
    };
    while (waiting.s17.length > 0 || waiting.s100.length > 0) {
      const strangers = [3, 4, 5]
        .filter(() => random(2) === 0)
        .map((slot) => ({
          sequence: undefined,
          slot,
          tokens: Array.from({ length: 1 + random(12) }, () => random(width)),
          wanted: random(2) === 0 ? ('all' as const) : ('none' as const),
        }));
      const ours = targets.flatMap(({ sequence, slot }) => {
        const tokens = waiting[sequence].shift();
        return tokens ? [{ sequence, slot, tokens, wanted: 'all' as const }] : [];
      });
      const parts = [...strangers.slice(0, 1), ...ours, ...strangers.slice(1)];
      const result = await loaded.run(batchOf(parts));
      let at = 0;
      for (const part of parts) {
        const count = part.wanted === 'all' ? part.tokens.length * width : 0;
        if (part.sequence) rows[part.sequence].push(...result.subarray(at, at + count));
        at += count;
      }
    }
    checkLogits(rows.s17, loaded.expected.get('s17.logits')!.values);
    compareRows('s100', Float64Array.from(rows.s100));
    await checkState(6, 's17');
    await checkState(7, 's100');
  });
}
