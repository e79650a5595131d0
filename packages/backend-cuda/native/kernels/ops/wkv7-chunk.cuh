/**
 * RWKV-7's attention for long sequences: in chunks of Q = 16 tokens, of which all that S does not enter is computed
 * for all chunks at once. Column vectors, S [value, key]; W(s, t) is the product of the decays of tokens s to t, both
 * included. With z_t = S_{t-1} a_t, S being the state before the chunk:
 *
 *     z_t = S (W(0, t-1) ⊙ a_t) + Σ_{s < t} ab[t, s] z_s + ak[t, s] v_s      ab[t, s] = b_s · (W(s+1, t-1) ⊙ a_t)
 *     y_t = S (W(0, t) ⊙ r_t)   + Σ_{s ≤ t} rb[t, s] z_s + rk[t, s] v_s      rb[t, s] = b_s · (W(s+1, t) ⊙ r_t)
 *     S   ← S diag(W(0, Q-1))   + Σ_s z_s (b_s ⊙ W(s+1, Q-1))ᵀ + v_s (k_s ⊙ W(s+1, Q-1))ᵀ     ak, rk: the same with k_s
 *
 * The first line is a triangular system, solved once for the factors of S and once for what remains (z_t = S A_t +
 * Z_t), and then y_t = S R_t + Y_t. b_s and k_s are carried from token to token and multiplied by one decay at a time,
 * nothing is ever divided by a product of decays: any decay in [0, 1] will do.
 *
 * wkv7_chunks: a block owns one head of one segment of a window (wkv-chunks.cuh; blockX counts segments, blockY
 * heads), and leaves A, R, B, K, Z, Y and v of its tokens in scratch, a record per window and head.
 * wkv7_carry: a block owns sixteen rows of S of one head of one sequence (blockX is the sequence, blockY / 4 the head)
 * and goes from chunk to chunk, a team of sixteen lanes owning two rows, a lane four columns of them; it writes y to
 * out.
 * wkv7_finish: a warp owns one token of one head: norm, bonus and gate. Only where there is a norm.
 *
 * Cost, estimated by counting instructions, in cycles of a multiprocessor per token and head of 64: wkv7_carry takes
 * some 1,100 a chunk, so 65 a token with four multiprocessors a head, and wkv7_chunks 5,000 multiplications a token,
 * so 40, but all chunks side by side; the kernel that walks from token to token takes some 230 on one. Besides there
 * are two more launches, 4 µs, and 29 bytes a channel and token that are written and read back. On 132 multiprocessors
 * this wins from 64 tokens on with up to 48 heads in all sequences together; beyond, multiplications and memory are
 * the limit either way, and there are fewer of both the other way.
 * Limits: heads of 64; `longest` at least 16; scratch of [windows, heads, kWkv7Record] numbers, at a multiple of 16
 * bytes.
 */
#pragma once

#include "kernels/ops/wkv-chunks.cuh"
#include "kernels/ops/wkv7-tokens.cuh"
#include "kernels/quads.cuh"
#include "kernels/sequences.cuh"

namespace rwkv {

constexpr uint32_t kWkv7Size = 64;
constexpr uint32_t kWkv7Rows16 = kChunk * kWkv7Size;

/** What a record holds of each token: rows [kChunk, N], at the token's place in its window. */
enum Wkv7Part : uint32_t { kPartA = 0, kPartR, kPartB, kPartK, kPartZ, kPartY, kPartV, kWkv7Parts };
/** Then W(0, Q-1) of both segments [2, N], and r · (k ⊙ by) of each token. */
constexpr uint32_t kWkv7Totals = kWkv7Parts * kWkv7Rows16;
constexpr uint32_t kWkv7Own = kWkv7Totals + 2 * kWkv7Size;
constexpr uint32_t kWkv7Record = kWkv7Own + kChunk;

DEVICE float* wkv7Record(const Wkv7Arguments& arguments, uint32_t window, uint32_t heads, uint32_t head) {
  return arguments.scratch + (static_cast<size_t>(window) * heads + head) * kWkv7Record;
}

/** The inputs of a segment in shared memory, zeros (and decays of 1) after its end; then the four products of pairs. */
struct Wkv7ChunkRoom {
  enum Row : uint32_t { kA = 0, kW, kB, kK, kR, kV, kRows };
  enum Pair : uint32_t { kAB = 0, kAK, kRB, kRK, kPairs };
  static constexpr uint32_t kNumbers = kRows * kWkv7Rows16 + kPairs * kChunk * kChunk;
  float* at;

