import { type Chunk, forEachChunk } from './chunks.js';
import type { OpContext, Prepare } from './context.js';
import type { Numbers } from '../numbers.js';

/**
 * The chunk-parallel form of wkv7: diagonal plus low rank, the WY form (arXiv:2503.14456, section 4.1, unrolled over Q
 * tokens; the WY form for delta rules is arXiv:2406.06484). Column vectors, S [value, key].
 *
 * With z_t = S_{t-1} a_t each step is S_t = S_{t-1} diag(w_t) + z_t b_tᵀ + v_t k_tᵀ. With W(s, t) the product of the decays
 * of the tokens from s to t, both included, empty products being 1:
 *
 *     z_t = S (W(0, t-1) ⊙ a_t) + Σ_{s < t} z_s ab[t, s] + v_s ak[t, s]
 *     y_t = S (W(0, t) ⊙ r_t)   + Σ_{s ≤ t} z_s rb[t, s] + v_s rk[t, s]
 *     S   ← S diag(W(0, Q-1))   + Σ_s z_s (b_s ⊙ W(s+1, Q-1))ᵀ + v_s (k_s ⊙ W(s+1, Q-1))ᵀ
 *
 * where ab[t, s] = b_s · (W(s+1, t-1) ⊙ a_t), rb[t, s] = b_s · (W(s+1, t) ⊙ r_t), and ak, rk the same with k_s. The first
 * line is a triangular system of Q equations, I - ab, solved by forward substitution.
 *
 * b_s and k_s are carried forward and multiplied by one decay per token, never divided by a prefix product (which leaves
 * float32 after about 140 tokens at the smallest decay, 0.5453, and sooner loses digits): any chunk size is safe for any
 * decay in [0, 1]. Work per head is Q² N + Q N².
 */
export const prepareChunkedWkv7: Prepare<'wkv7'> = (op, context) => {
  const { step, chunkSize } = context;
  const { heads } = op;
  const n = op.out.width / heads;
  const { values: state, size } = context.state(op.state);
  const head: Head = {
    n,
    width: op.out.width,
    chunkSize,
    r: context.value(op.r),
    w: context.value(op.w),
    k: context.value(op.k),
    v: context.value(op.v),
    a: context.value(op.a),
    b: context.value(op.b),
    out: context.value(op.out),
    state,
    ...createScratch(context, n),
  };
  const runChunk = ({ slot, first, count }: Chunk): void => {
    for (let h = 0; h < heads; h++) {
      const start = first * op.out.width + h * n;
      const matrix = slot * size + h * n * n;
      decayQueries(head, { start, count });
      carryForward(head, {
        start,
        count,
        vectors: head.b,
        carried: head.carriedB,
        atA: head.ab,
        atR: head.rb,
      });
      carryForward(head, {
        start,
        count,
        vectors: head.k,
        carried: head.carriedK,
        atA: head.ak,
        atR: head.rk,
      });
      solve(head, { start, count, matrix });
      writeOutputs(head, { start, count, matrix });
      handOver(head, { start, count, matrix });
    }
  };
  return () => {
    forEachChunk(step, chunkSize, runChunk);
  };
};

interface Scratch {
  /** [Q, Q]: row t, column s. */
  readonly ab: Float64Array;
  readonly ak: Float64Array;
  readonly rb: Float64Array;
  readonly rk: Float64Array;
  /** [Q, N]: W(0, t-1) ⊙ a_t and W(0, t) ⊙ r_t. */
  readonly queriesA: Float64Array;
  readonly queriesR: Float64Array;
  /** [Q, N]: b_s and k_s, in the end times W(s+1, Q-1). */
  readonly carriedB: Float64Array;
  readonly carriedK: Float64Array;
  /** [Q, N]: z. */
  readonly z: Float64Array;
  /** [N]: W(0, Q-1). */
  readonly total: Float64Array;
}

interface Head extends Scratch {
  readonly n: number;
  readonly width: number;
  readonly chunkSize: number;
  readonly r: Numbers;
  readonly w: Numbers;
  readonly k: Numbers;
  readonly v: Numbers;
  readonly a: Numbers;
  readonly b: Numbers;
  readonly out: Numbers;
  readonly state: Numbers;
}

