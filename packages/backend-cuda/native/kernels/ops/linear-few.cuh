/**
 * Products of up to 8, 16 or 32 rows of x by matrix units, weights in rows (linear.cuh): as fast as the weights can be
 * read. x comes rounded from prepare_f16 or prepare_bf16.
 *
 * A block of eight warps owns 16 outputs (with up to 8 rows of x) or 32; its warps share the columns, each taking
 * `kFlight` steps in turn, and add up in shared memory, in the order of the warps. W is the A of a product, x the B.
 * Sixteen bytes of a row of W, as a lane loads them, are numbers 2t, 2t + 1, 2t + 8 and 2t + 9 of two products rather
 * than neighbours in one: the order of columns within a sum is free, as long as x is taken in the same. So weights go
 * from memory to matrix units through registers alone. In blocks of 32, a lane has a whole block of a row, which is
 * eight products.
 *
 * Lanes without a piece of their own read the last one again and multiply it by zeros.
 */
#pragma once

#include "kernels/linear.cuh"
#include "kernels/ops/linear-halves.cuh"

namespace rwkv {

/** Eight numbers of a row. */
struct PlainFragment {
  static constexpr unsigned kColumns = 8, kSteps = 4;
  /** Blocks that a multiprocessor has registers for. */
  static constexpr unsigned blocks(unsigned rows) { return rows == 32 ? 1 : 2; }
  Words4 numbers;

  DEVICE PlainFragment() {}
  DEVICE PlainFragment(const Matrix& matrix, uint32_t row, uint32_t piece)
      : numbers(loadStreaming(
            reinterpret_cast<const Words4*>(static_cast<const uint16_t*>(matrix.quants) + size_t{row} * matrix.stride) +
            piece)) {}
  /** Numbers 4g to 4g + 3. */
  DEVICE void group(unsigned g, uint32_t (&to)[2]) const {
    to[0] = numbers.word[2 * g];
    to[1] = numbers.word[2 * g + 1];
  }
};

/** A block of 32 numbers of a row. */
template <class Format>
struct BlockFragment {
  static constexpr unsigned kColumns = 32, kSteps = Format::kBits == 8 ? 1 : 2;
  static constexpr unsigned blocks(unsigned rows) {
    return rows == 32 || (rows == 16 && Format::kHighBits == 2) ? 1 : 2;
  }
  RawBlock<Format> block;

