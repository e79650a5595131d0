/**
 * Products of 1 row of x, or up to 4, most of whose numbers are zero, as relu² leaves them; plain weights in columns
 * (linear.cuh). Only columns that a number other than zero meets are read; NaN and infinities are such numbers.
 *
 * A block of four warps owns 256 outputs and one of `splits` parts of the columns. A warp takes 128 columns in turn: it
 * lists those that count, by ballots, in their order, then reads them, eight at a time in flight; a lane owns eight
 * neighbouring outputs. The warps add up in shared memory, the splits in `partials` [tiles][splits][rows][256], where
 * the last block to come adds them in their order.
 */
#pragma once

#include "kernels/linear.cuh"
#include "kernels/weight-formats.cuh"

namespace rwkv {

constexpr unsigned kColumnWarps = 4, kColumnThreads = kColumnWarps * kWarp, kColumnOutputs = 256, kListed = 128;

/** Columns that count, of those that a warp looks at, and the numbers of x that meet them. */
template <unsigned kRows>
struct ColumnList {
  uint32_t column[kListed];
  float x[kListed][kRows];
};

/** Lists what counts of columns [first, first + kListed) below `end`; returns how many. For a whole warp. */
template <unsigned kRows>
DEVICE unsigned listColumns(const float* const (&x)[kRows], uint32_t first, uint32_t end, ColumnList<kRows>& list) {
  unsigned count = 0;
  UNROLL
  for (unsigned i = 0; i < kListed / kWarp; i++) {
    const uint32_t column = first + i * kWarp + laneIndex();
    float numbers[kRows];
    bool counts = false;
    UNROLL
    for (unsigned r = 0; r < kRows; r++) {
      numbers[r] = column < end ? x[r][column] : 0.0f;
      counts = counts || numbers[r] != 0.0f;
    }
    const unsigned all = ballot(counts);
    if (counts) {
      const unsigned at = count + countBits(all & ((1u << laneIndex()) - 1));
      list.column[at] = column;
      UNROLL
      for (unsigned r = 0; r < kRows; r++) list.x[at][r] = numbers[r];
    }
    count += countBits(all);
  }
  warpBarrier();
  return count;
}

/** Adds x times the listed columns; a lane's eight outputs begin at `output`. */
template <class Format, unsigned kRows>
DEVICE void addListed(const Matrix& matrix, uint32_t output, const ColumnList<kRows>& list, unsigned count,
                      float (&sums)[kRows][8]) {
  constexpr unsigned kPieces = 8 / Format::kPiece, kFlight = 8 / kPieces;
  for (unsigned i = 0; i < count; i += kFlight) {
    Words4 loaded[kFlight][kPieces];
    UNROLL
    for (unsigned f = 0; f < kFlight; f++) {
      const size_t column = list.column[smaller(i + f, count - 1)];
      UNROLL
      for (unsigned p = 0; p < kPieces; p++) {
        const uint32_t first = output + p * Format::kPiece;
        const unsigned char* at =
            static_cast<const unsigned char*>(matrix.quants) + (column * matrix.stride + first) * (16 / Format::kPiece);
        loaded[f][p] = first < matrix.stride ? loadStreaming(reinterpret_cast<const Words4*>(at)) : Words4{};
      }
    }
    UNROLL
    for (unsigned f = 0; f < kFlight; f++) {
      if (i + f >= count) break;
      UNROLL
      for (unsigned p = 0; p < kPieces; p++) {
        float weights[Format::kPiece];
        Format::decode(loaded[f][p], weights);
        UNROLL
        for (unsigned r = 0; r < kRows; r++) {
          UNROLL
          for (unsigned j = 0; j < Format::kPiece; j++) {
            float& sum = sums[r][p * Format::kPiece + j];
            sum = fused(list.x[i + f][r], weights[j], sum);
          }
        }
      }
    }
  }
}

template <class Format, unsigned kRows>
DEVICE void linearColumns(const Step* step, const LinearArguments& arguments) {
  SHARED ColumnList<kRows> lists[kColumnWarps];
  SHARED float room[kColumnWarps][kRows][kColumnOutputs];
  SHARED uint32_t word;
  const uint32_t firstRow = blockX() * kRows, rowCount = step->counts[arguments.rows];
  if (firstRow >= rowCount) return;
  const LinearJob& job = findJob(arguments);
  const Matrix& matrix = job.matrix;
  const uint32_t own = blockY() - job.first_block, tile = own / job.splits, split = own - tile * job.splits;
  const uint32_t firstOutput = tile * kColumnOutputs;
  const uint32_t each = (matrix.columns + job.splits - 1) / job.splits;
  const uint32_t end = smaller((split + 1) * each, matrix.columns);
  const float* x[kRows];
  UNROLL
  for (unsigned r = 0; r < kRows; r++) x[r] = job.x.row(smaller(firstRow + r, rowCount - 1));

  float sums[kRows][8] = {};
  ColumnList<kRows>& list = lists[warpIndex()];
  for (uint32_t first = split * each + warpIndex() * kListed; first < end; first += kColumnWarps * kListed) {
    const unsigned count = listColumns(x, first, end, list);
    addListed<Format>(matrix, firstOutput + laneIndex() * 8, list, count, sums);
    // The list is read to its end before it is written again.
    warpBarrier();
  }

  UNROLL
  for (unsigned r = 0; r < kRows; r++) {
    UNROLL
    for (unsigned j = 0; j < 8; j++) room[warpIndex()][r][laneIndex() * 8 + j] = sums[r][j];
  }
  blockBarrier();
  const uint32_t tiles = (matrix.rows + kColumnOutputs - 1) / kColumnOutputs, place = blockX() * tiles + tile;
  float* partials = job.partials + size_t{place} * job.splits * kRows * kColumnOutputs;
  for (unsigned i = threadIndex(); i < kRows * kColumnOutputs; i += threadCount()) {
    const unsigned row = i / kColumnOutputs, output = i % kColumnOutputs;
    float sum = 0;
    UNROLL
    for (unsigned w = 0; w < kColumnWarps; w++) sum += room[w][row][output];
    if (job.splits > 1) partials[size_t{split} * kRows * kColumnOutputs + i] = sum;
    else room[0][row][output] = sum;
  }
  if (job.splits > 1 && !isLastSplit(job, place, &word)) return;
  for (unsigned i = threadIndex(); i < kRows * kColumnOutputs; i += threadCount()) {
    const unsigned row = i / kColumnOutputs, output = i % kColumnOutputs;
    if (firstRow + row >= rowCount || firstOutput + output >= matrix.rows) continue;
    float sum = 0;
    if (job.splits == 1) sum = room[0][row][output];
    else {
      for (uint32_t s = 0; s < job.splits; s++) sum += loadFresh(partials + size_t{s} * kRows * kColumnOutputs + i);
    }
    finishOutput(job, firstRow + row, firstOutput + output, sum);
  }
}

#define LINEAR_COLUMNS(name, Format, rows)                                             \
  KERNEL_BOUNDED(linear_columns_##name##_##rows, LinearArguments, kColumnThreads, 4) { \
    linearColumns<Format, rows>(step, arguments);                                      \
  }

LINEAR_COLUMNS(f32, F32, 1)
LINEAR_COLUMNS(f32, F32, 4)
LINEAR_COLUMNS(f16, F16, 1)
LINEAR_COLUMNS(f16, F16, 4)
LINEAR_COLUMNS(bf16, Bf16, 1)
LINEAR_COLUMNS(bf16, Bf16, 4)

}  // namespace rwkv
