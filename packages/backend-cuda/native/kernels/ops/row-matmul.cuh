/**
 * out[t, b] = Σ_a x[t, a] m[t, a·B + b]; x [_, A], m [_, A·B], out [_, B], f32: a matrix of its own for every row.
 *
 * blockX is the row, blockY the part of out's columns. A thread owns one number of out, and adds four sums side by
 * side.
 */
#pragma once

#include "kernels/step.h"

namespace rwkv {

struct RowMatmulArguments {
  ConstRows x, m;
  Rows out;
  uint32_t rows, width, inner;
};
DESCRIBE(RowMatmulArguments, x, m, out, rows, width, inner);

KERNEL_BOUNDED(row_matmul, RowMatmulArguments, 128, 4) {
  const uint32_t row = blockX(), b = blockY() * threadCount() + threadIndex();
  const uint32_t width = arguments.width, inner = arguments.inner;
  if (row >= step->counts[arguments.rows] || b >= width) return;
  const float* x = arguments.x.row(row);
  const float* m = arguments.m.row(row) + b;
  float sums[4] = {0, 0, 0, 0};
  uint32_t a = 0;
  for (; a + 4 <= inner; a += 4) {
    UNROLL
    for (uint32_t i = 0; i < 4; i++) sums[i] = fused(x[a + i], m[static_cast<size_t>(a + i) * width], sums[i]);
  }
  for (; a < inner; a++) sums[0] = fused(x[a], m[static_cast<size_t>(a) * width], sums[0]);
  arguments.out.row(row)[b] = (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

}  // namespace rwkv
