/**
 * RWKV-7 attention, per head, token after token; with the preparation of its inputs before and the norm, bonus and
 * gate after it (wkv7-tokens.cuh). With i the value index and j the key index:
 *
 *     z_i = Σ_j S_ij a_j;   y_i = Σ_j S_ij w_j r_j;   S_ij ← S_ij w_j + v_i k_j + z_i b_j
 *
 * A block owns one head of one sequence: blockX is the sequence, blockY the head. S stays in registers from token to
 * token.
 * wkv7_32, wkv7_64, wkv7_128: threads that compute own four rows of eight columns of S, a team of N/8 lanes the whole
 * rows; it makes z and y of its rows by exchanging halves of what is left to add, so that every lane ends up with one
 * sum. The other warps meanwhile finish the tokens before and make the inputs of those to come, in two rooms of shared
 * memory, so that there is one barrier every 512/N tokens.
 * wkv7_any: a warp owns a row of S at a time, all warps do everything, and S is in registers for kWkv7Few tokens only.
 * Limits: heads of 256.
 */
#pragma once

#include "kernels/ops/wkv7-tokens.cuh"
#include "kernels/quads.cuh"
#include "kernels/sequences.cuh"

namespace rwkv {

template <uint32_t kSize>
struct Wkv7Shape {
  static constexpr uint32_t kTokens = 512 / kSize;
  static constexpr uint32_t kValues = kSize / kWarp;
  /** Lanes of a team. */
  static constexpr uint32_t kLanes = kSize / 8;
  static constexpr uint32_t kComputing = kSize / 4 * kLanes;
  static constexpr uint32_t kHelpers = kSize == 32 ? 2 : 4;
  /** Tokens of a room that a helping warp makes and finishes. */
  static constexpr uint32_t kEach = kTokens / kHelpers;
  static constexpr uint32_t kRoom = kTokens * (kWkv7Rows * kSize + kWkv7Sums);
};

/** Four rows of S, of which this thread has two quads each, kSize / 2 columns apart. */
struct Wkv7Tile {
  Quad s[4][2];
};

/**
 * Adds up, over a team of kLanes lanes, z of four rows and y of four rows: each lane gets 8 / kLanes sums of the
 * eight.
 */
template <uint32_t kLanes>
DEVICE void wkv7TeamSums(float (&sums)[8]) {
  uint32_t mask = kLanes / 2;
  UNROLL
  for (uint32_t left = 4; left > 0 && mask > 0; left /= 2, mask /= 2) {
    const bool upper = laneIndex() & mask;
    UNROLL
    for (uint32_t i = 0; i < 4; i++) {
      if (i >= left) break;
      const float kept = upper ? sums[left + i] : sums[i], given = upper ? sums[i] : sums[left + i];
      sums[i] = kept + shuffleXor(given, mask);
    }
  }
  UNROLL
  for (; mask > 0; mask /= 2) sums[0] += shuffleXor(sums[0], mask);
}

/** One token: S, and z and y of the room's row q. `columns` is the first of this thread's, `row` its first row of S. */
template <uint32_t kSize>
DEVICE void wkv7Token(Wkv7Tile& tile, const Wkv7Room& room, uint32_t q, uint32_t columns, uint32_t row) {
  constexpr uint32_t kLanes = Wkv7Shape<kSize>::kLanes, kHalf = kSize / 2;
  // How many of the eight sums a lane has, and how many lanes have the same.
  constexpr uint32_t kOwn = kLanes < 8 ? 8 / kLanes : 1, kSame = kLanes < 8 ? 1 : kLanes / 8;
  float sums[8] = {0, 0, 0, 0, 0, 0, 0, 0};
  const Quad v = quadAt(room.row(kRowV, q) + row);
  UNROLL
  for (uint32_t half = 0; half < 2; half++) {
    const uint32_t at = half * kHalf + columns;
    const Quad a = quadAt(room.row(kRowA, q) + at), wr = quadAt(room.row(kRowWR, q) + at);
    const Quad w = quadAt(room.row(kRowW, q) + at), k = quadAt(room.row(kRowK, q) + at);
    UNROLL
    for (uint32_t i = 0; i < 4; i++) {
      Quad& s = tile.s[i][half];
      sums[i] = dotQuads(s, a, sums[i]);
      sums[4 + i] = dotQuads(s, wr, sums[4 + i]);
      UNROLL
      for (uint32_t n = 0; n < 4; n++) s.n[n] = fused(s.n[n], w.n[n], v.n[i] * k.n[n]);
    }
  }
  wkv7TeamSums<kLanes>(sums);
  const uint32_t lane = laneIndex() & (kLanes - 1), team = laneIndex() - lane;
  UNROLL
  for (uint32_t i = 0; i < kOwn; i++) {
    // The eight sums in order are z of four rows, then y of four rows.
    const uint32_t index = lane / kSame * kOwn + i;
    if (lane % kSame == 0) room.row(index < 4 ? kRowZ : kRowY, q)[row + (index & 3)] = sums[i];
  }
  float z[4];
  UNROLL
  for (uint32_t i = 0; i < 4; i++) z[i] = shuffle(sums[i % kOwn], team + i / kOwn * kSame);
  UNROLL
  for (uint32_t half = 0; half < 2; half++) {
    const Quad b = quadAt(room.row(kRowB, q) + half * kHalf + columns);
    UNROLL
    for (uint32_t i = 0; i < 4; i++) {
      UNROLL
      for (uint32_t n = 0; n < 4; n++) tile.s[i][half].n[n] = fused(z[i], b.n[n], tile.s[i][half].n[n]);
    }
  }
}

/** Threads that compute: a barrier before the first tokens and after each room of them. */
template <uint32_t kSize>
DEVICE void wkv7Compute(float* state, uint32_t count, float* rooms) {
  using Shape = Wkv7Shape<kSize>;
  const uint32_t columns = 4 * (threadIndex() % Shape::kLanes), row = 4 * (threadIndex() / Shape::kLanes);
  Wkv7Tile tile;
  UNROLL
  for (uint32_t i = 0; i < 8; i++) {
    tile.s[i / 2][i % 2] = quadStreaming(state + (row + i / 2) * kSize + i % 2 * kSize / 2 + columns);
  }
  blockBarrier();
  for (uint32_t t = 0; t < count; t++) {
    const Wkv7Room room{rooms + t / Shape::kTokens % 2 * Shape::kRoom, Shape::kTokens, kSize};
    wkv7Token<kSize>(tile, room, t % Shape::kTokens, columns, row);
    if (t % Shape::kTokens == Shape::kTokens - 1 || t + 1 == count) blockBarrier();
  }
  UNROLL
  for (uint32_t i = 0; i < 8; i++) {
    writeQuad(state + (row + i / 2) * kSize + i % 2 * kSize / 2 + columns, tile.s[i / 2][i % 2]);
  }
}

/** Warps that help: row q of a room is made, and finished, by warp q mod kHelpers of them. */
template <uint32_t kSize>
DEVICE void wkv7Help(const Wkv7Arguments& arguments, uint32_t first, uint32_t count, uint32_t start, float* rooms) {
  using Shape = Wkv7Shape<kSize>;
  const uint32_t warp = warpIndex() - Shape::kComputing / kWarp;
  for (uint32_t begin = 0; begin < count + 2 * Shape::kTokens; begin += Shape::kTokens) {
    // The tokens from `begin` are made while those before are computed and those before them are finished.
    const Wkv7Room room{rooms + begin / Shape::kTokens % 2 * Shape::kRoom, Shape::kTokens, kSize};
    Wkv7Inputs<Shape::kValues> inputs[Shape::kEach];
    UNROLL
    for (uint32_t i = 0; i < Shape::kEach; i++) {
      const uint32_t t = begin + i * Shape::kHelpers + warp;
      if (t < count) inputs[i] = wkv7Inputs<Shape::kValues>(arguments, first + t, start, kSize);
    }
    UNROLL
    for (uint32_t i = 0; i < Shape::kEach; i++) {
      const uint32_t q = i * Shape::kHelpers + warp, t = begin + q - 2 * Shape::kTokens;
      if (begin >= 2 * Shape::kTokens && t < count) wkv7Finish<Shape::kValues>(arguments, first + t, start, room, q);
    }
    warpBarrier();
    UNROLL
    for (uint32_t i = 0; i < Shape::kEach; i++) {
      const uint32_t q = i * Shape::kHelpers + warp;
      if (begin + q < count) wkv7Stage<Shape::kValues>(inputs[i], arguments, start, room, q);
    }
    if (begin < count + Shape::kTokens) blockBarrier();
  }
}

template <uint32_t kSize>
DEVICE void wkv7Head(const Step* step, const Wkv7Arguments& arguments) {
  using Shape = Wkv7Shape<kSize>;
  SHARED Words4 rooms[2 * Shape::kRoom / 4];
  const uint32_t head = blockY();
  const SequenceTokens own = sequenceTokens(step, blockX());
  if (own.count == 0 || own.count > arguments.longest) return;
  float* numbers = reinterpret_cast<float*>(rooms);
  if (threadIndex() < Shape::kComputing) {
    const size_t place = static_cast<size_t>(own.slot) * blocksY() + head;
    wkv7Compute<kSize>(arguments.state + place * kSize * kSize, own.count, numbers);
  } else {
    wkv7Help<kSize>(arguments, own.first, own.count, head * kSize, numbers);
  }
}

KERNEL_BOUNDED(wkv7_32, Wkv7Arguments, 96, 5) { wkv7Head<32>(step, arguments); }
KERNEL_BOUNDED(wkv7_64, Wkv7Arguments, 256, 3) { wkv7Head<64>(step, arguments); }
KERNEL_BOUNDED(wkv7_128, Wkv7Arguments, 640, 1) { wkv7Head<128>(step, arguments); }

constexpr uint32_t kWkv7Few = 4;

/** Row `row` of S over the tokens of the room; one warp. */
DEVICE void wkv7Row(float* state, const Wkv7Room& room, uint32_t count, uint32_t row) {
  const uint32_t size = room.size;
  float line[8];
  UNROLL
  for (uint32_t i = 0; i < 8; i++) {
    const uint32_t n = laneIndex() + kWarp * i;
    line[i] = n < size ? state[row * size + n] : 0.0f;
  }
  for (uint32_t q = 0; q < count; q++) {
    float z = 0, y = 0;
    UNROLL
    for (uint32_t i = 0; i < 8; i++) {
      const uint32_t n = laneIndex() + kWarp * i;
      if (n >= size) continue;
      z = fused(line[i], room.row(kRowA, q)[n], z);
      y = fused(line[i], room.row(kRowWR, q)[n], y);
    }
    z = warpSum(z);
    y = warpSum(y);
    const float v = room.row(kRowV, q)[row];
    UNROLL
    for (uint32_t i = 0; i < 8; i++) {
      const uint32_t n = laneIndex() + kWarp * i;
      if (n >= size) continue;
      const float kept = fused(line[i], room.row(kRowW, q)[n], v * room.row(kRowK, q)[n]);
      line[i] = fused(z, room.row(kRowB, q)[n], kept);
    }
    if (laneIndex() == 0) {
      room.row(kRowZ, q)[row] = z;
      room.row(kRowY, q)[row] = y;
    }
  }
  UNROLL
  for (uint32_t i = 0; i < 8; i++) {
    const uint32_t n = laneIndex() + kWarp * i;
    if (n < size) state[row * size + n] = line[i];
  }
}

KERNEL_BOUNDED(wkv7_any, Wkv7Arguments, 256, 1) {
  DYNAMIC_SHARED(bytes);
  const uint32_t head = blockY(), size = arguments.size, start = head * size;
  const SequenceTokens own = sequenceTokens(step, blockX());
  if (own.count == 0 || own.count > arguments.longest) return;
  const Wkv7Room room{reinterpret_cast<float*>(bytes), kWkv7Few, size};
  const size_t place = static_cast<size_t>(own.slot) * blocksY() + head;
  float* state = arguments.state + place * size * size;
  for (uint32_t begin = 0; begin < own.count; begin += kWkv7Few) {
    const uint32_t left = own.count - begin, few = left < kWkv7Few ? left : kWkv7Few, q = warpIndex();
    if (q < few) {
      wkv7Stage<8>(wkv7Inputs<8>(arguments, own.first + begin + q, start, size), arguments, start, room, q);
    }
    blockBarrier();
    for (uint32_t row = warpIndex(); row < size; row += threadCount() / kWarp) wkv7Row(state, room, few, row);
    blockBarrier();
    if (q < few) wkv7Finish<8>(arguments, own.first + begin + q, start, room, q);
    warpBarrier();
  }
}

}  // namespace rwkv
