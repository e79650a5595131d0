/**
 * Products of 1, 2 or 4 rows of x with weights in blocks (linear.cuh): x rounded to bytes by prepare_bytes, integers
 * multiplied four at a time.
 *
 *   Σ over blocks of  x.scale (scale (Σ q x - zero Σ x) + offset Σ x)
 *
 * Blocks and threads are those of linear-lanes.cuh; a piece is a block of 32 columns.
 */
#pragma once

#include "kernels/ops/linear-lanes.cuh"
#include "kernels/ops/prepare.cuh"
#include "kernels/weight-formats.cuh"

namespace rwkv {

template <class Format>
struct BlockPieces {
  using Piece = RawBlock<Format>;
  /** q8_0 has 32 bytes a block. */
  static constexpr unsigned kFlight = Format::kBits == 8 ? 1 : 2;

  DEVICE static uint32_t pieces(const LinearJob& job) { return job.matrix.columns / kBlock; }

  DEVICE static Piece load(const LinearJob& job, uint32_t output, uint32_t piece) {
    return Piece(BlockRow<Format>(job.matrix, output), piece);
  }

  template <unsigned kRows>
  DEVICE static void accumulate(const LinearJob& job, const uint32_t (&rows)[kRows], uint32_t piece,
                                const Piece (&loaded)[kGroupOutputs], float (&sums)[kGroupOutputs * kRows]) {
    uint32_t x[kRows][8];
    ByteScale scales[kRows];
    UNROLL
    for (unsigned r = 0; r < kRows; r++) {
      const Prepared& from = job.prepared;
      const Words4* values =
          reinterpret_cast<const Words4*>(static_cast<const int8_t*>(from.values) + size_t{rows[r]} * from.stride);
      UNROLL
      for (unsigned i = 0; i < 2; i++) {
        const Words4 read = rwkv::load(values + 2 * piece + i);
        UNROLL
        for (unsigned j = 0; j < 4; j++) x[r][4 * i + j] = read.word[j];
      }
      scales[r] = ByteScale(from, rows[r], piece);
    }
    UNROLL
    for (unsigned o = 0; o < kGroupOutputs; o++) {
      uint32_t weights[8];
      UNROLL
      for (unsigned g = 0; g < 8; g++) weights[g] = loaded[o].group(g);
      const float scale = loaded[o].scales.scale(0), later = loaded[o].scales.scale(1),
                  offset = loaded[o].scales.offset();
      UNROLL
      for (unsigned r = 0; r < kRows; r++) {
        int products[2] = {-Format::kZero * scales[r].sum(0), -Format::kZero * scales[r].sum(1)};
        UNROLL
        for (unsigned g = 0; g < 8; g++) products[g / 4] = dotBytes(weights[g], x[r][g], products[g / 4]);
        float sum;
        if constexpr (Format::kHalves)
          sum = fused(scale, static_cast<float>(products[0]), later * static_cast<float>(products[1]));
        else sum = scale * static_cast<float>(products[0] + products[1]);
        if constexpr (Format::kOffset)
          sum = fused(offset, static_cast<float>(scales[r].sum(0) + scales[r].sum(1)), sum);
        sums[o * kRows + r] = fused(scales[r].scale, sum, sums[o * kRows + r]);
      }
    }
  }
};

#define LINEAR_BLOCK(name, Format, rows)                                                           \
  KERNEL_BOUNDED(linear_blocks_##name##_##rows, LinearArguments, kLaneThreads, laneBlocks(rows)) { \
    linearLanes<BlockPieces<Format>, rows>(step, arguments);                                       \
  }
#define LINEAR_BLOCKS(name, Format) \
  LINEAR_BLOCK(name, Format, 1)     \
  LINEAR_BLOCK(name, Format, 2)     \
  LINEAR_BLOCK(name, Format, 4)

LINEAR_BLOCKS(q8_0, Q8_0)
LINEAR_BLOCKS(q4_0, Q4_0)
LINEAR_BLOCKS(q4_1, Q4_1)
LINEAR_BLOCKS(q5_0, Q5_0)
LINEAR_BLOCKS(q5_1, Q5_1)
LINEAR_BLOCKS(q4_k, Q4K)
LINEAR_BLOCKS(q5_k, Q5K)
LINEAR_BLOCKS(q6_k, Q6K)

}  // namespace rwkv