  DEVICE float* row(uint32_t kind, uint32_t q) const { return at + (kind * kChunk + q) * kWkv7Size; }
  /** Of token s with each later token: [kChunk]. */
  DEVICE float* pairs(uint32_t kind, uint32_t s) const {
    return at + kRows * kWkv7Rows16 + (kind * kChunk + s) * kChunk;
  }
};

/** Token q of the segment, by one warp. */
DEVICE void wkv7ChunkStage(const Wkv7Arguments& arguments, const ChunkSegment& segment, uint32_t q,
                           const Wkv7ChunkRoom& room, float* own) {
  const uint32_t start = blockY() * kWkv7Size;
  Wkv7Inputs<2> inputs = {};
  const bool exists = q < segment.count;
  if (exists) {
    inputs = wkv7Inputs<2>(arguments, segment.first + q, start, kWkv7Size);
    if (arguments.removal) wkv7Prepare(inputs, arguments, start, kWkv7Size);
  }
  float sum = 0;
  UNROLL
  for (uint32_t i = 0; i < 2; i++) {
    const uint32_t n = laneIndex() + kWarp * i;
    room.row(Wkv7ChunkRoom::kA, q)[n] = inputs.a[i];
    room.row(Wkv7ChunkRoom::kW, q)[n] = exists ? inputs.w[i] : 1.0f;
    room.row(Wkv7ChunkRoom::kB, q)[n] = inputs.b[i];
    room.row(Wkv7ChunkRoom::kK, q)[n] = inputs.k[i];
    room.row(Wkv7ChunkRoom::kR, q)[n] = inputs.r[i];
    room.row(Wkv7ChunkRoom::kV, q)[n] = inputs.v[i];
    if (arguments.weight) sum = fused(inputs.r[i] * inputs.k[i], arguments.by.at[start + n], sum);
  }
  sum = warpSum(sum);
  if (exists && laneIndex() == 0) own[q] = sum;
}

/** b or k of a token, times the decays met so far: four columns. */
DEVICE void decayQuad(Quad& carried, const Quad& w) {
  UNROLL
  for (uint32_t n = 0; n < 4; n++) carried.n[n] *= w.n[n];
}

/**
 * A warp carries b and k of two tokens s, a quad a lane, past all later tokens t; what is left of them goes to the
 * record.
 */
DEVICE void wkv7ChunkPairs(const Wkv7ChunkRoom& room, uint32_t count, float* record) {
  const uint32_t lane = laneIndex() & 15, s = 2 * warpIndex() + laneIndex() / 16, column = 4 * lane;
  Quad b = quadAt(room.row(Wkv7ChunkRoom::kB, s) + column), k = quadAt(room.row(Wkv7ChunkRoom::kK, s) + column);
  for (uint32_t four = s / 4 * 4; four < kChunk; four += 4) {
    float met[16];
    UNROLL
    for (uint32_t i = 0; i < 4; i++) {
      const uint32_t t = four + i;
      const Quad a = quadAt(room.row(Wkv7ChunkRoom::kA, t) + column);
      const Quad r = quadAt(room.row(Wkv7ChunkRoom::kR, t) + column);
      met[4 * i] = t > s ? dotQuads(b, a, 0) : 0.0f;
      met[4 * i + 1] = t > s ? dotQuads(k, a, 0) : 0.0f;
      if (t > s) {
        const Quad w = quadAt(room.row(Wkv7ChunkRoom::kW, t) + column);
        decayQuad(b, w);
        decayQuad(k, w);
      }
      met[4 * i + 2] = t >= s ? dotQuads(b, r, 0) : 0.0f;
      met[4 * i + 3] = t >= s ? dotQuads(k, r, 0) : 0.0f;
    }
    const float sum = teamSumOf16(met);
    room.pairs(lane & 3, s)[four + lane / 4] = sum;
  }
  if (s >= count) return;
  writeQuad(record + kPartB * kWkv7Rows16 + s * kWkv7Size + column, b);
  writeQuad(record + kPartK * kWkv7Rows16 + s * kWkv7Size + column, k);
}

/**
 * One column of the triangular system and of what y takes from its solution: x[t] and y[t] come in as the factors of S
 * (or as zeros with v), and go out as A and R (or Z and Y).
 */
template <bool kHasValue>
DEVICE void wkv7ChunkSolve(const Wkv7ChunkRoom& room, uint32_t column, float (&x)[kChunk], float (&y)[kChunk]) {
  UNROLL
  for (uint32_t s = 0; s < kChunk; s++) {
    const float v = kHasValue ? room.row(Wkv7ChunkRoom::kV, s)[column] : 0.0f;
    UNROLL
    for (uint32_t four = s / 4 * 4; four < kChunk; four += 4) {
      const Quad ab = quadAt(room.pairs(Wkv7ChunkRoom::kAB, s) + four);
      const Quad rb = quadAt(room.pairs(Wkv7ChunkRoom::kRB, s) + four);
      UNROLL
      for (uint32_t i = 0; i < 4; i++) {
        if (four + i > s) x[four + i] = fused(ab.n[i], x[s], x[four + i]);
        if (four + i >= s) y[four + i] = fused(rb.n[i], x[s], y[four + i]);
      }
      if (!kHasValue) continue;
      const Quad ak = quadAt(room.pairs(Wkv7ChunkRoom::kAK, s) + four);
      const Quad rk = quadAt(room.pairs(Wkv7ChunkRoom::kRK, s) + four);
      UNROLL
      for (uint32_t i = 0; i < 4; i++) {
        if (four + i > s) x[four + i] = fused(ak.n[i], v, x[four + i]);
        if (four + i >= s) y[four + i] = fused(rk.n[i], v, y[four + i]);
      }
    }
  }
}

/** Writes a column of two parts of the record. */
DEVICE void wkv7ChunkWrite(float* record, uint32_t part, uint32_t column, uint32_t count, const float (&x)[kChunk],
                           const float (&y)[kChunk]) {
  float* at = record + part * kWkv7Rows16 + column;
  UNROLL
  for (uint32_t t = 0; t < kChunk; t++) {
    if (t >= count) break;
    at[t * kWkv7Size] = x[t];
    at[kWkv7Rows16 + t * kWkv7Size] = y[t];
  }
}

/** Columns of S's factors by the first two warps, of the values by the next two. */
DEVICE void wkv7ChunkColumns(const Wkv7ChunkRoom& room, uint32_t count, float* record, float* total) {
  const uint32_t column = threadIndex() % kWkv7Size;
  float x[kChunk], y[kChunk];
  if (threadIndex() < kWkv7Size) {
    float met = 1;
    UNROLL
    for (uint32_t t = 0; t < kChunk; t++) {
      x[t] = met * room.row(Wkv7ChunkRoom::kA, t)[column];
      met *= room.row(Wkv7ChunkRoom::kW, t)[column];
      y[t] = met * room.row(Wkv7ChunkRoom::kR, t)[column];
    }
    total[column] = met;
    wkv7ChunkSolve<false>(room, column, x, y);
    wkv7ChunkWrite(record, kPartA, column, count, x, y);
  } else if (threadIndex() < 2 * kWkv7Size) {
    UNROLL
    for (uint32_t t = 0; t < kChunk; t++) x[t] = y[t] = 0;
    wkv7ChunkSolve<true>(room, column, x, y);
    wkv7ChunkWrite(record, kPartZ, column, count, x, y);
  } else if (threadIndex() < 3 * kWkv7Size) {
    float* at = record + kPartV * kWkv7Rows16 + column;
    for (uint32_t t = 0; t < count; t++) at[t * kWkv7Size] = room.row(Wkv7ChunkRoom::kV, t)[column];
  }
}

KERNEL_BOUNDED(wkv7_chunks, Wkv7Arguments, 256, 2) {
  SHARED Words4 numbers[Wkv7ChunkRoom::kNumbers / 4];
  const uint32_t window = blockX() / 2, second = blockX() % 2;
  const ChunkSegment segment = chunkSegment(step, window, second, arguments.longest);
  if (segment.count == 0) return;
  const Wkv7ChunkRoom room{reinterpret_cast<float*>(numbers)};
  float* whole = wkv7Record(arguments, window, blocksY(), blockY());
  const uint32_t place = segment.first % kChunk;
  float* record = whole + place * kWkv7Size;
  for (uint32_t q = warpIndex(); q < kChunk; q += threadCount() / kWarp) {
    wkv7ChunkStage(arguments, segment, q, room, whole + kWkv7Own + place);
  }
  blockBarrier();
  wkv7ChunkPairs(room, segment.count, record);
  blockBarrier();
  wkv7ChunkColumns(room, segment.count, record, whole + kWkv7Totals + second * kWkv7Size);
}

/** Rows of S that a block of wkv7_carry has, and how many blocks a head. */
constexpr uint32_t kCarryRows = 16;
constexpr uint32_t kCarryBlocks = kWkv7Size / kCarryRows;

/** Where the segment of a sequence in a window lies. */
struct Wkv7Chunk {
  const float* record;
  const float* total;
  uint32_t place, count;
};

DEVICE Wkv7Chunk wkv7Chunk(const Wkv7Arguments& arguments, uint32_t window, uint32_t first, uint32_t end) {
  const uint32_t begin = window * kChunk < first ? first : window * kChunk;
  const uint32_t limit = (window + 1) * kChunk < end ? (window + 1) * kChunk : end;
  const uint32_t heads = blocksY() / kCarryBlocks, head = blockY() / kCarryBlocks;
  const float* record = wkv7Record(arguments, window, heads, head);
  const bool second = begin > window * kChunk;
  return {record, record + kWkv7Totals + (second ? kWkv7Size : 0), begin - window * kChunk, limit - begin};
}

/**
 * A chunk as wkv7_carry reads it: rows of A, R, B and K; of the block's rows of S, Z and Y [kChunk, kCarryRows]; and
 * for two rows of S at a time z and v [kChunk, kCarryRows / 2, 4]. Tokens beyond the segment are zeros.
 */
struct Wkv7CarryRoom {
  static constexpr uint32_t kRests = 4 * kWkv7Rows16, kPairs = kRests + 2 * kChunk * kCarryRows;
  static constexpr uint32_t kNumbers = kPairs + 2 * kChunk * kCarryRows;
  float* at;

