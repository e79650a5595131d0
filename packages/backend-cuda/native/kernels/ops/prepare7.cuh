/**
 * RWKV-7's preparation of the wkv inputs (arXiv:2503.14456, section 4.1), per head: κ = (k ⊙ removal) / max(‖k ⊙
 * removal‖, floor); a = -κ; b = κ ⊙ rate; key = k ⊙ (1 + (rate - 1) ⊙ replacement); with a residual (`amount` given)
 * value = v + (first - v) ⊙ amount. All [_, C], removal and replacement [C]; f32.
 *
 * A block owns one head of one row: blockX is the row, blockY the head, of `size` channels. A thread owns every
 * threadCount()-th channel. No output is one of the inputs.
 */
#pragma once

#include "kernels/step.h"

namespace rwkv {

struct Prepare7Arguments {
  ConstRows k, rate, removal, replacement;
  Rows key, a, b;
  ConstRows v, first, amount;
  Rows value;
  uint32_t rows, size;
  float floor;
};
DESCRIBE(Prepare7Arguments, k, rate, removal, replacement, key, a, b, v, first, amount, value, rows, size, floor);

KERNEL_BOUNDED(prepare7, Prepare7Arguments, 64, 8) {
  SHARED float room[kWarp];
  const uint32_t row = blockX(), start = blockY() * arguments.size, size = arguments.size;
  if (row >= step->counts[arguments.rows]) return;
  const float* k = arguments.k.row(row) + start;
  const float* removal = arguments.removal.row(row) + start;
  float squares = 0;
  for (uint32_t n = threadIndex(); n < size; n += threadCount()) {
    const float removed = k[n] * removal[n];
    squares = fused(removed, removed, squares);
  }
  const float length = squareRoot(blockSum(squares, room));
  const float scale = 1.0f / (length < arguments.floor ? arguments.floor : length);
  for (uint32_t n = threadIndex(); n < size; n += threadCount()) {
    const uint32_t c = start + n;
    const float rate = arguments.rate.row(row)[c], direction = k[n] * removal[n] * scale;
    arguments.a.row(row)[c] = -direction;
    arguments.b.row(row)[c] = direction * rate;
    arguments.key.row(row)[c] = k[n] * fused(rate - 1.0f, arguments.replacement.row(row)[c], 1.0f);
    if (arguments.amount) {
      const float v = arguments.v.row(row)[c];
      arguments.value.row(row)[c] = fused(arguments.first.row(row)[c] - v, arguments.amount.row(row)[c], v);
    }
  }
}

}  // namespace rwkv
