/**
 * RWKV-5's and RWKV-6's attention for long sequences: in chunks of Q = 16 tokens, of which all that S does not enter
 * is computed for all chunks at once. S [key, value], rows are vectors over the key; W(s, t) is the product of the
 * decays of tokens s to t, both included; S is the state before the chunk:
 *
 *     y_t = (r_t ⊙ W(0, t-1)) S + Σ_{s ≤ t} scores[t, s] v_s
 *     scores[t, s] = r_t · (W(s+1, t-1) ⊙ k_s) for s < t;   scores[t, t] = r_t · (first ⊙ k_t)
 *     S ← diag(W(0, Q-1)) S + Σ_s (W(s+1, Q-1) ⊙ k_s)ᵀ v_s
 *
 * k_s is carried from token to token and multiplied by one decay at a time, nothing is ever divided by a product of
 * decays: any decay in [0, 1] will do.
 *
 * wkv6_chunks: a block owns one head of one segment of a window (wkv-chunks.cuh; blockX counts segments, blockY
 * heads), and leaves R = r ⊙ W, K = W ⊙ k and the sum Y of its tokens in scratch, a record per window and head.
 * wkv6_carry: a block owns sixteen columns (values) of S of one head of one sequence (blockX is the sequence, blockY /
 * 4 the head) and goes from chunk to chunk, a team of sixteen lanes owning two columns, a lane four rows of them; it
 * writes y to out.
 * wkv6_finish: a warp owns one token of one head: norm and gate. Only where there is a norm or a gate.
 *
 * Cost, estimated by counting instructions, in cycles of a multiprocessor per token and head of 64: wkv6_carry takes
 * some 600 a chunk, so 40 a token with four multiprocessors a head; the kernel that walks from token to token takes
 * some 120 on one. Besides there are two more launches, 4 µs, and 13 bytes a channel and token that are written and
 * read back. On 132 multiprocessors this wins from 96 tokens on with up to 48 heads in all sequences together.
 * Limits: heads of 64; `longest` at least 16; scratch of [windows, heads, kWkv6Record] numbers, at a multiple of 16
 * bytes.
 */
#pragma once

#include "kernels/ops/wkv-chunks.cuh"
#include "kernels/ops/wkv6-tokens.cuh"
#include "kernels/quads.cuh"
#include "kernels/sequences.cuh"

namespace rwkv {

constexpr uint32_t kWkv6Size = 64;
constexpr uint32_t kWkv6Rows16 = kChunk * kWkv6Size;

/**
 * What a record holds of each token: rows [kChunk, N], at the token's place in its window. Then W(0, Q-1) of both
 * segments.
 */
enum Wkv6Part : uint32_t { kPart6R = 0, kPart6K, kPart6Y, kWkv6Parts };
constexpr uint32_t kWkv6Totals = kWkv6Parts * kWkv6Rows16;
constexpr uint32_t kWkv6Record = kWkv6Totals + 2 * kWkv6Size;

DEVICE float* wkv6Record(const Wkv6Arguments& arguments, uint32_t window, uint32_t heads, uint32_t head) {
  return arguments.scratch + (static_cast<size_t>(window) * heads + head) * kWkv6Record;
}

/**
 * The inputs of a segment in shared memory, zeros (and decays of 1) after its end; then scores, and r · (first ⊙ k).
 */
struct Wkv6ChunkRoom {
  enum Row : uint32_t { kR = 0, kK, kDecay, kV, kRows };
  static constexpr uint32_t kOwn = kRows * kWkv6Rows16 + kChunk * kChunk, kNumbers = kOwn + kChunk;
  float* at;

