/**
 * How sequences of more than `longest` tokens are cut into chunks: where the windows of kChunk tokens end, counted
 * from the first token of the step. A window holds parts of at most two such sequences, if `longest` is at least
 * kChunk: its first segment is of the sequence that its first token belongs to, its second of one that begins further
 * on. So a window is two blocks, and memory for its tokens serves both.
 */
#pragma once

#include "kernels/step.h"

namespace rwkv {

constexpr uint32_t kChunk = 16;

/** Tokens [first, first + count) of a sequence; none where `count` is 0. */
struct ChunkSegment {
  uint32_t first, count;
};

/** The sequence of token t; found by each warp for itself. */
DEVICE uint32_t sequenceOf(const Step* step, uint32_t t) {
  int begun = 0;
  for (uint32_t s = laneIndex(); s < step->counts[kSequences]; s += kWarp) begun += step->start(s) <= t;
  return static_cast<uint32_t>(warpSum(begun)) - 1;
}

/** Of window `window` its first or second segment; all threads of the block find the same. */
DEVICE ChunkSegment chunkSegment(const Step* step, uint32_t window, bool second, uint32_t longest) {
  const uint32_t tokens = step->counts[kTokens], begin = window * kChunk;
  if (begin >= tokens) return {0, 0};
  const uint32_t limit = begin + kChunk < tokens ? begin + kChunk : tokens;
  const uint32_t sequence = sequenceOf(step, second ? limit - 1 : begin);
  const uint32_t start = step->start(sequence), end = step->start(sequence + 1);
  if (end - start <= longest || (second && start <= begin)) return {0, 0};
  const uint32_t first = second ? start : begin;
  return {first, (end < limit ? end : limit) - first};
}

/**
 * Adds up sixteen numbers over a team of sixteen lanes, which exchange halves of what is left to add: lane l of the
 * team gets the sum of number l.
 */
DEVICE float teamSumOf16(float (&numbers)[16]) {
  UNROLL
  for (uint32_t left = 8; left > 0; left /= 2) {
    const bool upper = laneIndex() & left;
    UNROLL
    for (uint32_t i = 0; i < 8; i++) {
      if (i >= left) break;
      const float kept = upper ? numbers[left + i] : numbers[i], given = upper ? numbers[i] : numbers[left + i];
      numbers[i] = kept + shuffleXor(given, left);
    }
  }
  return numbers[0];
}

}  // namespace rwkv
