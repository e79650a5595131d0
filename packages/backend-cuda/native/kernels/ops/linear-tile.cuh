/**
 * Products of any number of rows of x, every format and layout, in f32 arithmetic (linear.cuh): the way for f32
 * weights, and for all where there are no matrix units. Block formats are decoded exactly.
 *
 * A block of 256 threads owns 64 rows of x and 64 outputs; a thread 4 x 4 of these. Both operands pass through shared
 * memory in slices of 32 columns, [32][64]. Rows that do not exist, and columns beyond the end, are zeros.
 */
#pragma once

#include "kernels/linear.cuh"
#include "kernels/weight-formats.cuh"

namespace rwkv {

constexpr unsigned kTile = 64, kTileThreads = 256, kSlice = 32;
/** Filled up, so that threads which write a column of a slice meet other banks. */
constexpr unsigned kTileStride = kTile + 4;

using TileSlice = float[kSlice][kTileStride];

/** Plain numbers in rows: a thread brings eight columns of a row. */
template <class Format>
struct PlainRows {
  DEVICE static void load(const Matrix& matrix, uint32_t firstOutput, uint32_t column, TileSlice& to) {
    const unsigned output = threadIndex() / 4, part = threadIndex() % 4 * 8;
    constexpr size_t kBytes = 16 / Format::kPiece;
    const uint32_t row = smaller(firstOutput + output, matrix.rows - 1);
    const unsigned char* from = static_cast<const unsigned char*>(matrix.quants) + size_t{row} * matrix.stride * kBytes;
    UNROLL
    for (unsigned i = 0; i < 8; i += Format::kPiece) {
      const uint32_t at = column + part + i;
      float numbers[Format::kPiece] = {};
      if (at < matrix.columns) Format::decode(rwkv::load(reinterpret_cast<const Words4*>(from + at * kBytes)), numbers);
      UNROLL
      for (unsigned j = 0; j < Format::kPiece; j++) to[part + i + j][output] = numbers[j];
    }
  }
};

/** Plain numbers in columns: a thread brings eight outputs of a column. */
template <class Format>
struct PlainColumns {
  DEVICE static void load(const Matrix& matrix, uint32_t firstOutput, uint32_t column, TileSlice& to) {
    const unsigned own = threadIndex() / 8, part = threadIndex() % 8 * 8;
    constexpr size_t kBytes = 16 / Format::kPiece;
    const unsigned char* from =
        static_cast<const unsigned char*>(matrix.quants) + size_t{column + own} * matrix.stride * kBytes;
    UNROLL
    for (unsigned i = 0; i < 8; i += Format::kPiece) {
      const uint32_t at = firstOutput + part + i;
      float numbers[Format::kPiece] = {};
      if (at < matrix.stride && column + own < matrix.columns) {
        Format::decode(rwkv::load(reinterpret_cast<const Words4*>(from + at * kBytes)), numbers);
      }
      UNROLL
      for (unsigned j = 0; j < Format::kPiece; j++) to[own][part + i + j] = numbers[j];
    }
  }
};

/** Blocks: a thread brings groups `part` and `part` + 4 of a row's block. */
template <class Format>
struct BlockRows {
  DEVICE static void load(const Matrix& matrix, uint32_t firstOutput, uint32_t column, TileSlice& to) {
    const unsigned output = threadIndex() / 4, part = threadIndex() % 4;
    const BlockRow<Format> row(matrix, smaller(firstOutput + output, matrix.rows - 1));
    const uint32_t block = column / kBlock;
    const uint32_t* quants = reinterpret_cast<const uint32_t*>(row.quants) + block * Format::kBits + part;
    const ScaleBits<Format> scales(row, block);
    uint32_t highs[2];
    loadHighs(row, block, highs);
    const uint32_t early = groupBytes<Format, false>(quants[0], highs, part);
    const uint32_t late = groupBytes<Format, true>(quants[Format::kBits == 8 ? 4 : 0], highs, part);
    const float offset = scales.offset();
    UNROLL
    for (unsigned b = 0; b < 4; b++) {
      const unsigned k = 4 * part + orderInGroup(b);
      to[k][output] = number(early >> 8 * b, scales.scale(0), offset);
      to[16 + k][output] = number(late >> 8 * b, scales.scale(1), offset);
    }
  }
  DEVICE static float number(uint32_t bits, float scale, float offset) {
    const int q = Format::kBits == 8 ? static_cast<int8_t>(bits) : static_cast<int>(bits & 0xffu) - Format::kZero;
    return fused(scale, static_cast<float>(q), offset);
  }
};

template <class Weights>
DEVICE void linearTile(const Step* step, const LinearArguments& arguments) {
  SHARED Words4 aligned16[2 * kSlice * kTileStride / 4];
  float* room = reinterpret_cast<float*>(aligned16);
  TileSlice& weights = *reinterpret_cast<TileSlice*>(room);
  TileSlice& rows = *reinterpret_cast<TileSlice*>(room + kSlice * kTileStride);
  const uint32_t firstRow = blockX() * kTile, rowCount = step->counts[arguments.rows];
  if (firstRow >= rowCount) return;
  const LinearJob& job = findJob(arguments);
  const uint32_t firstOutput = (blockY() - job.first_block) * kTile;
  const bool aligned = isAligned(job.x);
  const unsigned x4 = threadIndex() / 16 * 4, w4 = threadIndex() % 16 * 4;

  float sums[4][4] = {};
  for (uint32_t column = 0; column < job.matrix.columns; column += kSlice) {
    Weights::load(job.matrix, firstOutput, column, weights);
    const unsigned row = threadIndex() / 4, part = threadIndex() % 4 * 8;
    float numbers[8] = {};
    if (firstRow + row < rowCount)
      loadNumbers(job.x.row(firstRow + row), column + part, job.matrix.columns, aligned, numbers);
    UNROLL
    for (unsigned i = 0; i < 8; i++) rows[part + i][row] = numbers[i];
    blockBarrier();
    UNROLL
    for (unsigned k = 0; k < kSlice; k++) {
      const Words4 x = load(reinterpret_cast<const Words4*>(&rows[k][x4])),
                   w = load(reinterpret_cast<const Words4*>(&weights[k][w4]));
      UNROLL
      for (unsigned i = 0; i < 4; i++) {
        UNROLL
        for (unsigned j = 0; j < 4; j++) sums[i][j] = fused(floatOf(x.word[i]), floatOf(w.word[j]), sums[i][j]);
      }
    }
    blockBarrier();
  }

  // Through shared memory, so that neighbouring threads finish neighbouring outputs, in one piece of code.
  UNROLL
  for (unsigned i = 0; i < 4; i++) {
    UNROLL
    for (unsigned j = 0; j < 4; j++) room[(x4 + i) * kTileStride + w4 + j] = sums[i][j];
  }
  blockBarrier();
  for (unsigned i = threadIndex(); i < kTile * kTile; i += kTileThreads) {
    const uint32_t row = i / kTile, output = i % kTile;
    if (firstRow + row >= rowCount || firstOutput + output >= job.matrix.rows) continue;
    finishOutput(job, firstRow + row, firstOutput + output, room[row * kTileStride + output]);
  }
}

#define LINEAR_TILE(name, Weights) \
  KERNEL_BOUNDED(linear_tile_##name, LinearArguments, kTileThreads, 2) { linearTile<Weights>(step, arguments); }

LINEAR_TILE(f32, PlainRows<F32>)
LINEAR_TILE(f16, PlainRows<F16>)
LINEAR_TILE(bf16, PlainRows<Bf16>)
LINEAR_TILE(f32_columns, PlainColumns<F32>)
LINEAR_TILE(f16_columns, PlainColumns<F16>)
LINEAR_TILE(bf16_columns, PlainColumns<Bf16>)
LINEAR_TILE(q8_0, BlockRows<Q8_0>)
LINEAR_TILE(q4_0, BlockRows<Q4_0>)
LINEAR_TILE(q4_1, BlockRows<Q4_1>)
LINEAR_TILE(q5_0, BlockRows<Q5_0>)
LINEAR_TILE(q5_1, BlockRows<Q5_1>)
LINEAR_TILE(q4_k, BlockRows<Q4K>)
LINEAR_TILE(q5_k, BlockRows<Q5K>)
LINEAR_TILE(q6_k, BlockRows<Q6K>)

}  // namespace rwkv
