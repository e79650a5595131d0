/**
 * RWKV-5's and RWKV-6's attention, per head, token after token, with the norm and the gate after it (wkv6-tokens.cuh
 * has the formulas).
 *
 * A block owns one head of one sequence: blockX is the sequence, blockY the head. S stays in registers from token to
 * token.
 * wkv6_32, wkv6_64, wkv6_128: threads that compute own eight rows (keys) of four columns (values) of S, a warp 32 rows
 * of 32 columns. S needs no sums; those of y go over the four lanes of a column, which exchange halves of them, and
 * over the N/32 warps, whose parts meet in shared memory. The other warps meanwhile finish the tokens before and make
 * the inputs of those to come, in two rooms of shared memory, so that there is one barrier every 512/N tokens.
 * wkv6_any: a thread owns a column of S, all warps do everything, and S is read and written every kWkv6Few tokens.
 * Limits: heads of 256.
 */
#pragma once

#include "kernels/ops/wkv6-tokens.cuh"
#include "kernels/quads.cuh"
#include "kernels/sequences.cuh"

namespace rwkv {

template <uint32_t kSize>
struct Wkv6Shape {
  static constexpr uint32_t kTokens = 512 / kSize;
  static constexpr uint32_t kValues = kSize / kWarp;
  static constexpr uint32_t kParts = kSize / 32;
  static constexpr uint32_t kComputing = kSize * kSize / 32;
  static constexpr uint32_t kHelpers = kSize == 32 ? 2 : 4;
  /** Tokens of a room that a helping warp makes and finishes. */
  static constexpr uint32_t kEach = kTokens / kHelpers;
  static constexpr uint32_t kRoom = kTokens * ((kWkv6Rows + kParts) * kSize + 4);
};

/** One token: eight rows from `row` on of the four columns from `column` on, and what they add to y. */
DEVICE void wkv6Token(Quad (&s)[8], const Wkv6Room& room, uint32_t q, uint32_t row, uint32_t column, uint32_t part) {
  const Quad v = quadAt(room.row(kRow6V, q) + column);
  float sums[4] = {0, 0, 0, 0};
  UNROLL
  for (uint32_t half = 0; half < 2; half++) {
    const Quad r = quadAt(room.row(kRow6R, q) + row + 4 * half);
    const Quad k = quadAt(room.row(kRow6K, q) + row + 4 * half);
    const Quad decay = quadAt(room.row(kRow6Decay, q) + row + 4 * half);
    UNROLL
    for (uint32_t i = 0; i < 4; i++) {
      UNROLL
      for (uint32_t n = 0; n < 4; n++) {
        float& number = s[4 * half + i].n[n];
        sums[n] = fused(r.n[i], number, sums[n]);
        number = fused(decay.n[i], number, k.n[i] * v.n[n]);
      }
    }
  }
  // Of the four lanes that have these columns each gets the sum of one.
  const bool second = laneIndex() & 16, odd = laneIndex() & 8;
  UNROLL
  for (uint32_t n = 0; n < 2; n++) {
    const float given = second ? sums[n] : sums[2 + n];
    sums[n] = (second ? sums[2 + n] : sums[n]) + shuffleXor(given, 16);
  }
  const float sum = (odd ? sums[1] : sums[0]) + shuffleXor(odd ? sums[0] : sums[1], 8);
  room.part(q, part)[column + (second ? 2 : 0) + (odd ? 1 : 0)] = sum;
}

/** Threads that compute: a barrier before the first tokens and after each room of them. */
template <uint32_t kSize>
DEVICE void wkv6Compute(float* state, uint32_t count, float* rooms) {
  using Shape = Wkv6Shape<kSize>;
  // A warp's place in S, then the lane's in the warp's 32 rows of 32 columns.
  const uint32_t part = warpIndex() / Shape::kParts, row = 32 * part + 8 * (laneIndex() / 8);
  const uint32_t column = 32 * (warpIndex() % Shape::kParts) + 4 * (laneIndex() % 8);
  Quad s[8];
  UNROLL
  for (uint32_t i = 0; i < 8; i++) s[i] = quadStreaming(state + (row + i) * kSize + column);
  blockBarrier();
  for (uint32_t begin = 0; begin < count; begin += Shape::kTokens) {
    const Wkv6Room room{rooms + begin / Shape::kTokens % 2 * Shape::kRoom, Shape::kTokens, kSize, Shape::kParts};
    const uint32_t left = count - begin;
    for (uint32_t q = 0; q < Shape::kTokens; q++) {
      if (q >= left) break;
      wkv6Token(s, room, q, row, column, part);
    }
    blockBarrier();
  }
  UNROLL
  for (uint32_t i = 0; i < 8; i++) writeQuad(state + (row + i) * kSize + column, s[i]);
}

/** Warps that help: row q of a room is made, and finished, by warp q mod kHelpers of them. */
template <uint32_t kSize>
DEVICE void wkv6Help(const Wkv6Arguments& arguments, uint32_t first, uint32_t count, uint32_t start, float* rooms) {
  using Shape = Wkv6Shape<kSize>;
  const uint32_t warp = warpIndex() - Shape::kComputing / kWarp;
  for (uint32_t begin = 0; begin < count + 2 * Shape::kTokens; begin += Shape::kTokens) {
    // The tokens from `begin` are made while those before are computed and those before them are finished.
    const Wkv6Room room{rooms + begin / Shape::kTokens % 2 * Shape::kRoom, Shape::kTokens, kSize, Shape::kParts};
    Wkv6Inputs<Shape::kValues> inputs[Shape::kEach];
    UNROLL
    for (uint32_t i = 0; i < Shape::kEach; i++) {
      const uint32_t t = begin + i * Shape::kHelpers + warp;
      if (t < count) inputs[i] = wkv6Inputs<Shape::kValues>(arguments, first + t, start, kSize);
    }
    UNROLL
    for (uint32_t i = 0; i < Shape::kEach; i++) {
      const uint32_t q = i * Shape::kHelpers + warp, t = begin + q - 2 * Shape::kTokens;
      if (begin >= 2 * Shape::kTokens && t < count) wkv6Finish<Shape::kValues>(arguments, first + t, start, room, q);
    }
    warpBarrier();
    UNROLL
    for (uint32_t i = 0; i < Shape::kEach; i++) {
      const uint32_t q = i * Shape::kHelpers + warp;
      if (begin + q < count) wkv6Stage<Shape::kValues>(inputs[i], arguments, start, room, q);
    }
    if (begin < count + Shape::kTokens) blockBarrier();
  }
}

template <uint32_t kSize>
DEVICE void wkv6Head(const Step* step, const Wkv6Arguments& arguments) {
  using Shape = Wkv6Shape<kSize>;
  SHARED Words4 rooms[2 * Shape::kRoom / 4];
  const uint32_t head = blockY();
  const SequenceTokens own = sequenceTokens(step, blockX());
  if (own.count == 0 || own.count > arguments.longest) return;
  float* numbers = reinterpret_cast<float*>(rooms);
  if (threadIndex() < Shape::kComputing) {
    const size_t place = static_cast<size_t>(own.slot) * blocksY() + head;
    wkv6Compute<kSize>(arguments.state + place * kSize * kSize, own.count, numbers);
  } else {
    wkv6Help<kSize>(arguments, own.first, own.count, head * kSize, numbers);
  }
}

KERNEL_BOUNDED(wkv6_32, Wkv6Arguments, 96, 5) { wkv6Head<32>(step, arguments); }
KERNEL_BOUNDED(wkv6_64, Wkv6Arguments, 256, 3) { wkv6Head<64>(step, arguments); }
KERNEL_BOUNDED(wkv6_128, Wkv6Arguments, 640, 1) { wkv6Head<128>(step, arguments); }

constexpr uint32_t kWkv6Few = 4;

/** Column `column` of S over the tokens of the room. */
DEVICE void wkv6Column(float* state, const Wkv6Room& room, uint32_t count, uint32_t column) {
  const uint32_t size = room.size;
  float v[kWkv6Few], y[kWkv6Few];
  UNROLL
  for (uint32_t q = 0; q < kWkv6Few; q++) {
    v[q] = q < count ? room.row(kRow6V, q)[column] : 0.0f;
    y[q] = 0;
  }
  for (uint32_t i = 0; i < size; i++) {
    float s = state[i * size + column];
    UNROLL
    for (uint32_t q = 0; q < kWkv6Few; q++) {
      if (q >= count) continue;
      y[q] = fused(room.row(kRow6R, q)[i], s, y[q]);
      s = fused(room.row(kRow6Decay, q)[i], s, room.row(kRow6K, q)[i] * v[q]);
    }
    state[i * size + column] = s;
  }
  UNROLL
  for (uint32_t q = 0; q < kWkv6Few; q++) {
    if (q < count) room.part(q, 0)[column] = y[q];
  }
}

KERNEL_BOUNDED(wkv6_any, Wkv6Arguments, 256, 1) {
  DYNAMIC_SHARED(bytes);
  const uint32_t head = blockY(), size = arguments.size, start = head * size;
  const SequenceTokens own = sequenceTokens(step, blockX());
  if (own.count == 0 || own.count > arguments.longest) return;
  const Wkv6Room room{reinterpret_cast<float*>(bytes), kWkv6Few, size, 1};
  const size_t place = static_cast<size_t>(own.slot) * blocksY() + head;
  float* state = arguments.state + place * size * size;
  for (uint32_t begin = 0; begin < own.count; begin += kWkv6Few) {
    const uint32_t left = own.count - begin, few = left < kWkv6Few ? left : kWkv6Few, q = warpIndex();
    if (q < few) {
      wkv6Stage<8>(wkv6Inputs<8>(arguments, own.first + begin + q, start, size), arguments, start, room, q);
    }
    blockBarrier();
    for (uint32_t column = threadIndex(); column < size; column += threadCount()) wkv6Column(state, room, few, column);
    blockBarrier();
    if (q < few) wkv6Finish<8>(arguments, own.first + begin + q, start, room, q);
    warpBarrier();
  }
}

}  // namespace rwkv
