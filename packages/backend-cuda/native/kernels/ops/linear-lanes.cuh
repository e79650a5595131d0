/**
 * Products of few rows of x, each sum spread over lanes: what linear-vector.cuh and linear-blocks.cuh share.
 *
 * A block of 128 threads has groups of `lanes` threads (8 to 128, a power of two: 512 / block_outputs); a group owns
 * four outputs, and a lane every `lanes`-th piece (16 bytes, or a block of 32 numbers) of their four rows of W. Two
 * pieces of each row are in flight at a time, 128 bytes a lane: at this size reading is all that counts.
 *
 * Lanes add up by halving: with each exchange a lane gives away half of its sums and takes the other half of its
 * partner's, so that four sums of 32 lanes need six exchanges, not twenty. Then warps of a group add up in shared
 * memory.
 *
 * A Work has Piece (what a lane loads), pieces(job), load(job, output, piece), and
 * accumulate(job, rows, piece, loaded, sums), where rows[r] are the rows of x, which may repeat the last one.
 */
#pragma once

#include "kernels/linear.cuh"

namespace rwkv {

constexpr unsigned kLaneThreads = 128;
/** Outputs of a group. */
constexpr unsigned kGroupOutputs = 4;

template <unsigned mask, unsigned left>
DEVICE void addPartners(float* values) {
  UNROLL
  for (unsigned i = 0; i < left; i++) values[i] += shuffleXor(values[i], mask);
}

/** Lanes with the bit `mask` keep the later half of 2 · `half` sums, the others the earlier; one sum is just added. */
template <unsigned mask, unsigned half>
DEVICE void foldStep(float* values) {
  if constexpr (half == 0) {
    addPartners<mask, 1>(values);
  } else {
    const bool upper = laneIndex() & mask;
    UNROLL
    for (unsigned i = 0; i < half; i++) {
      const float early = values[i], late = values[i + half];
      values[i] = (upper ? late : early) + shuffleXor(upper ? early : late, mask);
    }
  }
}

/**
 * Adds values[i] over each `lanes` (8, 16 or 32) neighbouring lanes. Of each eight lanes, lane l then has in
 * values[0 .. count / 8) the sums from `foldedIndex(l)` on, or, of four sums, in values[0] that one.
 */
template <unsigned count>
DEVICE void foldSums(float* values, unsigned lanes) {
  constexpr unsigned kLeft = count >= 8 ? count / 8 : 1;
  foldStep<1, count / 2>(values);
  foldStep<2, count / 4>(values);
  foldStep<4, count / 8>(values);
  if (lanes > 8) addPartners<8, kLeft>(values);
  if (lanes > 16) addPartners<16, kLeft>(values);
}

template <unsigned count>
DEVICE unsigned foldedIndex(unsigned lane) {
  return (lane & 1) * (count / 2) + (lane >> 1 & 1) * (count / 4) + (lane >> 2 & 1) * (count / 8);
}

/** Sums of a block, [4 warps][up to 4 groups of a warp][count]. */
template <unsigned count>
struct LaneSums {
  float at[kLaneThreads / 8][count];
};

/** Sum `index` of group `group`, over its warps. */
template <unsigned count>
DEVICE float groupSum(const LaneSums<count>& sums, unsigned lanes, unsigned group, unsigned index) {
  if (lanes < kWarp) return sums.at[group][index];
  const unsigned warps = lanes / kWarp;
  float sum = 0;
  for (unsigned w = 0; w < warps; w++) sum += sums.at[group * warps + w][index];
  return sum;
}

/** Blocks that a multiprocessor has registers for, at least. */
constexpr unsigned laneBlocks(unsigned rows) { return rows < 4 ? 4 : 2; }

template <class Work, unsigned kRows>
DEVICE void linearLanes(const Step* step, const LinearArguments& arguments) {
  constexpr unsigned kSums = kGroupOutputs * kRows;
  SHARED LaneSums<kSums> room;
  const uint32_t firstRow = blockX() * kRows, rowCount = step->counts[arguments.rows];
  if (firstRow >= rowCount) return;
  const LinearJob& job = findJob(arguments);
  const unsigned lanes = kLaneThreads * kGroupOutputs / job.block_outputs;
  const unsigned group = threadIndex() / lanes, lane = threadIndex() & (lanes - 1);
  const uint32_t blockOutput = (blockY() - job.first_block) * job.block_outputs;

  uint32_t rows[kRows];
  UNROLL
  for (unsigned r = 0; r < kRows; r++) rows[r] = smaller(firstRow + r, rowCount - 1);
  uint32_t outputs[kGroupOutputs];
  UNROLL
  for (unsigned o = 0; o < kGroupOutputs; o++)
    outputs[o] = smaller(blockOutput + group * kGroupOutputs + o, job.matrix.rows - 1);

  float sums[kSums] = {};
  const uint32_t pieces = Work::pieces(job);
  for (uint32_t piece = lane; piece < pieces; piece += Work::kFlight * lanes) {
    typename Work::Piece loaded[Work::kFlight][kGroupOutputs];
    UNROLL
    for (unsigned f = 0; f < Work::kFlight; f++) {
      // Beyond the end the last piece is read once more, and not counted, so that no load waits for a decision.
      const uint32_t at = smaller(piece + f * lanes, pieces - 1);
      UNROLL
      for (unsigned o = 0; o < kGroupOutputs; o++) loaded[f][o] = Work::load(job, outputs[o], at);
    }
    UNROLL
    for (unsigned f = 0; f < Work::kFlight; f++) {
      if (piece + f * lanes < pieces) Work::template accumulate<kRows>(job, rows, piece + f * lanes, loaded[f], sums);
    }
  }

  foldSums<kSums>(sums, lanes);
  const unsigned inGroup = smaller(lanes, kWarp);
  const unsigned slot = lanes < kWarp ? threadIndex() / lanes : warpIndex();
  if ((laneIndex() & (inGroup - 1)) < smaller(kSums, 8)) {
    UNROLL
    for (unsigned i = 0; i < (kSums >= 8 ? kSums / 8 : 1); i++)
      room.at[slot][foldedIndex<kSums>(laneIndex()) + i] = sums[i];
  }
  blockBarrier();
  for (unsigned i = threadIndex(); i < job.block_outputs * kRows; i += threadCount()) {
    const unsigned row = i / job.block_outputs, output = i & (job.block_outputs - 1);
    if (blockOutput + output >= job.matrix.rows || firstRow + row >= rowCount) continue;
    const float sum = groupSum(room, lanes, output / kGroupOutputs, output % kGroupOutputs * kRows + row);
    finishOutput(job, firstRow + row, blockOutput + output, sum);
  }
}

}  // namespace rwkv
