/**
 * The `wanted` largest numbers of a row, the largest first; their columns, of equal numbers the lowest first; and Σ
 * exp(x - the largest). x [_, width], out [_, 2 wanted + 1], f32. The sum is 0 for a row without one: with NaN or
 * +Infinity in it, or of -Infinity alone.
 *
 * top_k: a block sorts one chunk of one row (blockX is the row, blockY the chunk) and leaves a list of the `length`
 * largest.
 * top_k_merge: a block makes one list of the next `fan`; where that is all of them, it writes the row of out.
 * A list is, in words, the orders of `length` numbers, as many columns (inverted), its largest number and the sum
 * relative to that, or -1 where there is NaN or +Infinity. Numbers are compared as keys: the order of floats as whole
 * numbers above the inverted column, so that no two are equal and the larger comes first. A key of 0 is none.
 *
 * Sorting is a bitonic network. A thread owns four keys in a row: pairs up to two keys apart are its own, up to 64
 * apart its warp's, and what is further apart meets in shared memory.
 * Limits: kTopChunk numbers wanted; 2^32 columns, of which a float tells those below 2^24 apart.
 */
#pragma once

#include "kernels/step.h"

namespace rwkv {

constexpr uint32_t kTopThreads = 512;
constexpr uint32_t kTopChunk = 4 * kTopThreads;

constexpr uint32_t kOrderOfNan = 0xffffffffu;
constexpr uint32_t kOrderOfInfinity = 0xff800000u;
constexpr uint32_t kOrderOfMinusInfinity = 0x007fffffu;

DEVICE uint32_t orderOf(float number) {
  const uint32_t bits = bitsOf(number);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return kOrderOfNan;
  if (bits == 0x80000000u) return 0x80000000u;
  return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}
DEVICE float numberOf(uint32_t order) { return floatOf(order & 0x80000000u ? order ^ 0x80000000u : ~order); }

DEVICE uint64_t topKey(float number, uint32_t column) { return static_cast<uint64_t>(orderOf(number)) << 32 | ~column; }
DEVICE uint32_t orderOfKey(uint64_t key) { return static_cast<uint32_t>(key >> 32); }

/** Keys 4 threadIndex() + e of the block. */
using TopKeys = uint64_t[4];

DEVICE uint64_t chosen(uint64_t own, uint64_t other, bool larger) { return (own > other) == larger ? own : other; }

/** Compares keys that are `stride` apart; where `size` is not 0, the order alternates every `size` keys. */
DEVICE void topStage(TopKeys& keys, uint32_t size, uint32_t stride, uint64_t* room) {
  const uint32_t first = 4 * threadIndex();
  if (stride <= 2) {
    UNROLL
    for (uint32_t e = 0; e < 4; e++) {
      const uint32_t partner = e ^ stride;
      const uint64_t low = keys[e], high = stride == 1 ? keys[e ^ 1] : keys[e ^ 2];
      if (partner > e) {
        const bool descending = ((first + e) & size) == 0;
        const uint64_t kept = chosen(low, high, descending), given = chosen(low, high, !descending);
        keys[e] = kept;
        if (stride == 1) keys[e ^ 1] = given;
        else keys[e ^ 2] = given;
      }
    }
    return;
  }
  const uint32_t apart = stride / 4;
  const bool takesLarger = ((threadIndex() & apart) == 0) == ((first & size) == 0);
  if (apart < kWarp) {
    UNROLL
    for (uint32_t e = 0; e < 4; e++) keys[e] = chosen(keys[e], shuffleXor(keys[e], apart), takesLarger);
    return;
  }
  UNROLL
  for (uint32_t e = 0; e < 4; e++) room[e * kTopThreads + threadIndex()] = keys[e];
  blockBarrier();
  UNROLL
  for (uint32_t e = 0; e < 4; e++) {
    keys[e] = chosen(keys[e], room[e * kTopThreads + (threadIndex() ^ apart)], takesLarger);
  }
  blockBarrier();
}

struct TopKArguments {
  ConstRows x;
  Rows lists;
  uint32_t rows, width, length;
};
DESCRIBE(TopKArguments, x, lists, rows, width, length);

KERNEL_BOUNDED(top_k, TopKArguments, 512, 2) {
  SHARED uint64_t room[kTopChunk];
  SHARED float sums[kWarp];
  SHARED uint32_t first;
  const uint32_t row = blockX(), length = arguments.length;
  if (row >= step->counts[arguments.rows]) return;
  const float* x = arguments.x.row(row);
  // Which thread reads which number is all one to a sort; so that neighbours read neighbours:
  TopKeys keys;
  UNROLL
  for (uint32_t e = 0; e < 4; e++) {
    const uint32_t column = blockY() * kTopChunk + e * kTopThreads + threadIndex();
    keys[e] = column < arguments.width ? topKey(x[column], column) : 0;
  }
  for (uint32_t size = 2; size <= kTopChunk; size *= 2) {
    for (uint32_t stride = size / 2; stride > 0; stride /= 2) topStage(keys, size, stride, room);
  }
  if (threadIndex() == 0) first = orderOfKey(keys[0]);
  blockBarrier();
  const uint32_t largest = first;
  const float most = numberOf(largest);
  float sum = 0;
  if (largest < kOrderOfInfinity) {
    UNROLL
    for (uint32_t e = 0; e < 4; e++) {
      const uint32_t order = orderOfKey(keys[e]);
      if (order > kOrderOfMinusInfinity) sum += exponential(numberOf(order) - most);
    }
  }
  const float total = blockSum(sum, sums);
  float* list = arguments.lists.row(row) + static_cast<size_t>(blockY()) * (2 * length + 2);
  UNROLL
  for (uint32_t e = 0; e < 4; e++) {
    const uint32_t i = 4 * threadIndex() + e;
    if (i >= length) continue;
    list[i] = floatOf(orderOfKey(keys[e]));
    list[length + i] = floatOf(static_cast<uint32_t>(keys[e]));
  }
  if (threadIndex() == 0) {
    list[2 * length] = most;
    list[2 * length + 1] = largest >= kOrderOfInfinity ? -1.0f : total;
  }
}

struct TopKMergeArguments {
  ConstRows lists;
  Rows out;
  uint32_t rows, count, length, fan, wanted;
};
DESCRIBE(TopKMergeArguments, lists, out, rows, count, length, fan, wanted);

struct TopSum {
  float most, sum;
};

/** Of `count` lists, which lie one after the other; by one warp, in all of its lanes. */
DEVICE TopSum mergedSum(const float* lists, uint32_t count, uint32_t length) {
  const uint32_t list = 2 * length + 2;
  float most = -3.402823466e38f;
  bool broken = false;
  for (uint32_t i = laneIndex(); i < count; i += kWarp) {
    const float own = lists[i * list + 2 * length], sum = lists[i * list + 2 * length + 1];
    broken = broken || sum < 0;
    if (sum > 0 && own > most) most = own;
  }
  most = warpMax(most);
  float total = 0;
  for (uint32_t i = laneIndex(); i < count; i += kWarp) {
    const float own = lists[i * list + 2 * length], sum = lists[i * list + 2 * length + 1];
    if (sum > 0) total = fused(sum, exponential(own - most), total);
  }
  total = warpSum(total);
  return {most, ballot(broken) ? -1.0f : total};
}

KERNEL_BOUNDED(top_k_merge, TopKMergeArguments, 512, 2) {
  // Of each merge the list that comes out, and what a stage of the network exchanges.
  SHARED uint64_t merged[2 * kTopChunk];
  SHARED uint64_t room[kTopChunk];
  const uint32_t row = blockX(), length = arguments.length, begin = blockY() * arguments.fan;
  if (row >= step->counts[arguments.rows]) return;
  const uint32_t list = 2 * length + 2;
  const uint32_t count = arguments.count - begin < arguments.fan ? arguments.count - begin : arguments.fan;
  const float* lists = arguments.lists.row(row) + static_cast<size_t>(begin) * list;
  for (uint32_t i = threadIndex(); i < arguments.fan * length; i += kTopThreads) {
    const float* from = lists + i / length * list + i % length;
    const bool exists = i / length < count;
    merged[i] = exists ? static_cast<uint64_t>(bitsOf(from[0])) << 32 | bitsOf(from[length]) : 0;
  }
  blockBarrier();
  for (uint32_t left = arguments.fan; left > 1; left /= 2) {
    // One list forwards and the next one backwards: the larger of each pair are the largest of both.
    TopKeys keys;
    UNROLL
    for (uint32_t e = 0; e < 4; e++) {
      const uint32_t i = 4 * threadIndex() + e, p = i % length, at = i / length * 2 * length;
      const bool exists = i < left / 2 * length;
      keys[e] = exists ? chosen(merged[at + p], merged[at + 2 * length - 1 - p], true) : 0;
    }
    blockBarrier();
    for (uint32_t stride = length / 2; stride > 0; stride /= 2) topStage(keys, 0, stride, room);
    UNROLL
    for (uint32_t e = 0; e < 4; e++) {
      if (4 * threadIndex() + e < left / 2 * length) merged[4 * threadIndex() + e] = keys[e];
    }
    blockBarrier();
  }
  const bool isLast = arguments.count <= arguments.fan;
  float* out = arguments.out.row(row) + (isLast ? 0 : static_cast<size_t>(blockY()) * list);
  const uint32_t kept = isLast ? arguments.wanted : length;
  for (uint32_t i = threadIndex(); i < kept; i += kTopThreads) {
    const uint32_t order = orderOfKey(merged[i]), column = static_cast<uint32_t>(merged[i]);
    out[i] = isLast ? numberOf(order) : floatOf(order);
    out[kept + i] = isLast ? static_cast<float>(~column) : floatOf(column);
  }
  if (warpIndex() > 0) return;
  const TopSum sum = mergedSum(lists, count, length);
  if (laneIndex() > 0) return;
  if (isLast) {
    out[2 * kept] = sum.sum > 0 ? sum.sum : 0.0f;
  } else {
    out[2 * kept] = sum.most;
    out[2 * kept + 1] = sum.sum;
  }
}

}  // namespace rwkv
