/**
 * out[r, o] = residual[r, o] + gate[r, o] activation(bias[o] + Σ_i x[r, i] W[o, i]), each part but the product
 * optional: what kernels of products share. x [rows, I], W [O, I], bias [O], the rest [rows, O].
 *
 * A launch does several such products (jobs), whose matrices share a format and a layout: blockX is for rows of x,
 * blockY runs over the blocks of the first job, then of the second. A job whose sum is split has `splits` blocks, one
 * after the other, for the same outputs.
 *
 * Sums are f32 in an order that depends on the kernel and the shape alone. Rows of x never meet in a sum, so a NaN
 * stays in its row.
 */
#pragma once

#include "kernels/math.cuh"
#include "kernels/matrix.h"

namespace rwkv {

struct LinearJob {
  Matrix matrix;
  ConstRows x;
  Prepared prepared;
  Rows out;
  ConstRows bias, gate, residual;
  /** For splits: sums of each block, and a count of the blocks that are done, 0 before and after a launch. */
  float* partials;
  uint32_t* counters;
  uint32_t activation, first_block, block_outputs, splits;
};
DESCRIBE(LinearJob, matrix, x, prepared, out, bias, gate, residual, partials, counters, activation, first_block,
         block_outputs, splits);

constexpr uint32_t kMostJobs = 8;

struct LinearArguments {
  uint32_t rows, job_count;
  LinearJob jobs[kMostJobs];
};
DESCRIBE(LinearArguments, rows, job_count, jobs);

/** The job of this block. */
DEVICE const LinearJob& findJob(const LinearArguments& arguments) {
  uint32_t job = 0;
  while (job + 1 < arguments.job_count && blockY() >= arguments.jobs[job + 1].first_block) job++;
  return arguments.jobs[job];
}

/** What becomes of a sum. */
DEVICE void finishOutput(const LinearJob& job, uint32_t row, uint32_t output, float sum) {
  if (job.bias) sum += job.bias.row(row)[output];
  sum = activate(job.activation, sum);
  if (job.gate) sum *= job.gate.row(row)[output];
  if (job.residual) sum += job.residual.row(row)[output];
  job.out.row(row)[output] = sum;
}

/**
 * True in the last block of a tile's splits to come here, which then sees the partial sums that all of them have
 * written. `room` is a word of shared memory, which every thread has done with. The counter is 0 again afterwards.
 */
DEVICE bool isLastSplit(const LinearJob& job, uint32_t tile, uint32_t* room) {
  globalFence();
  blockBarrier();
  if (threadIndex() == 0) *room = atomicIncrement(job.counters + tile);
  blockBarrier();
  const bool isLast = *room == job.splits - 1;
  blockBarrier();
  if (!isLast) return false;
  globalFence();
  if (threadIndex() == 0) job.counters[tile] = 0;
  return true;
}

DEVICE uint32_t smaller(uint32_t a, uint32_t b) { return a < b ? a : b; }

/** Whether rows lie at multiples of 16 bytes. */
DEVICE bool isAligned(const ConstRows& rows) {
  return ((reinterpret_cast<uintptr_t>(rows.at) | rows.stride * sizeof(float)) & 15) == 0;
}

/** `count` numbers of a row of `width` from `column` on; zeros beyond its end, whatever lies there. */
template <unsigned count>
DEVICE void loadNumbers(const float* row, uint32_t column, uint32_t width, bool aligned, float (&to)[count]) {
  if (aligned && column + count <= width) {
    UNROLL
    for (unsigned i = 0; i < count; i += 4) {
      const Words4 read = load(reinterpret_cast<const Words4*>(row + column + i));
      UNROLL
      for (unsigned j = 0; j < 4; j++) to[i + j] = floatOf(read.word[j]);
    }
  } else {
    UNROLL
    for (unsigned i = 0; i < count; i++) to[i] = column + i < width ? row[column + i] : 0.0f;
  }
}

}  // namespace rwkv
