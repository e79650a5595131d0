/**
 * How fast matrix units are: every warp does `rounds` times kProbeProducts products D_c += A B of 16 x 8 x 16 f16 numbers
 * with f32 sums, c = 0 … 7, all from registers. out [blocks · threads] f32: each thread's sum over its numbers of all D_c.
 *
 *   A[r][k] = 1 + (8 r + k) / 256, B[k][n] = 1 + (k - 8 n) / 128, D_c = c before the first round
 *
 * No step is read. The sums are independent of one another, so that a warp has as many products under way as there are
 * sums; they begin differently, because a compiler may do equal products once. A multiprocessor needs two blocks to be busy.
 */
#pragma once

#include "kernels/matrix-units.h"
#include "kernels/step.h"

namespace rwkv {

constexpr unsigned kProbeProducts = 8;

struct ProbeArguments {
  float* out;
  uint32_t rounds;
};
DESCRIBE(ProbeArguments, out, rounds);

DEVICE uint32_t probePair(float first, float second) {
  return toF16(first) | static_cast<uint32_t>(toF16(second)) << 16;
}

KERNEL_BOUNDED(probe, ProbeArguments, 256, 2) {
  const unsigned g = laneIndex() / 4, t = laneIndex() % 4;
  uint32_t a[4], b[2];
  UNROLL
  for (unsigned i = 0; i < 4; i++) {
    const float number = 1.0f + static_cast<float>(8 * (g + i % 2 * 8) + 2 * t + i / 2 * 8) / 256.0f;
    a[i] = probePair(number, number + 1.0f / 256.0f);
  }
  UNROLL
  for (unsigned i = 0; i < 2; i++) {
    const float number = 1.0f + (static_cast<float>(2 * t + i * 8) - 8.0f * static_cast<float>(g)) / 128.0f;
    b[i] = probePair(number, number + 1.0f / 128.0f);
  }
  float d[kProbeProducts][4];
  UNROLL
  for (unsigned c = 0; c < kProbeProducts; c++) {
    UNROLL
    for (unsigned i = 0; i < 4; i++) d[c][i] = static_cast<float>(c);
  }
  for (uint32_t round = 0; round < arguments.rounds; round++) {
    UNROLL
    for (unsigned c = 0; c < kProbeProducts; c++) multiplyF16(d[c], a, b);
  }
  float sum = 0;
  UNROLL
  for (unsigned c = 0; c < kProbeProducts; c++) {
    UNROLL
    for (unsigned i = 0; i < 4; i++) sum += d[c][i];
  }
  arguments.out[static_cast<size_t>(blockX()) * threadCount() + threadIndex()] = sum;
}

}  // namespace rwkv