/** Where one head's part of a chunk begins in values, its number of tokens, and where its S begins in the state. */
interface Place {
  readonly start: number;
  readonly count: number;
  readonly matrix: number;
}

function createScratch(context: OpContext, n: number): Scratch {
  const { chunkSize } = context;
  const pairs = (): Float64Array => context.scratch(chunkSize * chunkSize);
  const rows = (): Float64Array => context.scratch(chunkSize * n);
  return {
    ab: pairs(),
    ak: pairs(),
    rb: pairs(),
    rk: pairs(),
    queriesA: rows(),
    queriesR: rows(),
    carriedB: rows(),
    carriedK: rows(),
    z: rows(),
    total: context.scratch(n),
  };
}

function decayQueries(head: Head, { start, count }: Omit<Place, 'matrix'>): void {
  const { n, width, a, r, w, queriesA, queriesR, total } = head;
  total.fill(1);
  for (let t = 0; t < count; t++) {
    const row = start + t * width;
    for (let j = 0; j < n; j++) {
      queriesA[t * n + j] = total[j]! * a[row + j]!;
      total[j]! *= w[row + j]!;
      queriesR[t * n + j] = total[j]! * r[row + j]!;
    }
  }
}

/** Carries each of `vectors` to the end of the chunk, meeting every later a_t before and r_t after that token's decay. */
function carryForward(
  { n, width, chunkSize, a, r, w }: Head,
  {
    start,
    count,
    vectors,
    carried,
    atA,
    atR,
  }: Omit<Place, 'matrix'> & {
    vectors: Numbers;
    carried: Float64Array;
    atA: Float64Array;
    atR: Float64Array;
  },
): void {
  for (let s = 0; s < count; s++) {
    const own = start + s * width;
    let met = 0;
    for (let j = 0; j < n; j++) {
      carried[s * n + j] = vectors[own + j]!;
      met += vectors[own + j]! * r[own + j]!;
    }
    atR[s * chunkSize + s] = met;
    for (let t = s + 1; t < count; t++) {
      const row = start + t * width;
      let before = 0;
      let after = 0;
      for (let j = 0; j < n; j++) {
        before += carried[s * n + j]! * a[row + j]!;
        carried[s * n + j]! *= w[row + j]!;
        after += carried[s * n + j]! * r[row + j]!;
      }
      atA[t * chunkSize + s] = before;
      atR[t * chunkSize + s] = after;
    }
  }
}

/** z by forward substitution. */
function solve(head: Head, { start, count, matrix }: Place): void {
  const { n, width, chunkSize, v, state, ab, ak, queriesA, z } = head;
  for (let t = 0; t < count; t++) {
    for (let i = 0; i < n; i++) {
      let sum = 0;
      for (let j = 0; j < n; j++) sum += state[matrix + i * n + j]! * queriesA[t * n + j]!;
      z[t * n + i] = sum;
    }
    for (let s = 0; s < t; s++) {
      const [fromZ, fromV] = [ab[t * chunkSize + s]!, ak[t * chunkSize + s]!];
      const value = start + s * width;
      for (let i = 0; i < n; i++) z[t * n + i]! += fromZ * z[s * n + i]! + fromV * v[value + i]!;
    }
  }
}

function writeOutputs(head: Head, { start, count, matrix }: Place): void {
  const { n, width, chunkSize, v, state, rb, rk, queriesR, z, out } = head;
  for (let t = 0; t < count; t++) {
    for (let i = 0; i < n; i++) {
      let sum = 0;
      for (let j = 0; j < n; j++) sum += state[matrix + i * n + j]! * queriesR[t * n + j]!;
      for (let s = 0; s <= t; s++) {
        const pair = t * chunkSize + s;
        sum += rb[pair]! * z[s * n + i]! + rk[pair]! * v[start + s * width + i]!;
      }
      out[start + t * width + i] = sum;
    }
  }
}

function handOver(head: Head, { start, count, matrix }: Place): void {
  const { n, width, v, state, carriedB, carriedK, z, total } = head;
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) {
      let sum = state[matrix + i * n + j]! * total[j]!;
      for (let s = 0; s < count; s++) {
        sum += z[s * n + i]! * carriedB[s * n + j]!;
        sum += v[start + s * width + i]! * carriedK[s * n + j]!;
      }
      state[matrix + i * n + j] = sum;
    }
  }
}
