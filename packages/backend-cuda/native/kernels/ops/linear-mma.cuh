/**
 * Products of many rows of x by matrix units, either layout (linear.cuh). x comes rounded from prepare_f16 or
 * prepare_bf16.
 *
 * A block owns a tile: 64 rows of x and 64 outputs, or 128 and 128, with four warps, two by two, or 128 and 256 with
 * eight. The larger a warp's part, the fewer reads of shared memory for a product of the units: 16 columns are 8
 * products for 2 KiB (64), or 32 for 4 KiB. The larger a tile, the fewer reads of L2: 32, 64 or 85 operations for a
 * byte. x is the A of a product, W the B. Both pass through shared memory in slices of kDepth columns, kSlices of which
 * are there or on their way, while one is multiplied. Weights in blocks are read into registers meanwhile, and go to
 * shared memory as f16 once the slice before is done.
 *
 * Shared memory, for each slice: x [kRows][kDepth]; W [kOutputs][kDepth] in rows, [kDepth][kOutputs] in columns; 16-bit
 * numbers. The pieces of 16 bytes of a row are exchanged (swizzled), so that the eight rows which a read takes at once
 * lie in different banks. What does not exist is zero.
 *
 * With `splits` a block does a part of the columns and leaves its sums in `partials`
 * [tiles][splits][kRows][kOutputs]; the last to come adds up all parts in their order, so that it does not matter which
 * block that is.
 */
#pragma once

#include "kernels/linear.cuh"
#include "kernels/ops/linear-halves.cuh"

namespace rwkv {

template <unsigned rows, unsigned outputs>
struct TileShape {
  static constexpr unsigned kRows = rows, kOutputs = outputs, kDepth = rows == 64 ? 64 : 32;
  /** Rows, and outputs, of a warp; products along either. */
  static constexpr unsigned kPart = rows / 2, kRowTiles = kPart / 16, kOutputTiles = kPart / 8;
  static constexpr unsigned kThreads = 2 * (outputs / kPart) * kWarp;
  static constexpr unsigned kSlices = outputs == 256 ? 4 : 3;
  static constexpr unsigned kRowBytes = rows * kDepth * 2, kSliceBytes = kRowBytes + outputs * kDepth * 2;
};
using SmallTile = TileShape<64, 64>;
using LargeTile = TileShape<128, 128>;
/** For plain weights alone, with 96 KiB of shared memory: from sm_80 on. */
using WideTile = TileShape<128, 256>;

/** What a thread has of its warp's sums. */
template <class Shape>
using TileSums = float[Shape::kRowTiles][Shape::kOutputTiles][4];

/** Where piece `piece` of row `row` lies, in bytes, of rows of `pieces` (4, 8 or 16) pieces. */
template <unsigned pieces>
DEVICE unsigned swizzled(unsigned row, unsigned piece) {
  const unsigned turned = pieces == 4 ? piece ^ (row / 2 & 3) : piece ^ (row & 7);
  return (row * pieces + turned) * 16;
}

/** Rows [first, first + rows) of 16-bit numbers, columns from `column` on; those from `count` on do not exist. */
template <class Shape, unsigned rows>
DEVICE void copyRows(unsigned char* to, const void* from, size_t stride, uint32_t first, uint32_t count,
                     uint32_t column) {
  constexpr unsigned kPieces = Shape::kDepth / 8;
  UNROLL
  for (unsigned i = 0; i < rows * kPieces / Shape::kThreads; i++) {
    const unsigned item = threadIndex() + i * Shape::kThreads, row = item / kPieces, piece = item % kPieces;
    const bool exists = first + row < count && column + 8 * piece < stride;
    const uint16_t* at =
        static_cast<const uint16_t*>(from) + (exists ? (first + row) * stride + column + 8 * piece : 0);
    copyLater(to + swizzled<kPieces>(row, piece), at, exists);
  }
}

/** Weights that lie as they are multiplied, in rows. */
template <class Shape>
struct RowSlices {
  static constexpr bool kInColumns = false;
  DEVICE void copy(const Matrix& matrix, uint32_t firstOutput, uint32_t column, unsigned char* to) {
    copyRows<Shape, Shape::kOutputs>(to, matrix.quants, matrix.stride, firstOutput, matrix.rows, column);
  }
  DEVICE void read(const Matrix&, uint32_t, uint32_t) {}
  DEVICE void write(unsigned char*) {}
};

/** The same in columns. */
template <class Shape>
struct ColumnSlices {
  static constexpr bool kInColumns = true;
  DEVICE void copy(const Matrix& matrix, uint32_t firstOutput, uint32_t column, unsigned char* to) {
    constexpr unsigned kPieces = Shape::kOutputs / 8;
    UNROLL
    for (unsigned i = 0; i < Shape::kDepth * kPieces / Shape::kThreads; i++) {
      const unsigned item = threadIndex() + i * Shape::kThreads, row = item / kPieces, piece = item % kPieces;
      const bool exists = column + row < matrix.columns && firstOutput + 8 * piece < matrix.stride;
      const size_t at = exists ? size_t{column + row} * matrix.stride + firstOutput + 8 * piece : 0;
      copyLater(to + swizzled<kPieces>(row, piece), static_cast<const uint16_t*>(matrix.quants) + at, exists);
    }
  }
  DEVICE void read(const Matrix&, uint32_t, uint32_t) {}
  DEVICE void write(unsigned char*) {}
};

/**
 * Weights in blocks. An item is half of a block's words: groups 2h, 2h + 1 and four further on, which are pieces h and
 * h + 2 of the block's four.
 */
template <class Shape, class Format>
struct BlockSlices {
  static constexpr bool kInColumns = false;
  static constexpr unsigned kHalves = Shape::kDepth / 16, kItems = Shape::kOutputs * kHalves / Shape::kThreads;
  static constexpr unsigned kPairs = Format::kBits == 8 ? 2 : 1;
  Words2 quants[kItems][kPairs];
  uint32_t highs[kItems][2];
  ScaleBits<Format> scales[kItems];
  bool exists[kItems];