  DEVICE float* row(uint32_t part, uint32_t t) const { return at + (part * kChunk + t) * kWkv7Size; }
  DEVICE float& rest(uint32_t part, uint32_t t, uint32_t row) const {
    return at[kRests + ((part - kPartZ) * kChunk + t) * kCarryRows + row];
  }
  /** z of rows 2 pair and 2 pair + 1, then v of them. */
  DEVICE float* pair(uint32_t t, uint32_t pair) const { return at + kPairs + (t * kCarryRows / 2 + pair) * 4; }
};

/** On its way from a record to a room: quads of this thread. */
struct Wkv7Fetched {
  static constexpr uint32_t kThreads = 128;
  Quad rows[8], rests[2], total;
};

DEVICE Wkv7Fetched wkv7Fetch(const Wkv7Chunk& chunk, uint32_t firstRow, uint32_t column) {
  const Quad none = {{0, 0, 0, 0}};
  Wkv7Fetched fetched;
  UNROLL
  for (uint32_t i = 0; i < 8; i++) {
    const uint32_t quad = threadIndex() + i % 2 * Wkv7Fetched::kThreads, t = quad / 16;
    const float* part = chunk.record + i / 2 * kWkv7Rows16 + (chunk.place + t) * kWkv7Size;
    fetched.rows[i] = t < chunk.count ? quadAt(part + quad % 16 * 4) : none;
  }
  UNROLL
  for (uint32_t i = 0; i < 2; i++) {
    // Z by the first 64 threads, Y by the others, then v by the first.
    const uint32_t quad = threadIndex() % 64, t = quad / 4, part = kPartZ + 2 * i + threadIndex() / 64;
    const float* from = chunk.record + part * kWkv7Rows16 + (chunk.place + t) * kWkv7Size + firstRow;
    fetched.rests[i] = t < chunk.count && part <= kPartV ? quadAt(from + quad % 4 * 4) : none;
  }
  fetched.total = quadAt(chunk.total + column);
  return fetched;
}

DEVICE void wkv7Unload(const Wkv7Fetched& fetched, const Wkv7CarryRoom& room) {
  UNROLL
  for (uint32_t i = 0; i < 8; i++) {
    const uint32_t quad = threadIndex() + i % 2 * Wkv7Fetched::kThreads;
    writeQuad(room.row(i / 2, quad / 16) + quad % 16 * 4, fetched.rows[i]);
  }
  const uint32_t t = threadIndex() % 64 / 4, quad = threadIndex() % 4;
  writeQuad(&room.rest(kPartZ + threadIndex() / 64, t, 4 * quad), fetched.rests[0]);
  if (threadIndex() >= 64) return;
  UNROLL
  for (uint32_t i = 0; i < 4; i++) room.pair(t, 2 * quad + i / 2)[2 + i % 2] = fetched.rests[1].n[i];
}

/** Two rows of S through a chunk: `pair` counts them within the block. y goes to `out`, which is the first token's. */
DEVICE void wkv7Carry(Quad (&s)[2], const Wkv7CarryRoom& room, uint32_t pair, uint32_t count, const Quad& total,
                      const Rows& out) {
  const uint32_t lane = laneIndex() & 15, column = 4 * lane;
  UNROLL
  for (uint32_t four = 0; four < kChunk; four += 4) {
    float sums[16];
    UNROLL
    for (uint32_t i = 0; i < 4; i++) {
      const Quad a = quadAt(room.row(kPartA, four + i) + column), r = quadAt(room.row(kPartR, four + i) + column);
      UNROLL
      for (uint32_t row = 0; row < 2; row++) {
        sums[4 * i + row] = dotQuads(s[row], a, 0);
        sums[4 * i + 2 + row] = dotQuads(s[row], r, 0);
      }
    }
    const float sum = teamSumOf16(sums);
    const uint32_t t = four + lane / 4, row = lane & 1;
    if (lane & 2) {
      if (t < count) out.row(t)[2 * pair + row] = sum + room.rest(kPartY, t, 2 * pair + row);
    } else {
      room.pair(t, pair)[row] = sum + room.rest(kPartZ, t, 2 * pair + row);
    }
  }
  warpBarrier();
  decayQuad(s[0], total);
  decayQuad(s[1], total);
  UNROLL
  for (uint32_t t = 0; t < kChunk; t++) {
    const Quad b = quadAt(room.row(kPartB, t) + column), k = quadAt(room.row(kPartK, t) + column);
    const Quad own = quadAt(room.pair(t, pair));
    UNROLL
    for (uint32_t row = 0; row < 2; row++) {
      UNROLL
      for (uint32_t n = 0; n < 4; n++) {
        s[row].n[n] = fused(own.n[row], b.n[n], fused(own.n[2 + row], k.n[n], s[row].n[n]));
      }
    }
  }
}

KERNEL_BOUNDED(wkv7_carry, Wkv7Arguments, 128, 4) {
  SHARED Words4 numbers[2 * Wkv7CarryRoom::kNumbers / 4];
  const uint32_t head = blockY() / kCarryBlocks, firstRow = blockY() % kCarryBlocks * kCarryRows;
  const SequenceTokens sequence = sequenceTokens(step, blockX());
  if (sequence.count == 0 || sequence.count <= arguments.longest) return;
  const uint32_t first = sequence.first, end = first + sequence.count;
  const uint32_t pair = threadIndex() / 16, column = 4 * (threadIndex() % 16);
  const size_t place = static_cast<size_t>(sequence.slot) * (blocksY() / kCarryBlocks) + head;
  float* state = arguments.state + (place * kWkv7Size + firstRow + 2 * pair) * kWkv7Size + column;
  Quad s[2] = {quadAt(state), quadAt(state + kWkv7Size)};
  const uint32_t windows = (end + kChunk - 1) / kChunk;
  Wkv7Chunk chunk = wkv7Chunk(arguments, first / kChunk, first, end);
  Wkv7Fetched fetched = wkv7Fetch(chunk, firstRow, column);
  wkv7Unload(fetched, {reinterpret_cast<float*>(numbers)});
  blockBarrier();
  for (uint32_t window = first / kChunk; window < windows; window++) {
    const uint32_t which = (window - first / kChunk) % 2, count = chunk.count;
    const Wkv7CarryRoom room{reinterpret_cast<float*>(numbers) + which * Wkv7CarryRoom::kNumbers};
    const Wkv7CarryRoom next{reinterpret_cast<float*>(numbers) + (1 - which) * Wkv7CarryRoom::kNumbers};
    const Rows& out = arguments.out;
    const Rows own = {out.row(window * kChunk + chunk.place) + head * kWkv7Size + firstRow, out.stride, 0};
    const Quad total = fetched.total;
    // The next chunk is on its way while this one is computed.
    const bool goesOn = window + 1 < windows;
    if (goesOn) {
      chunk = wkv7Chunk(arguments, window + 1, first, end);
      fetched = wkv7Fetch(chunk, firstRow, column);
    }
    wkv7Carry(s, room, pair, count, total, own);
    if (goesOn) wkv7Unload(fetched, next);
    blockBarrier();
  }
  writeQuad(state, s[0]);
  writeQuad(state + kWkv7Size, s[1]);
}

KERNEL_BOUNDED(wkv7_finish, Wkv7Arguments, 256, 4) {
  const uint32_t t = blockX() * (threadCount() / kWarp) + warpIndex(), start = blockY() * kWkv7Size;
  if (t >= step->counts[kTokens]) return;
  const uint32_t sequence = sequenceOf(step, t);
  if (step->start(sequence + 1) - step->start(sequence) <= arguments.longest) return;
  const float* record = wkv7Record(arguments, t / kChunk, blocksY(), blockY());
  const float own = record[kWkv7Own + t % kChunk];
  const float* values = record + kPartV * kWkv7Rows16 + t % kChunk * kWkv7Size;
  float* out = arguments.out.row(t) + start;
  const float* gate = arguments.gate.row(t) + start;
  float y[2], squares = 0;
  UNROLL
  for (uint32_t i = 0; i < 2; i++) y[i] = out[laneIndex() + kWarp * i];
  const float mean = warpSum(y[0] + y[1]) / kWkv7Size;
  UNROLL
  for (uint32_t i = 0; i < 2; i++) squares = fused(y[i] - mean, y[i] - mean, squares);
  const float scale = 1.0f / squareRoot(warpSum(squares) / kWkv7Size + arguments.eps);
  UNROLL
  for (uint32_t i = 0; i < 2; i++) {
    const uint32_t n = laneIndex() + kWarp * i;
    const float normed = fused((y[i] - mean) * scale, arguments.weight.at[start + n], arguments.bias.at[start + n]);
    out[n] = fused(own, values[n], normed) * gate[n];
  }
}

}  // namespace rwkv
