/**
 * Rows of x rounded once, for all products that read them. blockX is a row, blockY one of up to eight jobs.
 *
 * prepare_bytes: each 32 numbers become q = round(x · 127 / max|x|), ties to even, in words of four in the order 0 2 1
 * 3 (weight-formats.cuh), with a ByteScale. Where one of the 32 is NaN or infinite the scale is NaN and every q 0, so
 * that this row's results are NaN and no other's. values [rows, stride] bytes, scales [rows, scale_stride] ByteScales.
 * Eight lanes own 32 numbers.
 *
 * prepare_f16: x / 2^k, rounded, with 2^k such that the row's largest finite magnitude is at least 2^14 and below 2^15:
 * nothing overflows, and what is below f16's smallest normal number is a part in 2^28 of the largest. values
 * [rows, stride] f16, scales [rows] f32 (2^k). prepare_bf16: x rounded. Both are filled up with zeros to `stride`. A
 * thread owns every 256th number.
 */
#pragma once

#include "kernels/matrix.h"

namespace rwkv {

struct PrepareJob {
  ConstRows x;
  Prepared prepared;
  uint32_t width, unused;
};
DESCRIBE(PrepareJob, x, prepared, width, unused);

struct PrepareArguments {
  uint32_t rows, job_count;
  PrepareJob jobs[8];
};
DESCRIBE(PrepareArguments, rows, job_count, jobs);

constexpr unsigned kPrepareThreads = 256;

struct ByteScale {
  float scale;
  /** Of the earlier 16 bytes, and in the upper half of the later 16. */
  uint32_t sums;

  DEVICE ByteScale() {}
  DEVICE ByteScale(const Prepared& prepared, uint32_t row, uint32_t block) {
    const Words2 read = load(static_cast<const Words2*>(prepared.scales) + size_t{row} * prepared.scale_stride + block);
    scale = floatOf(read.word[0]);
    sums = read.word[1];
  }
  DEVICE int sum(unsigned half) const { return static_cast<int16_t>(sums >> 16 * half); }
};

/** Numbers below this, whose inverse would overflow, count as zero. */
constexpr float kSmallestMagnitude = 1e-36f;

KERNEL_BOUNDED(prepare_bytes, PrepareArguments, kPrepareThreads, 1) {
  const uint32_t row = blockX();
  if (row >= step->counts[arguments.rows]) return;
  const PrepareJob& job = arguments.jobs[blockY()];
  const float* x = job.x.row(row);
  uint32_t* values = reinterpret_cast<uint32_t*>(static_cast<int8_t*>(const_cast<void*>(job.prepared.values)) +
                                                 size_t{row} * job.prepared.stride);
  Words2* scales =
      static_cast<Words2*>(const_cast<void*>(job.prepared.scales)) + size_t{row} * job.prepared.scale_stride;
  // All lanes of a warp take the same number of turns, since they exchange; the last turn may be beyond the end.
  for (uint32_t turn = warpIndex() * kWarp; turn < job.width / 4; turn += kPrepareThreads) {
    const uint32_t word = turn + laneIndex();
    const bool exists = word < job.width / 4;
    float numbers[4], largest = 0;
    bool finite = true;
    UNROLL
    for (unsigned i = 0; i < 4; i++) {
      numbers[i] = exists ? x[4 * word + i] : 0.0f;
      const float magnitude = numbers[i] < 0 ? -numbers[i] : numbers[i];
      largest = magnitude > largest ? magnitude : largest;
      finite = finite && numbers[i] - numbers[i] == 0.0f;
    }
    UNROLL
    for (unsigned mask = 4; mask > 0; mask /= 2) {
      const float other = shuffleXor(largest, mask);
      largest = other > largest ? other : largest;
    }
    const bool allFinite = (ballot(!finite) >> (laneIndex() & 24u) & 0xffu) == 0;
    const float inverse = allFinite && largest >= kSmallestMagnitude ? 127.0f / largest : 0.0f;
    uint32_t bytes = 0;
    int sum = 0;
    UNROLL
    for (unsigned i = 0; i < 4; i++) {
      const int q = inverse > 0 ? roundToInt(numbers[i] * inverse) : 0;
      sum += q;
      bytes |= (static_cast<uint32_t>(q) & 0xffu) << 8 * (i % 2 * 2 + i / 2);
    }
    sum += shuffleXor(sum, 1);
    sum += shuffleXor(sum, 2);
    const int later = shuffleXor(sum, 4);
    if (!exists) continue;
    values[word] = bytes;
    if (word % 8 != 0) continue;
    const float scale = !allFinite ? floatOf(0x7fc00000u) : inverse > 0 ? largest / 127.0f : 0.0f;
    scales[word / 8] = {{bitsOf(scale), (static_cast<uint32_t>(sum) & 0xffffu) | static_cast<uint32_t>(later) << 16}};
  }
}

/** 2^k as above; a power of two whose inverse is a normal number too. */
DEVICE float halfScale(float largest) {
  const uint32_t exponent = bitsOf(largest) >> 23;
  if (exponent == 255 || exponent < 32) return exponent == 255 ? 1.0f : floatOf((32u - 14) << 23);
  return floatOf((exponent - 14) << 23);
}

/** The largest finite magnitude, in every thread. */
DEVICE float rowLargest(const float* x, uint32_t width, float (&room)[kWarp]) {
  float largest = 0;
  for (uint32_t i = threadIndex(); i < width; i += threadCount()) {
    const float magnitude = x[i] < 0 ? -x[i] : x[i];
    if (magnitude > largest && magnitude - magnitude == 0.0f) largest = magnitude;
  }
  largest = warpMax(largest);
  if (laneIndex() == 0) room[warpIndex()] = largest;
  blockBarrier();
  return warpMax(laneIndex() < threadCount() / kWarp ? room[laneIndex()] : 0.0f);
}

KERNEL_BOUNDED(prepare_f16, PrepareArguments, kPrepareThreads, 1) {
  SHARED float room[kWarp];
  const uint32_t row = blockX();
  if (row >= step->counts[arguments.rows]) return;
  const PrepareJob& job = arguments.jobs[blockY()];
  const float* x = job.x.row(row);
  const float scale = halfScale(rowLargest(x, job.width, room)), inverse = 1.0f / scale;
  uint16_t* values = static_cast<uint16_t*>(const_cast<void*>(job.prepared.values)) + size_t{row} * job.prepared.stride;
  for (uint32_t i = threadIndex(); i < job.prepared.stride; i += threadCount())
    values[i] = i < job.width ? toF16(x[i] * inverse) : 0;
  if (threadIndex() == 0)
    static_cast<float*>(const_cast<void*>(job.prepared.scales))[size_t{row} * job.prepared.scale_stride] = scale;
}

KERNEL_BOUNDED(prepare_bf16, PrepareArguments, kPrepareThreads, 1) {
  const uint32_t row = blockX();
  if (row >= step->counts[arguments.rows]) return;
  const PrepareJob& job = arguments.jobs[blockY()];
  const float* x = job.x.row(row);
  uint16_t* values = static_cast<uint16_t*>(const_cast<void*>(job.prepared.values)) + size_t{row} * job.prepared.stride;
  for (uint32_t i = threadIndex(); i < job.prepared.stride; i += threadCount())
    values[i] = i < job.width ? toBf16(x[i]) : 0;
}

}  // namespace rwkv
