/**
 * norm: out = (x - mean) / sqrt(variance + eps) ⊙ weight + bias, over each of `groups` equal parts of a row;
 * l2-norm: out = x / max(‖x‖₂, eps), likewise. x and out [rows, width], weight and bias [width]; f32.
 *
 * One block a part of a row: blockX is the row, blockY the part. A thread owns every threadCount()-th number.
 */
#pragma once

#include "kernels/step.h"

namespace rwkv {

struct NormArguments {
  ConstRows x;
  Rows out;
  ConstRows weight, bias;
  uint32_t rows, part;
  float eps;
};
DESCRIBE(NormArguments, x, out, weight, bias, rows, part, eps);

struct Moments {
  float mean, scale;
};

/** Of the `count` numbers that `at` gives by index; in every thread of the block. Two passes, as the squares of f32 cancel. */
template <class Numbers>
DEVICE Moments blockMoments(Numbers at, uint32_t count, float eps, float (&room)[2][kWarp]) {
  float sum = 0;
  for (uint32_t i = threadIndex(); i < count; i += threadCount()) sum += at(i);
  const float mean = blockSum(sum, room[0]) / static_cast<float>(count);
  float squares = 0;
  for (uint32_t i = threadIndex(); i < count; i += threadCount()) {
    const float off = at(i) - mean;
    squares = fused(off, off, squares);
  }
  const float variance = blockSum(squares, room[1]) / static_cast<float>(count);
  return {mean, 1.0f / squareRoot(variance + eps)};
}

KERNEL(norm, NormArguments) {
  SHARED float room[2][kWarp];
  const uint32_t row = blockX(), first = blockY() * arguments.part;
  if (row >= step->counts[arguments.rows]) return;
  const float* x = arguments.x.row(row) + first;
  const Moments moments = blockMoments([x](uint32_t i) { return x[i]; }, arguments.part, arguments.eps, room);
  for (uint32_t i = threadIndex(); i < arguments.part; i += threadCount()) {
    const float normed = (x[i] - moments.mean) * moments.scale;
    arguments.out.row(row)[first + i] = fused(normed, arguments.weight.at[first + i], arguments.bias.at[first + i]);
  }
}

struct L2NormArguments {
  ConstRows x;
  Rows out;
  uint32_t rows, part;
  float eps;
};
DESCRIBE(L2NormArguments, x, out, rows, part, eps);

KERNEL(l2_norm, L2NormArguments) {
  SHARED float room[kWarp];
  const uint32_t row = blockX(), first = blockY() * arguments.part;
  if (row >= step->counts[arguments.rows]) return;
  const float* x = arguments.x.row(row) + first;
  float squares = 0;
  for (uint32_t i = threadIndex(); i < arguments.part; i += threadCount()) squares = fused(x[i], x[i], squares);
  const float length = squareRoot(blockSum(squares, room));
  const float scale = 1.0f / (length > arguments.eps ? length : arguments.eps);
  for (uint32_t i = threadIndex(); i < arguments.part; i += threadCount()) arguments.out.row(row)[first + i] = x[i] * scale;
}

}  // namespace rwkv
