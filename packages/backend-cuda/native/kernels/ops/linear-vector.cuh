/**
 * Products of 1, 2 or 4 rows of x (f32: 8 too) with plain weights in rows (linear.cuh): exact products, summed in f32.
 * x is read as it lies, by lanes that use it for four outputs, and mostly comes from L1.
 *
 * Blocks and threads are those of linear-lanes.cuh; a piece is 16 bytes of a row of W.
 */
#pragma once

#include "kernels/ops/linear-lanes.cuh"
#include "kernels/weight-formats.cuh"

namespace rwkv {

template <class Format>
struct PlainPieces {
  using Piece = Words4;
  static constexpr unsigned kFlight = 2;

  DEVICE static uint32_t pieces(const LinearJob& job) {
    return (job.matrix.columns + Format::kPiece - 1) / Format::kPiece;
  }

  DEVICE static Words4 load(const LinearJob& job, uint32_t output, uint32_t piece) {
    constexpr size_t kBytes = 16 / Format::kPiece;
    const unsigned char* row =
        static_cast<const unsigned char*>(job.matrix.quants) + size_t{output} * job.matrix.stride * kBytes;
    return loadStreaming(reinterpret_cast<const Words4*>(row) + piece);
  }

  template <unsigned kRows>
  DEVICE static void accumulate(const LinearJob& job, const uint32_t (&rows)[kRows], uint32_t piece,
                                const Words4 (&loaded)[kGroupOutputs], float (&sums)[kGroupOutputs * kRows]) {
    const bool aligned = isAligned(job.x);
    float x[kRows][Format::kPiece];
    UNROLL
    for (unsigned r = 0; r < kRows; r++)
      loadNumbers(job.x.row(rows[r]), piece * Format::kPiece, job.matrix.columns, aligned, x[r]);
    UNROLL
    for (unsigned o = 0; o < kGroupOutputs; o++) {
      float weights[Format::kPiece];
      Format::decode(loaded[o], weights);
      UNROLL
      for (unsigned r = 0; r < kRows; r++) {
        UNROLL
        for (unsigned i = 0; i < Format::kPiece; i++)
          sums[o * kRows + r] = fused(x[r][i], weights[i], sums[o * kRows + r]);
      }
    }
  }
};

#define LINEAR_VECTOR(name, Format, rows)                                                          \
  KERNEL_BOUNDED(linear_vector_##name##_##rows, LinearArguments, kLaneThreads, laneBlocks(rows)) { \
    linearLanes<PlainPieces<Format>, rows>(step, arguments);                                       \
  }
#define LINEAR_VECTORS(name, Format) \
  LINEAR_VECTOR(name, Format, 1)     \
  LINEAR_VECTOR(name, Format, 2)     \
  LINEAR_VECTOR(name, Format, 4)

LINEAR_VECTORS(f32, F32)
LINEAR_VECTORS(f16, F16)
LINEAR_VECTORS(bf16, Bf16)
LINEAR_VECTOR(f32, F32, 8)

}  // namespace rwkv