  DEVICE void copy(const Matrix&, uint32_t, uint32_t, unsigned char*) {}
  DEVICE void read(const Matrix& matrix, uint32_t firstOutput, uint32_t column) {
    UNROLL
    for (unsigned i = 0; i < kItems; i++) {
      const unsigned item = threadIndex() + i * Shape::kThreads, half = item % 2;
      const uint32_t output = firstOutput + item / kHalves, block = column / kBlock + item % kHalves / 2;
      exists[i] = block < matrix.columns / kBlock;
      const uint32_t at = exists[i] ? block : 0;
      const BlockRow<Format> row(matrix, smaller(output, matrix.rows - 1));
      const Words2* from = reinterpret_cast<const Words2*>(row.quants) + at * (Format::kBits / 2) + half;
      UNROLL
      for (unsigned p = 0; p < kPairs; p++) quants[i][p] = load(from + 2 * p);
      loadHighs(row, at, highs[i]);
      scales[i] = ScaleBits<Format>(row, at);
    }
  }
  DEVICE void write(unsigned char* to) {
    UNROLL
    for (unsigned i = 0; i < kItems; i++) {
      const unsigned item = threadIndex() + i * Shape::kThreads, half = item % 2;
      const HalfScales<Format> decoder(scales[i]);
      Words4 early = {}, late = {};
      if (exists[i]) {
        UNROLL
        for (unsigned j = 0; j < 2; j++) {
          uint32_t pair[2];
          decoder.decode(groupBytes<Format, false>(quants[i][0].word[j], highs[i], 2 * half + j), 0, pair);
          early.word[2 * j] = pair[0];
          early.word[2 * j + 1] = pair[1];
          decoder.decode(groupBytes<Format, true>(quants[i][kPairs - 1].word[j], highs[i], 2 * half + j), 1, pair);
          late.word[2 * j] = pair[0];
          late.word[2 * j + 1] = pair[1];
        }
      }
      const unsigned row = item / kHalves, piece = item % kHalves / 2 * 4 + half;
      *reinterpret_cast<Words4*>(to + swizzled<Shape::kDepth / 8>(row, piece)) = early;
      *reinterpret_cast<Words4*>(to + swizzled<Shape::kDepth / 8>(row, piece + 2)) = late;
    }
  }
};

/** Multiplies one slice. */
template <class Units, class Shape, bool inColumns>
DEVICE void multiplySlice(const unsigned char* x, const unsigned char* weights, unsigned warpRow, unsigned warpOutput,
                          TileSums<Shape>& sums) {
  const unsigned lane = laneIndex(), eighth = lane % 8, matrix = lane / 8;
  UNROLL
  for (unsigned k = 0; k < Shape::kDepth; k += 16) {
    uint32_t b[Shape::kOutputTiles][2];
    UNROLL
    for (unsigned n = 0; n < Shape::kOutputTiles / 2; n++) {
      const unsigned output = warpOutput + 16 * n;
      uint32_t read[4];
      if constexpr (inColumns) {
        loadMatricesTransposed(
            read, weights + swizzled<Shape::kOutputs / 8>(k + matrix % 2 * 8 + eighth, output / 8 + matrix / 2));
      } else {
        loadMatrices(read, weights + swizzled<Shape::kDepth / 8>(output + matrix / 2 * 8 + eighth, k / 8 + matrix % 2));
      }
      UNROLL
      for (unsigned i = 0; i < 4; i++) b[2 * n + i / 2][i % 2] = read[i];
    }
    UNROLL
    for (unsigned m = 0; m < Shape::kRowTiles; m++) {
      uint32_t a[4];
      loadMatrices(a, x + swizzled<Shape::kDepth / 8>(warpRow + 16 * m + matrix % 2 * 8 + eighth, k / 8 + matrix / 2));
      UNROLL
      for (unsigned n = 0; n < Shape::kOutputTiles; n++) Units::multiply(sums[m][n], a, b[n]);
    }
  }
}

/**
 * Gives `take` each sum of the tile with its row and output in the tile: 32 rows of a warp at a time go through shared
 * memory, so that its lanes are neighbouring outputs.
 */
template <class Shape, class Take>
DEVICE void forEachSum(const TileSums<Shape>& sums, unsigned char* shared, unsigned warpRow, unsigned warpOutput,
                       const Take& take) {
  float (&room)[32][Shape::kPart + 1] = reinterpret_cast<float (*)[32][Shape::kPart + 1]>(shared)[warpIndex()];
  const unsigned g = laneIndex() / 4, t = laneIndex() % 4;
  UNROLL
  for (unsigned pass = 0; pass < Shape::kRowTiles / 2; pass++) {
    UNROLL
    for (unsigned i = 0; i < 8 * Shape::kOutputTiles; i++) {
      const unsigned m = i / (4 * Shape::kOutputTiles), n = i / 4 % Shape::kOutputTiles;
      room[16 * m + g + i % 4 / 2 * 8][8 * n + 2 * t + i % 2] = sums[2 * pass + m][n][i % 4];
    }
    warpBarrier();
    for (unsigned i = laneIndex(); i < 32 * Shape::kPart; i += kWarp) {
      const unsigned row = i / Shape::kPart, output = i % Shape::kPart;
      take(warpRow + 32 * pass + row, warpOutput + output, room[row][output]);
    }
    warpBarrier();
  }
}

template <class Units, class Shape, class Slices>
DEVICE void linearMma(const Step* step, const LinearArguments& arguments) {
  DYNAMIC_SHARED(shared);
  const uint32_t firstRow = blockX() * Shape::kRows, rowCount = step->counts[arguments.rows];
  if (firstRow >= rowCount) return;
  const LinearJob& job = findJob(arguments);
  const Matrix& matrix = job.matrix;
  const uint32_t own = blockY() - job.first_block, tile = own / job.splits, split = own - tile * job.splits;
  const uint32_t firstOutput = tile * Shape::kOutputs;
  const uint32_t all = (matrix.columns + Shape::kDepth - 1) / Shape::kDepth, each = (all + job.splits - 1) / job.splits;
  const uint32_t begin = smaller(split * each, all), end = smaller(begin + each, all);
  const unsigned warpRow = warpIndex() % 2 * Shape::kPart, warpOutput = warpIndex() / 2 * Shape::kPart;
  const auto sliceOfX = [&](uint32_t slice) { return shared + slice % Shape::kSlices * Shape::kSliceBytes; };
  const auto sliceOfWeights = [&](uint32_t slice) { return sliceOfX(slice) + Shape::kRowBytes; };

  Slices slices;
  const auto copy = [&](uint32_t slice) {
    if (slice < end) {
      copyRows<Shape, Shape::kRows>(sliceOfX(slice), job.prepared.values, job.prepared.stride, firstRow, rowCount,
                                    slice * Shape::kDepth);
      slices.copy(matrix, firstOutput, slice * Shape::kDepth, sliceOfWeights(slice));
    }
    endCopies();
  };
  UNROLL
  for (uint32_t i = 0; i + 1 < Shape::kSlices; i++) copy(begin + i);
  if (begin < end) {
    slices.read(matrix, firstOutput, begin * Shape::kDepth);
    slices.write(sliceOfWeights(begin));
  }
  TileSums<Shape> sums = {};
  for (uint32_t slice = begin; slice < end; slice++) {
    waitForCopies<Shape::kSlices - 2>();
    blockBarrier();
    copy(slice + Shape::kSlices - 1);
    if (slice + 1 < end) slices.read(matrix, firstOutput, (slice + 1) * Shape::kDepth);
    multiplySlice<Units, Shape, Slices::kInColumns>(sliceOfX(slice), sliceOfWeights(slice), warpRow, warpOutput, sums);
    if (slice + 1 < end) slices.write(sliceOfWeights(slice + 1));
  }
  blockBarrier();
  const auto finish = [&](unsigned row, unsigned output, float sum) {
    const uint32_t r = firstRow + row, o = firstOutput + output;
    if (r < rowCount && o < matrix.rows) finishOutput(job, r, o, sum * Units::scale(job.prepared, r));
  };
  constexpr size_t kTile = Shape::kRows * Shape::kOutputs;
  const uint32_t place = blockX() * ((matrix.rows + Shape::kOutputs - 1) / Shape::kOutputs) + tile;
  float* partials = job.partials + size_t{place} * job.splits * kTile;
  forEachSum<Shape>(sums, shared, warpRow, warpOutput, [&](unsigned row, unsigned output, float sum) {
    if (job.splits == 1) finish(row, output, sum);
    else partials[split * kTile + row * Shape::kOutputs + output] = sum;
  });
  if (job.splits == 1 || !isLastSplit(job, place, reinterpret_cast<uint32_t*>(shared))) return;
  for (unsigned i = threadIndex(); i < kTile; i += Shape::kThreads) {
    float sum = 0;
    for (uint32_t s = 0; s < job.splits; s++) sum += loadFresh(partials + s * kTile + i);
    finish(i / Shape::kOutputs, i % Shape::kOutputs, sum);
  }
}

#define LINEAR_MMA(name, Shape, blocks, Units, ...)                             \
  KERNEL_BOUNDED(linear_mma_##name, LinearArguments, Shape::kThreads, blocks) { \
    linearMma<Units, Shape, __VA_ARGS__>(step, arguments);                      \
  }
#define LINEAR_MMA_PLAIN(name, Units, Slices)                                  \
  LINEAR_MMA(name##_64, SmallTile, 2 * kBlocksOf48K, Units, Slices<SmallTile>) \
  LINEAR_MMA(name##_128, LargeTile, kBlocksOf48K, Units, Slices<LargeTile>)    \
  LINEAR_MMA(name##_256, WideTile, 1, Units, Slices<WideTile>)
#define LINEAR_MMA_BLOCKS(name, Format)                                                         \
  LINEAR_MMA(name##_64, SmallTile, 2 * kBlocksOf48K, HalfUnits, BlockSlices<SmallTile, Format>) \
  LINEAR_MMA(name##_128, LargeTile, kBlocksOf48K, HalfUnits, BlockSlices<LargeTile, Format>)

LINEAR_MMA_PLAIN(f16, HalfUnits, RowSlices)
LINEAR_MMA_PLAIN(f16_columns, HalfUnits, ColumnSlices)
LINEAR_MMA_PLAIN(bf16, BfloatUnits, RowSlices)
LINEAR_MMA_PLAIN(bf16_columns, BfloatUnits, ColumnSlices)
LINEAR_MMA_BLOCKS(q8_0, Q8_0)
LINEAR_MMA_BLOCKS(q4_0, Q4_0)
LINEAR_MMA_BLOCKS(q4_1, Q4_1)
LINEAR_MMA_BLOCKS(q5_0, Q5_0)
LINEAR_MMA_BLOCKS(q5_1, Q5_1)
LINEAR_MMA_BLOCKS(q4_k, Q4K)
LINEAR_MMA_BLOCKS(q5_k, Q5K)
LINEAR_MMA_BLOCKS(q6_k, Q6K)

}  // namespace rwkv