  DEVICE float* row(uint32_t kind, uint32_t q) const { return at + (kind * kChunk + q) * kWkv6Size; }
  /** Of token s with itself and each later token: [kChunk]. */
  DEVICE float* scores(uint32_t s) const { return at + kRows * kWkv6Rows16 + s * kChunk; }
  DEVICE float& own(uint32_t q) const { return at[kOwn + q]; }
};

/** Token q of the segment, by one warp. */
DEVICE void wkv6ChunkStage(const Wkv6Arguments& arguments, const ChunkSegment& segment, uint32_t q,
                           const Wkv6ChunkRoom& room) {
  const uint32_t start = blockY() * kWkv6Size;
  Wkv6Inputs<2> inputs = {};
  const bool exists = q < segment.count;
  if (exists) inputs = wkv6Inputs<2>(arguments, segment.first + q, start, kWkv6Size);
  float own = 0;
  UNROLL
  for (uint32_t i = 0; i < 2; i++) {
    const uint32_t n = laneIndex() + kWarp * i;
    room.row(Wkv6ChunkRoom::kR, q)[n] = inputs.r[i];
    room.row(Wkv6ChunkRoom::kK, q)[n] = inputs.k[i];
    room.row(Wkv6ChunkRoom::kDecay, q)[n] = exists ? inputs.decay[i] : 1.0f;
    room.row(Wkv6ChunkRoom::kV, q)[n] = inputs.v[i];
    own = fused(inputs.r[i] * inputs.k[i], arguments.first.at[start + n], own);
  }
  own = warpSum(own);
  if (laneIndex() == 0) room.own(q) = own;
}

/** A warp carries k of two tokens s, a quad a lane, past all later tokens t; what is left of it goes to the record. */
DEVICE void wkv6ChunkScores(const Wkv6ChunkRoom& room, uint32_t count, float* record) {
  const uint32_t lane = laneIndex() & 15, s = 2 * warpIndex() + laneIndex() / 16, column = 4 * lane;
  Quad k = quadAt(room.row(Wkv6ChunkRoom::kK, s) + column);
  float met[kChunk];
  UNROLL
  for (uint32_t t = 0; t < kChunk; t++) {
    met[t] = 0;
    if (t <= s) continue;
    met[t] = dotQuads(k, quadAt(room.row(Wkv6ChunkRoom::kR, t) + column), 0);
    const Quad decay = quadAt(room.row(Wkv6ChunkRoom::kDecay, t) + column);
    UNROLL
    for (uint32_t n = 0; n < 4; n++) k.n[n] *= decay.n[n];
  }
  const float sum = teamSumOf16(met);
  room.scores(s)[lane] = lane == s ? room.own(s) : sum;
  if (s < count) writeQuad(record + kPart6K * kWkv6Rows16 + s * kWkv6Size + column, k);
}

/** Columns of R by the first two warps, of Y by the next two. */
DEVICE void wkv6ChunkColumns(const Wkv6ChunkRoom& room, uint32_t count, float* record, float* total) {
  const uint32_t column = threadIndex() % kWkv6Size;
  if (threadIndex() < kWkv6Size) {
    float* out = record + kPart6R * kWkv6Rows16 + column;
    float met = 1;
    for (uint32_t t = 0; t < count; t++) {
      out[t * kWkv6Size] = met * room.row(Wkv6ChunkRoom::kR, t)[column];
      met *= room.row(Wkv6ChunkRoom::kDecay, t)[column];
    }
    total[column] = met;
    return;
  }
  if (threadIndex() >= 2 * kWkv6Size) return;
  float y[kChunk];
  UNROLL
  for (uint32_t t = 0; t < kChunk; t++) y[t] = 0;
  UNROLL
  for (uint32_t s = 0; s < kChunk; s++) {
    const float v = room.row(Wkv6ChunkRoom::kV, s)[column];
    UNROLL
    for (uint32_t four = s / 4 * 4; four < kChunk; four += 4) {
      const Quad scores = quadAt(room.scores(s) + four);
      UNROLL
      for (uint32_t i = 0; i < 4; i++) {
        if (four + i >= s) y[four + i] = fused(scores.n[i], v, y[four + i]);
      }
    }
  }
  float* out = record + kPart6Y * kWkv6Rows16 + column;
  UNROLL
  for (uint32_t t = 0; t < kChunk; t++) {
    if (t < count) out[t * kWkv6Size] = y[t];
  }
}

KERNEL_BOUNDED(wkv6_chunks, Wkv6Arguments, 256, 3) {
  SHARED Words4 numbers[Wkv6ChunkRoom::kNumbers / 4];
  const uint32_t window = blockX() / 2, second = blockX() % 2;
  const ChunkSegment segment = chunkSegment(step, window, second, arguments.longest);
  if (segment.count == 0) return;
  const Wkv6ChunkRoom room{reinterpret_cast<float*>(numbers)};
  float* whole = wkv6Record(arguments, window, blocksY(), blockY());
  float* record = whole + segment.first % kChunk * kWkv6Size;
  for (uint32_t q = warpIndex(); q < kChunk; q += threadCount() / kWarp) wkv6ChunkStage(arguments, segment, q, room);
  blockBarrier();
  wkv6ChunkScores(room, segment.count, record);
  blockBarrier();
  wkv6ChunkColumns(room, segment.count, record, whole + kWkv6Totals + second * kWkv6Size);
}

/** Columns of S that a block of wkv6_carry has, and how many blocks a head. */
constexpr uint32_t kCarry6Columns = 16;
constexpr uint32_t kCarry6Blocks = kWkv6Size / kCarry6Columns;

/** Where the segment of a sequence in a window lies, and this block's columns of its values. */
struct Wkv6Chunk {
  const float* record;
  const float* total;
  uint32_t first, place, count;
};

DEVICE Wkv6Chunk wkv6Chunk(const Wkv6Arguments& arguments, uint32_t window, uint32_t first, uint32_t end) {
  const uint32_t begin = window * kChunk < first ? first : window * kChunk;
  const uint32_t limit = (window + 1) * kChunk < end ? (window + 1) * kChunk : end;
  const float* record = wkv6Record(arguments, window, blocksY() / kCarry6Blocks, blockY() / kCarry6Blocks);
  const bool second = begin > window * kChunk;
  return {record, record + kWkv6Totals + (second ? kWkv6Size : 0), begin, begin - window * kChunk, limit - begin};
}

/**
 * A chunk as wkv6_carry reads it: rows of R and K; of the block's columns Y and v. Tokens beyond the segment are
 * zeros.
 */
struct Wkv6CarryRoom {
  static constexpr uint32_t kRests = 2 * kWkv6Rows16, kValues = kRests + kChunk * kCarry6Columns;
  static constexpr uint32_t kNumbers = kValues + kChunk * kCarry6Columns;
  float* at;

