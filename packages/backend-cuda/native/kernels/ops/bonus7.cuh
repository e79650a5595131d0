/**
 * out_h = (Σ_n r_n k_n by_n) v_h, the current token's own contribution (arXiv:2503.14456, section 4.1); r, k, v, out
 * [_, C], by [H, N]; f32.
 *
 * A block owns one head of one row: blockX is the row, blockY the head, of `size` channels. A thread owns every
 * threadCount()-th channel.
 */
#pragma once

#include "kernels/step.h"

namespace rwkv {

struct Bonus7Arguments {
  ConstRows r, k, v, by;
  Rows out;
  uint32_t rows, size;
};
DESCRIBE(Bonus7Arguments, r, k, v, by, out, rows, size);

KERNEL_BOUNDED(bonus7, Bonus7Arguments, 64, 8) {
  SHARED float room[kWarp];
  const uint32_t row = blockX(), start = blockY() * arguments.size, size = arguments.size;
  if (row >= step->counts[arguments.rows]) return;
  const float* r = arguments.r.row(row) + start;
  const float* k = arguments.k.row(row) + start;
  const float* by = arguments.by.row(row) + start;
  float part = 0;
  for (uint32_t n = threadIndex(); n < size; n += threadCount()) part = fused(r[n] * k[n], by[n], part);
  const float sum = blockSum(part, room);
  const float* v = arguments.v.row(row) + start;
  float* out = arguments.out.row(row) + start;
  for (uint32_t n = threadIndex(); n < size; n += threadCount()) out[n] = sum * v[n];
}

}  // namespace rwkv
