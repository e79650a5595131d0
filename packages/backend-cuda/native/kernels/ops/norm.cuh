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

/**
 * Of x [count], in every thread of the block. Two passes, as the squares of f32 cancel; between them a thread keeps its
 * first kOwn numbers in registers.
 */
template <uint32_t kOwn>
DEVICE Moments blockMoments(const float* x, uint32_t count, float eps, float (&room)[2][kWarp]) {
  const uint32_t threads = threadCount(), rest = threadIndex() + kOwn * threads;
  float own[kOwn];
  UNROLL
  for (uint32_t i = 0; i < kOwn; i++) {
    const uint32_t c = threadIndex() + i * threads;
    own[i] = c < count ? x[c] : 0.0f;
  }
  float sum = 0;
  UNROLL
  for (uint32_t i = 0; i < kOwn; i++) sum += own[i];
  for (uint32_t c = rest; c < count; c += threads) sum += x[c];
  const float mean = blockSum(sum, room[0]) / static_cast<float>(count);
  float squares = 0;
  UNROLL
  for (uint32_t i = 0; i < kOwn; i++) {
    const float off = threadIndex() + i * threads < count ? own[i] - mean : 0.0f;
    squares = fused(off, off, squares);
  }
  for (uint32_t c = rest; c < count; c += threads) squares = fused(x[c] - mean, x[c] - mean, squares);
  const float variance = blockSum(squares, room[1]) / static_cast<float>(count);
  return {mean, 1.0f / squareRoot(variance + eps)};
}

KERNEL(norm, NormArguments) {
  SHARED float room[2][kWarp];
  const uint32_t row = blockX(), first = blockY() * arguments.part;
  if (row >= step->counts[arguments.rows]) return;
  const float* x = arguments.x.row(row) + first;
  const Moments moments = blockMoments<4>(x, arguments.part, arguments.eps, room);
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

KERNEL_BOUNDED(l2_norm, L2NormArguments, 256, 4) {
  SHARED float room[kWarp];
  const uint32_t row = blockX(), first = blockY() * arguments.part;
  if (row >= step->counts[arguments.rows]) return;
  const float* x = arguments.x.row(row) + first;
  float squares = 0;
  for (uint32_t i = threadIndex(); i < arguments.part; i += threadCount()) squares = fused(x[i], x[i], squares);
  const float length = squareRoot(blockSum(squares, room));
  const float scale = 1.0f / (length > arguments.eps ? length : arguments.eps);
  float* out = arguments.out.row(row) + first;
  for (uint32_t i = threadIndex(); i < arguments.part; i += threadCount()) out[i] = x[i] * scale;
}

}  // namespace rwkv
