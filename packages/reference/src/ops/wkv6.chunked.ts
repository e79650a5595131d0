import type { Numbers } from '../numbers.js';
import { forEachChunk } from './chunks.js';
import type { Prepare } from './context.js';
import { decayOf } from './wkv6.js';

/**
 * The chunk-parallel form of wkv6: decay-weighted causal products (arXiv:2404.05892, section 4, unrolled over
 * Q tokens). With W(s, t) the product of the decays of the tokens from s to t, both included, empty products being 1:
 *
 *     scores[t, s] = Σ_i r_t k_s W(s+1, t-1) for s < t;   scores[t, t] = Σ_i r_t first k_t
 *     out_t        = (r_t ⊙ W(0, t-1)) S + Σ_{s ≤ t} scores[t, s] v_s
 *     S            ← diag(W(0, Q-1)) S + Σ_s (k_s ⊙ W(s+1, Q-1))ᵀ v_s
 *
 * Dividing prefix products, W(0, t-1) / W(0, s), would turn scores into one matrix product but overflows within tens of
 * tokens. Instead each key is carried forward and multiplied by one decay per token: the ratios themselves, at most 1, so
 * any chunk size is safe for any decay in [0, 1], zero included. Work per head is Q² N + Q N².
 */
export const prepareChunkedWkv6: Prepare<'wkv6'> = (op, context) => {
  const { step, chunkSize } = context;
  const { heads } = op;
  const { width } = op.out;
  const n = width / heads;
  const { numbers: decay, stride } = decayOf(op, context);
  const { values: state, size } = context.state(op.state);
  const head: Head = {
    n,
    width,
    chunkSize,
    stride,
    r: context.value(op.r),
    k: context.value(op.k),
    v: context.value(op.v),
    out: context.value(op.out),
    decay,
    bonus: context.parameter(op.first, width),
    state,
    scores: context.scratch(chunkSize * chunkSize),
    queries: context.scratch(chunkSize * n),
    keys: context.scratch(chunkSize * n),
    total: context.scratch(n),
    line: context.scratch(n),
  };
  return () => {
    forEachChunk(step, chunkSize, ({ slot, first, count }) => {
      for (let h = 0; h < heads; h++) {
        const place: Place = {
          start: first * width + h * n,
          decayStart: first * stride + h * n,
          channel: h * n,
          count,
          matrix: slot * size + h * n * n,
        };
        decayQueries(head, place);
        carryKeys(head, place);
        writeOutputs(head, place);
        handOver(head, place);
      }
    });
  };
};

interface Head {
  readonly n: number;
  readonly width: number;
  readonly chunkSize: number;
  /** From one token's decay to the next; 0 where all tokens share one. */
  readonly stride: number;
  readonly r: Numbers;
  readonly k: Numbers;
  readonly v: Numbers;
  readonly out: Numbers;
  readonly decay: Numbers;
  readonly bonus: Numbers;
  readonly state: Numbers;
  /** [Q, Q]: row t, column s. */
  readonly scores: Float64Array;
  /** [Q, N]: r_t ⊙ W(0, t-1). */
  readonly queries: Float64Array;
  /** [Q, N]: k_s, in the end times W(s+1, Q-1). */
  readonly keys: Float64Array;
  /** [N]: W(0, Q-1). */
  readonly total: Float64Array;
  /** [N]: one row of sums. */
  readonly line: Float64Array;
}

/** Where one head's part of a chunk begins in values, in the decay, among the channels, and in the state. */
interface Place {
  readonly start: number;
  readonly decayStart: number;
  readonly channel: number;
  readonly count: number;
  readonly matrix: number;
}

function decayQueries(head: Head, { start, decayStart, count }: Place): void {
  const { n, width, stride, r, decay, queries, total } = head;
  total.fill(1);
  for (let t = 0; t < count; t++) {
    for (let i = 0; i < n; i++) {
      queries[t * n + i] = r[start + t * width + i]! * total[i]!;
      total[i]! *= decay[decayStart + t * stride + i]!;
    }
  }
}

/** Carries each key to the end of the chunk, meeting every later query before that token's decay. */
function carryKeys(head: Head, { start, decayStart, channel, count }: Place): void {
  const { n, width, chunkSize, stride, r, k, decay, bonus, scores, keys } = head;
  for (let s = 0; s < count; s++) {
    const source = start + s * width;
    let own = 0;
    for (let i = 0; i < n; i++) {
      keys[s * n + i] = k[source + i]!;
      own += r[source + i]! * bonus[channel + i]! * k[source + i]!;
    }
    scores[s * chunkSize + s] = own;
    for (let t = s + 1; t < count; t++) {
      const row = start + t * width;
      const decayRow = decayStart + t * stride;
      let score = 0;
      for (let i = 0; i < n; i++) {
        score += r[row + i]! * keys[s * n + i]!;
        keys[s * n + i]! *= decay[decayRow + i]!;
      }
      scores[t * chunkSize + s] = score;
    }
  }
}

function writeOutputs(head: Head, { start, count, matrix }: Place): void {
  const { n, width, chunkSize, v, out, state, scores, queries, line } = head;
  for (let t = 0; t < count; t++) {
    line.fill(0);
    for (let i = 0; i < n; i++) {
      const query = queries[t * n + i]!;
      for (let j = 0; j < n; j++) line[j]! += query * state[matrix + i * n + j]!;
    }
    for (let s = 0; s <= t; s++) {
      const score = scores[t * chunkSize + s]!;
      const value = start + s * width;
      for (let j = 0; j < n; j++) line[j]! += score * v[value + j]!;
    }
    out.set(line, start + t * width);
  }
}

function handOver(head: Head, { start, count, matrix }: Place): void {
  const { n, width, v, state, keys, total, line } = head;
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) line[j] = total[i]! * state[matrix + i * n + j]!;
    for (let s = 0; s < count; s++) {
      const key = keys[s * n + i]!;
      const value = start + s * width;
      for (let j = 0; j < n; j++) line[j]! += key * v[value + j]!;
    }
    state.set(line, matrix + i * n);
  }
}
