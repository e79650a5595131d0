/**
 * What a kernel is written with. The same kernel source is compiled by nvcc for GPUs and by the host's compiler for the
 * emulation (native/emulation), so nothing else of CUDA's own names appears in a kernel: every name below means the same
 * in both.
 *
 * A kernel is `KERNEL(name, Arguments) { … }` with `step` (the batch, step.h) and `arguments` (a struct of plain numbers
 * and addresses, described by DESCRIBE for the test that holds it against src/kernels). A block has a multiple of 32
 * threads; collectives of a warp need all its 32 lanes, those of a block all its threads that have not returned.
 */
#pragma once

#include <cstddef>
#include <cstdint>

#if defined(__CUDACC__)

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#define DEVICE __device__ __forceinline__
#define BOTH __host__ __device__ __forceinline__
#define SHARED __shared__
#define RESTRICT __restrict__
#define UNROLL _Pragma("unroll")
/** The dynamic shared memory of a block, 16-byte aligned. */
#define DYNAMIC_SHARED(name) extern __shared__ __align__(16) unsigned char name[]
/** With the threads of a block at most, and the blocks of a multiprocessor at least. */
#define KERNEL_BOUNDED(name, Arguments, threads, blocks)                     \
  extern "C" __global__ void __launch_bounds__(threads, blocks) rwkv_##name( \
      const rwkv::Step* __restrict__ step, const __grid_constant__ Arguments arguments)
#define DESCRIBE(Arguments, ...)

namespace rwkv {

struct alignas(8) Words2 { uint32_t word[2]; };
struct alignas(16) Words4 { uint32_t word[4]; };

DEVICE unsigned threadIndex() { return threadIdx.x; }
DEVICE unsigned threadCount() { return blockDim.x; }
DEVICE unsigned blockX() { return blockIdx.x; }
DEVICE unsigned blockY() { return blockIdx.y; }
DEVICE unsigned blockZ() { return blockIdx.z; }
DEVICE unsigned blocksX() { return gridDim.x; }
DEVICE unsigned blocksY() { return gridDim.y; }
DEVICE unsigned laneIndex() { return threadIdx.x & 31; }
DEVICE unsigned warpIndex() { return threadIdx.x >> 5; }

DEVICE void blockBarrier() { __syncthreads(); }
DEVICE void warpBarrier() { __syncwarp(); }
/** What this thread wrote to global memory is seen before what it writes after. */
DEVICE void globalFence() { __threadfence(); }
/** The old number. */
DEVICE unsigned atomicIncrement(unsigned* at) { return atomicAdd(at, 1u); }

template <class Word>
DEVICE Word shuffleXor(Word value, unsigned mask) { return __shfl_xor_sync(0xffffffffu, value, mask); }
template <class Word>
DEVICE Word shuffle(Word value, unsigned lane) { return __shfl_sync(0xffffffffu, value, lane); }
template <class Word>
DEVICE Word shuffleDown(Word value, unsigned by) { return __shfl_down_sync(0xffffffffu, value, by); }
/** A bit for every lane that says so. */
DEVICE unsigned ballot(bool says) { return __ballot_sync(0xffffffffu, says); }

DEVICE float toF32(uint16_t f16) { return __half2float(__ushort_as_half(f16)); }
/** To the nearest, ties to even; beyond the largest, infinity. */
DEVICE uint16_t toF16(float value) { return __half_as_ushort(__float2half_rn(value)); }
/** NaN stays NaN. */
DEVICE uint16_t toBf16(float value) { return __bfloat16_as_ushort(__float2bfloat16_rn(value)); }

DEVICE float floatOf(uint32_t bits) { return __uint_as_float(bits); }
DEVICE uint32_t bitsOf(float value) { return __float_as_uint(value); }
DEVICE unsigned countBits(unsigned bits) { return __popc(bits); }
/** Of the lowest bit that is set; `bits` is not 0. */
DEVICE unsigned lowestBit(unsigned bits) { return __ffs(bits) - 1; }

DEVICE float squareRoot(float x) { return sqrtf(x); }
DEVICE float exponential(float x) { return expf(x); }
DEVICE float hyperbolicTangent(float x) { return tanhf(x); }
/** To the nearest, ties to even. */
DEVICE int roundToInt(float x) { return __float2int_rn(x); }
/** sum + the four products of signed bytes. */
DEVICE int dotBytes(uint32_t a, uint32_t b, int sum) {
  return __dp4a(static_cast<int>(a), static_cast<int>(b), sum);
}
/** a · b + c with one rounding. */
DEVICE float fused(float a, float b, float c) { return fmaf(a, b, c); }

/** Sixteen bytes that are read once, so that they need not stay in a cache. */
DEVICE Words4 loadStreaming(const Words4* at) {
  const uint4 read = __ldcs(reinterpret_cast<const uint4*>(at));
  return {{read.x, read.y, read.z, read.w}};
}
DEVICE Words4 load(const Words4* at) {
  const uint4 read = *reinterpret_cast<const uint4*>(at);
  return {{read.x, read.y, read.z, read.w}};
}
DEVICE Words2 load(const Words2* at) {
  const uint2 read = *reinterpret_cast<const uint2*>(at);
  return {{read.x, read.y}};
}
/** What another block has written during this launch. */
DEVICE float loadFresh(const float* at) { return __ldcg(at); }

}  // namespace rwkv

#else
#include "emulation/device.h"
#endif

#define KERNEL(name, Arguments) KERNEL_BOUNDED(name, Arguments, 1024, 1)

namespace rwkv {

constexpr unsigned kWarp = 32;

DEVICE float bf16ToF32(uint16_t bits) { return floatOf(static_cast<uint32_t>(bits) << 16); }

/** The sum over a warp, in every lane; always added in the same order. */
DEVICE float warpSum(float value) {
  UNROLL
  for (unsigned mask = kWarp / 2; mask > 0; mask /= 2) value += shuffleXor(value, mask);
  return value;
}
DEVICE int warpSum(int value) {
  UNROLL
  for (unsigned mask = kWarp / 2; mask > 0; mask /= 2) value += shuffleXor(value, mask);
  return value;
}
/** The largest over a warp, in every lane; NaN is left out. */
DEVICE float warpMax(float value) {
  UNROLL
  for (unsigned mask = kWarp / 2; mask > 0; mask /= 2) {
    const float other = shuffleXor(value, mask);
    value = other > value ? other : value;
  }
  return value;
}

/**
 * The sum over a block of at most 1024 threads, in every thread. `room`: 32 numbers of shared memory, which nobody else
 * touches from before the call to the next barrier after it.
 */
DEVICE float blockSum(float value, float* room) {
  value = warpSum(value);
  const unsigned warps = threadCount() / kWarp;
  if (warps == 1) return value;
  if (laneIndex() == 0) room[warpIndex()] = value;
  blockBarrier();
  return warpSum(laneIndex() < warps ? room[laneIndex()] : 0.0f);
}

}  // namespace rwkv