  DEVICE float* row(uint32_t part, uint32_t t) const { return at + (part * kChunk + t) * kWkv6Size; }
  DEVICE float* rest(uint32_t t) const { return at + kRests + t * kCarry6Columns; }
  DEVICE float* value(uint32_t t) const { return at + kValues + t * kCarry6Columns; }
};

/** On its way from a record and from v to a room: what this thread brings. */
struct Wkv6Fetched {
  static constexpr uint32_t kThreads = 128;
  Quad rows[4], rest, total;
  float values[2];
};

/** `channel` is the first of the block's columns in rows of v, `row` the first of this thread's rows of S. */
DEVICE Wkv6Fetched wkv6Fetch(const Wkv6Arguments& arguments, const Wkv6Chunk& chunk, uint32_t channel, uint32_t row) {
  const Quad none = {{0, 0, 0, 0}};
  Wkv6Fetched fetched;
  UNROLL
  for (uint32_t i = 0; i < 4; i++) {
    const uint32_t quad = threadIndex() + i % 2 * Wkv6Fetched::kThreads, t = quad / 16;
    const float* part = chunk.record + i / 2 * kWkv6Rows16 + (chunk.place + t) * kWkv6Size;
    fetched.rows[i] = t < chunk.count ? quadAt(part + quad % 16 * 4) : none;
  }
  const uint32_t t = threadIndex() / 4;
  const float* rest = chunk.record + kPart6Y * kWkv6Rows16 + (chunk.place + t) * kWkv6Size + channel % kWkv6Size;
  fetched.rest = t < chunk.count ? quadAt(rest + threadIndex() % 4 * 4) : none;
  fetched.total = quadAt(chunk.total + row);
  UNROLL
  for (uint32_t i = 0; i < 2; i++) {
    const uint32_t at = threadIndex() + i * Wkv6Fetched::kThreads, token = at / kCarry6Columns;
    const float* v = arguments.v.row(chunk.first + token) + channel;
    fetched.values[i] = token < chunk.count ? v[at % kCarry6Columns] : 0.0f;
  }
  return fetched;
}

DEVICE void wkv6Unload(const Wkv6Fetched& fetched, const Wkv6CarryRoom& room) {
  UNROLL
  for (uint32_t i = 0; i < 4; i++) {
    const uint32_t quad = threadIndex() + i % 2 * Wkv6Fetched::kThreads;
    writeQuad(room.row(i / 2, quad / 16) + quad % 16 * 4, fetched.rows[i]);
  }
  if (threadIndex() < 4 * kChunk) writeQuad(room.rest(0) + 4 * threadIndex(), fetched.rest);
  UNROLL
  for (uint32_t i = 0; i < 2; i++) room.value(0)[threadIndex() + i * Wkv6Fetched::kThreads] = fetched.values[i];
}

/** Two columns of S through a chunk: `column` is the first one within the block. y goes to `out`, the first token's. */
DEVICE void wkv6Carry(Quad (&s)[2], const Wkv6CarryRoom& room, uint32_t column, uint32_t count, const Quad& total,
                      const Rows& out) {
  const uint32_t lane = laneIndex() & 15, row = 4 * lane;
  UNROLL
  for (uint32_t eight = 0; eight < kChunk; eight += 8) {
    float sums[16];
    UNROLL
    for (uint32_t i = 0; i < 8; i++) {
      const Quad r = quadAt(room.row(kPart6R, eight + i) + row);
      sums[2 * i] = dotQuads(s[0], r, 0);
      sums[2 * i + 1] = dotQuads(s[1], r, 0);
    }
    const float sum = teamSumOf16(sums);
    const uint32_t t = eight + lane / 2, own = column + (lane & 1);
    if (t < count) out.row(t)[own] = sum + room.rest(t)[own];
  }
  UNROLL
  for (uint32_t c = 0; c < 2; c++) {
    UNROLL
    for (uint32_t n = 0; n < 4; n++) s[c].n[n] *= total.n[n];
  }
  UNROLL
  for (uint32_t t = 0; t < kChunk; t++) {
    const Quad k = quadAt(room.row(kPart6K, t) + row);
    UNROLL
    for (uint32_t c = 0; c < 2; c++) {
      const float v = room.value(t)[column + c];
      UNROLL
      for (uint32_t n = 0; n < 4; n++) s[c].n[n] = fused(v, k.n[n], s[c].n[n]);
    }
  }
}

KERNEL_BOUNDED(wkv6_carry, Wkv6Arguments, 128, 4) {
  SHARED Words4 numbers[2 * Wkv6CarryRoom::kNumbers / 4];
  const uint32_t head = blockY() / kCarry6Blocks;
  const uint32_t firstColumn = blockY() % kCarry6Blocks * kCarry6Columns, channel = head * kWkv6Size + firstColumn;
  const SequenceTokens sequence = sequenceTokens(step, blockX());
  if (sequence.count == 0 || sequence.count <= arguments.longest) return;
  const uint32_t first = sequence.first, end = first + sequence.count;
  const uint32_t column = 2 * (threadIndex() / 16), row = 4 * (threadIndex() % 16);
  const size_t place = static_cast<size_t>(sequence.slot) * (blocksY() / kCarry6Blocks) + head;
  float* state = arguments.state + (place * kWkv6Size + row) * kWkv6Size + firstColumn + column;
  Quad s[2];
  UNROLL
  for (uint32_t i = 0; i < 8; i++) s[i % 2].n[i / 2] = state[i / 2 * kWkv6Size + i % 2];
  const uint32_t windows = (end + kChunk - 1) / kChunk;
  Wkv6Chunk chunk = wkv6Chunk(arguments, first / kChunk, first, end);
  Wkv6Fetched fetched = wkv6Fetch(arguments, chunk, channel, row);
  wkv6Unload(fetched, {reinterpret_cast<float*>(numbers)});
  blockBarrier();
  for (uint32_t window = first / kChunk; window < windows; window++) {
    const uint32_t which = (window - first / kChunk) % 2, count = chunk.count;
    const Wkv6CarryRoom room{reinterpret_cast<float*>(numbers) + which * Wkv6CarryRoom::kNumbers};
    const Wkv6CarryRoom next{reinterpret_cast<float*>(numbers) + (1 - which) * Wkv6CarryRoom::kNumbers};
    const Rows own = {arguments.out.row(chunk.first) + channel, arguments.out.stride, 0};
    const Quad total = fetched.total;
    // The next chunk is on its way while this one is computed.
    const bool goesOn = window + 1 < windows;
    if (goesOn) {
      chunk = wkv6Chunk(arguments, window + 1, first, end);
      fetched = wkv6Fetch(arguments, chunk, channel, row);
    }
    wkv6Carry(s, room, column, count, total, own);
    if (goesOn) wkv6Unload(fetched, next);
    blockBarrier();
  }
  UNROLL
  for (uint32_t i = 0; i < 8; i++) state[i / 2 * kWkv6Size + i % 2] = s[i % 2].n[i / 2];
}

KERNEL_BOUNDED(wkv6_finish, Wkv6Arguments, 256, 4) {
  const uint32_t t = blockX() * (threadCount() / kWarp) + warpIndex(), start = blockY() * kWkv6Size;
  if (t >= step->counts[kTokens]) return;
  const uint32_t sequence = sequenceOf(step, t);
  if (step->start(sequence + 1) - step->start(sequence) <= arguments.longest) return;
  float* out = arguments.out.row(t) + start;
  float y[2], squares = 0;
  UNROLL
  for (uint32_t i = 0; i < 2; i++) y[i] = out[laneIndex() + kWarp * i];
  const float mean = warpSum(y[0] + y[1]) / kWkv6Size;
  UNROLL
  for (uint32_t i = 0; i < 2; i++) squares = fused(y[i] - mean, y[i] - mean, squares);
  const float scale = 1.0f / squareRoot(warpSum(squares) / kWkv6Size + arguments.eps);
  UNROLL
  for (uint32_t i = 0; i < 2; i++) {
    const uint32_t n = laneIndex() + kWarp * i, c = start + n;
    if (arguments.weight) y[i] = fused((y[i] - mean) * scale, arguments.weight.at[c], arguments.bias.at[c]);
    out[n] = arguments.gate ? y[i] * arguments.gate.row(t)[c] : y[i];
  }
}

}  // namespace rwkv
