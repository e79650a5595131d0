import { type Chunk, forEachChunk } from './chunks.js';
import { perChannel, type Prepare } from './context.js';
import { decayOf } from './wkv6.js';

/**
 * The chunk-parallel form of wkv6: decay-weighted causal products (arXiv:2404.05892, equations 12 to 19, unrolled over
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
  const r = context.value(op.r);
  const k = context.value(op.k);
  const v = context.value(op.v);
  const out = context.value(op.out);
  const { numbers: decay, stride } = decayOf(op, context);
  const bonus = perChannel(op.first, { heads, channels: width }, context);
  const { values: state, size } = context.state(op.state);
  const scores = context.scratch(chunkSize * chunkSize);
  const queries = context.scratch(chunkSize * n);
  const keys = context.scratch(chunkSize * n);
  const total = context.scratch(n);
  const line = context.scratch(n);

  /** r_t ⊙ W(0, t-1) to `queries`, W(0, Q-1) to `total`. */
  const decayQueries = ({ first, count }: Chunk, h: number): void => {
    total.fill(1);
    for (let t = 0; t < count; t++) {
      const row = (first + t) * width + h * n;
      const decayRow = (first + t) * stride + h * n;
      for (let i = 0; i < n; i++) {
        queries[t * n + i] = r[row + i]! * total[i]!;
        total[i]! *= decay[decayRow + i]!;
      }
    }
  };
  /** The scores of every pair, and k_s ⊙ W(s+1, Q-1) to `keys`. */
  const carryKeys = ({ first, count }: Chunk, h: number): void => {
    for (let s = 0; s < count; s++) {
      const source = (first + s) * width + h * n;
      let own = 0;
      for (let i = 0; i < n; i++) {
        keys[s * n + i] = k[source + i]!;
        own += r[source + i]! * bonus[h * n + i]! * k[source + i]!;
      }
      scores[s * chunkSize + s] = own;
      for (let t = s + 1; t < count; t++) {
        const row = (first + t) * width + h * n;
        const decayRow = (first + t) * stride + h * n;
        let score = 0;
        for (let i = 0; i < n; i++) {
          score += r[row + i]! * keys[s * n + i]!;
          keys[s * n + i]! *= decay[decayRow + i]!;
        }
        scores[t * chunkSize + s] = score;
      }
    }
  };
  const writeOutputs = ({ slot, first, count }: Chunk, h: number): void => {
    const matrix = slot * size + h * n * n;
    for (let t = 0; t < count; t++) {
      line.fill(0);
      for (let i = 0; i < n; i++) {
        const query = queries[t * n + i]!;
        for (let j = 0; j < n; j++) line[j]! += query * state[matrix + i * n + j]!;
      }
      for (let s = 0; s <= t; s++) {
        const score = scores[t * chunkSize + s]!;
        const value = (first + s) * width + h * n;
        for (let j = 0; j < n; j++) line[j]! += score * v[value + j]!;
      }
      out.set(line, (first + t) * width + h * n);
    }
  };
  const handOver = ({ slot, first, count }: Chunk, h: number): void => {
    const matrix = slot * size + h * n * n;
    for (let i = 0; i < n; i++) {
      for (let j = 0; j < n; j++) line[j] = total[i]! * state[matrix + i * n + j]!;
      for (let s = 0; s < count; s++) {
        const key = keys[s * n + i]!;
        const value = (first + s) * width + h * n;
        for (let j = 0; j < n; j++) line[j]! += key * v[value + j]!;
      }
      state.set(line, matrix + i * n);
    }
  };
  const runChunk = (chunk: Chunk): void => {
    for (let h = 0; h < heads; h++) {
      decayQueries(chunk, h);
      carryKeys(chunk, h);
      writeOutputs(chunk, h);
      handOver(chunk, h);
    }
  };
  return () => {
    forEachChunk(step, chunkSize, runChunk);
  };
};
