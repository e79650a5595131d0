import type { Numbers } from '../numbers.js';
import { type Chunk, forEachChunk } from './chunks.js';
import type { Prepare } from './context.js';

/**
 * The chunk-parallel form of wkv4: an associative scan in log space (arXiv:2305.13048, appendix D, for the recurrence;
 * the scan is the usual one for linear recurrences).
 *
 * A run of tokens is summed up as (p, a, b), its sums scaled by e^{-p} as they stand after its last token. Two
 * neighbouring runs, the right one `span` tokens long, join to
 *
 *     q = max(p_left + span · decay, p_right)
 *     a = e^{p_left + span · decay - q} a_left + e^{p_right - q} a_right,   b likewise,   p = q
 *
 * which is associative, so prefixes of a chunk take log₂ Q passes of independent joins. The state is the run of
 * everything before the chunk. Exponents are never positive: safe for any chunk size and decay.
 */
export const prepareChunkedWkv4: Prepare<'wkv4'> = (op, context) => {
  const { step, chunkSize } = context;
  const { width } = op.out;
  const k = context.value(op.k);
  const v = context.value(op.v);
  const out = context.value(op.out);
  const decay = context.parameter(op.decay);
  const first = context.parameter(op.first);
  const { values: state, size } = context.state(op.state);
  const runs: Runs = { numbers: context.scratch(3 * chunkSize * width), width, decay };
  const past: Runs = { numbers: context.scratch(3 * width), width, decay };
  const carried: Runs = { numbers: context.scratch(3 * width), width, decay };

  const runChunk = ({ slot, first: start, count }: Chunk): void => {
    carried.numbers.set(state.subarray(slot * size, (slot + 1) * size));
    for (let t = 0; t < count; t++) loadToken(runs, { at: t, k, v, row: (start + t) * width });
    scan(runs, count);
    for (let t = 0; t < count; t++) {
      past.numbers.set(carried.numbers);
      if (t > 0) join(past, { left: 0, right: t - 1, span: t, other: runs });
      const row = (start + t) * width;
      for (let c = 0; c < width; c++) {
        const bonus = first[c]! + k[row + c]!;
        const p = past.numbers[2 * width + c]!;
        const q = Math.max(p, bonus);
        const before = Math.exp(p - q);
        const now = Math.exp(bonus - q);
        const a = before * past.numbers[c]! + now * v[row + c]!;
        out[row + c] = a / (before * past.numbers[width + c]! + now);
      }
    }
    join(carried, { left: 0, right: count - 1, span: count, other: runs });
    state.set(carried.numbers, slot * size);
  };
  return () => {
    forEachChunk(step, chunkSize, runChunk);
  };
};

/** Runs of tokens: [_, 3, C], the rows of each being a, b and p as in the state. */
interface Runs {
  readonly numbers: Float64Array;
  readonly width: number;
  readonly decay: Numbers;
}

/** The run of one token: a = v, b = 1, p = k. */
function loadToken(
  { numbers, width }: Runs,
  { at, k, v, row }: { at: number; k: Numbers; v: Numbers; row: number },
): void {
  const base = at * 3 * width;
  for (let c = 0; c < width; c++) {
    numbers[base + c] = v[row + c]!;
    numbers[base + width + c] = 1;
    numbers[base + 2 * width + c] = k[row + c]!;
  }
}

/** Turns runs of one token into prefixes. Descending order keeps each pass reading what the pass before it wrote. */
function scan(runs: Runs, count: number): void {
  for (let span = 1; span < count; span *= 2) {
    for (let t = count - 1; t >= span; t--) {
      join(runs, { left: t - span, right: t, span, other: runs, into: t });
    }
  }
}

/** Joins run `left` of `runs` with run `right` of `other`, `span` tokens long, into `runs[into]` (default `left`). */
function join(
  runs: Runs,
  {
    left,
    right,
    span,
    other,
    into = left,
  }: { left: number; right: number; span: number; other: Runs; into?: number },
): void {
  const { numbers, width, decay } = runs;
  const l = left * 3 * width;
  const r = right * 3 * width;
  const o = into * 3 * width;
  for (let c = 0; c < width; c++) {
    const leftP = numbers[l + 2 * width + c]! + span * decay[c]!;
    const rightP = other.numbers[r + 2 * width + c]!;
    const q = Math.max(leftP, rightP);
    const leftScale = Math.exp(leftP - q);
    const rightScale = Math.exp(rightP - q);
    numbers[o + c] = leftScale * numbers[l + c]! + rightScale * other.numbers[r + c]!;
    numbers[o + width + c] =
      leftScale * numbers[l + width + c]! + rightScale * other.numbers[r + width + c]!;
    numbers[o + 2 * width + c] = q;
  }
}