  DEVICE BlockFragment() {}
  DEVICE BlockFragment(const Matrix& matrix, uint32_t row, uint32_t piece)
      : block(BlockRow<Format>(matrix, row), piece) {}
  DEVICE void group(unsigned g, uint32_t (&to)[2]) const {
    HalfScales<Format>(block.scales).decode(block.group(g), g / 4, to);
  }
};

constexpr unsigned kFewWarps = 8, kFewThreads = kFewWarps * kWarp;

/**
 * Adds a lane's fragments, [output tiles][upper and lower eight outputs], times the numbers of x that meet them, which
 * begin at rows[n] + column, or times zeros.
 */
template <class Units, class Fragment, unsigned kOutputTiles, unsigned kRowTiles>
DEVICE void multiplyFragments(const Fragment (&weights)[kOutputTiles][2], const uint16_t* const (&rows)[kRowTiles],
                              uint32_t column, bool exists, float (&sums)[kOutputTiles][kRowTiles][4]) {
  UNROLL
  for (unsigned i = 0; i < Fragment::kColumns; i += 8) {
    Words4 x[kRowTiles];
    UNROLL
    for (unsigned n = 0; n < kRowTiles; n++) {
      x[n] = exists ? load(reinterpret_cast<const Words4*>(rows[n] + column + i)) : Words4{};
    }
    UNROLL
    for (unsigned half = 0; half < 2; half++) {
      UNROLL
      for (unsigned m = 0; m < kOutputTiles; m++) {
        uint32_t upper[2], lower[2];
        weights[m][0].group(i / 4 + half, upper);
        weights[m][1].group(i / 4 + half, lower);
        const uint32_t a[4] = {upper[0], lower[0], upper[1], lower[1]};
        UNROLL
        for (unsigned n = 0; n < kRowTiles; n++) {
          const uint32_t b[2] = {x[n].word[2 * half], x[n].word[2 * half + 1]};
          Units::multiply(sums[m][n], a, b);
        }
      }
    }
  }
}

template <class Units, class Fragment, unsigned kRows>
DEVICE void linearFew(const Step* step, const LinearArguments& arguments) {
  constexpr unsigned kOutputTiles = kRows == 8 ? 1 : 2, kRowTiles = kRows / 8, kOutputs = 16 * kOutputTiles;
  constexpr unsigned kFlight = Fragment::kSteps > kOutputTiles ? Fragment::kSteps / kOutputTiles : 1;
  SHARED float room[kFewWarps][kRows][kOutputs];
  const uint32_t firstRow = blockX() * kRows, rowCount = step->counts[arguments.rows];
  if (firstRow >= rowCount) return;
  const LinearJob& job = findJob(arguments);
  const uint32_t firstOutput = (blockY() - job.first_block) * kOutputs;
  const unsigned g = laneIndex() / 4, t = laneIndex() % 4;

  uint32_t outputs[kOutputTiles][2];
  UNROLL
  for (unsigned m = 0; m < 2 * kOutputTiles; m++)
    outputs[m / 2][m % 2] = smaller(firstOutput + 8 * m + g, job.matrix.rows - 1);
  const uint16_t* rows[kRowTiles];
  UNROLL
  for (unsigned n = 0; n < kRowTiles; n++) {
    rows[n] = static_cast<const uint16_t*>(job.prepared.values) +
              size_t{smaller(firstRow + 8 * n + g, rowCount - 1)} * job.prepared.stride;
  }

  float sums[kOutputTiles][kRowTiles][4] = {};
  const uint32_t pieces = (job.matrix.columns + Fragment::kColumns - 1) / Fragment::kColumns, steps = (pieces + 3) / 4;
  for (uint32_t first = warpIndex() * kFlight; first < steps; first += kFewWarps * kFlight) {
    Fragment weights[kFlight][kOutputTiles][2];
    UNROLL
    for (unsigned f = 0; f < kFlight; f++) {
      const uint32_t piece = smaller((first + f) * 4 + t, pieces - 1);
      UNROLL
      for (unsigned m = 0; m < kOutputTiles; m++) {
        UNROLL
        for (unsigned h = 0; h < 2; h++) weights[f][m][h] = Fragment(job.matrix, outputs[m][h], piece);
      }
    }
    UNROLL
    for (unsigned f = 0; f < kFlight; f++) {
      const uint32_t piece = (first + f) * 4 + t;
      multiplyFragments<Units>(weights[f], rows, piece * Fragment::kColumns, piece < pieces, sums);
    }
  }

  UNROLL
  for (unsigned m = 0; m < kOutputTiles; m++) {
    UNROLL
    for (unsigned n = 0; n < kRowTiles; n++) {
      UNROLL
      for (unsigned i = 0; i < 4; i++) room[warpIndex()][8 * n + 2 * t + i % 2][16 * m + i / 2 * 8 + g] = sums[m][n][i];
    }
  }
  blockBarrier();
  for (unsigned i = threadIndex(); i < kRows * kOutputs; i += threadCount()) {
    const uint32_t row = i / kOutputs, output = i % kOutputs;
    if (firstRow + row >= rowCount || firstOutput + output >= job.matrix.rows) continue;
    float sum = 0;
    for (unsigned w = 0; w < kFewWarps; w++) sum += room[w][row][output];
    finishOutput(job, firstRow + row, firstOutput + output, sum * Units::scale(job.prepared, firstRow + row));
  }
}

#define LINEAR_FEW_ROWS(name, Units, Fragment, rows)                                                 \
  KERNEL_BOUNDED(linear_few_##name##_##rows, LinearArguments, kFewThreads, Fragment::blocks(rows)) { \
    linearFew<Units, Fragment, rows>(step, arguments);                                               \
  }
#define LINEAR_FEW(name, Units, Fragment)    \
  LINEAR_FEW_ROWS(name, Units, Fragment, 8)  \
  LINEAR_FEW_ROWS(name, Units, Fragment, 16) \
  LINEAR_FEW_ROWS(name, Units, Fragment, 32)

LINEAR_FEW(f16, HalfUnits, PlainFragment)
LINEAR_FEW(bf16, BfloatUnits, PlainFragment)
LINEAR_FEW(q8_0, HalfUnits, BlockFragment<Q8_0>)
LINEAR_FEW(q4_0, HalfUnits, BlockFragment<Q4_0>)
LINEAR_FEW(q4_1, HalfUnits, BlockFragment<Q4_1>)
LINEAR_FEW(q5_0, HalfUnits, BlockFragment<Q5_0>)
LINEAR_FEW(q5_1, HalfUnits, BlockFragment<Q5_1>)
LINEAR_FEW(q4_k, HalfUnits, BlockFragment<Q4K>)
LINEAR_FEW(q5_k, HalfUnits, BlockFragment<Q5K>)
LINEAR_FEW(q6_k, HalfUnits, BlockFragment<Q6K>)

}  // namespace rwkv
