/** The names of kernels/device.h for the host's compiler: a block's threads are fibers of one thread of the system. */
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "emulation/machine.h"

#define DEVICE inline
#define BOTH inline
/** One block runs at a time, in one thread. */
#define SHARED static thread_local
#define RESTRICT __restrict__
#define UNROLL
#define DYNAMIC_SHARED(name) unsigned char* const name = ::rwkv::emulation::current().dynamic_shared
#define KERNEL_BOUNDED(name, Arguments, threads, blocks)                                                        \
  static void rwkv_##name(const ::rwkv::Step* __restrict__ step, const Arguments& arguments);                   \
  static const ::rwkv::emulation::Registered rwkv_##name##_registered{                                          \
      "rwkv_" #name, #Arguments, sizeof(Arguments), threads,                                                    \
      [](const void* step, const void* arguments) {                                                             \
        rwkv_##name(static_cast<const ::rwkv::Step*>(step), *static_cast<const Arguments*>(arguments));         \
      }};                                                                                                       \
  static void rwkv_##name([[maybe_unused]] const ::rwkv::Step* __restrict__ step, const Arguments& arguments)

namespace rwkv {

struct Step;
struct alignas(8) Words2 { uint32_t word[2]; };
struct alignas(16) Words4 { uint32_t word[4]; };

inline unsigned threadIndex() { return emulation::current().thread; }
inline unsigned threadCount() { return emulation::current().threads; }
inline unsigned blockX() { return emulation::current().block[0]; }
inline unsigned blockY() { return emulation::current().block[1]; }
inline unsigned blockZ() { return emulation::current().block[2]; }
inline unsigned blocksX() { return emulation::current().grid[0]; }
inline unsigned blocksY() { return emulation::current().grid[1]; }
inline unsigned laneIndex() { return threadIndex() & 31; }
inline unsigned warpIndex() { return threadIndex() >> 5; }

inline void blockBarrier() { emulation::block_barrier(); }
inline void warpBarrier() { emulation::warp_barrier(); }
inline void globalFence() {}
inline unsigned atomicIncrement(unsigned* at) { return (*at)++; }

template <class Word>
Word shuffle(Word value, unsigned lane) {
  static_assert(sizeof(Word) <= sizeof(uint64_t));
  uint64_t bits = 0;
  memcpy(&bits, &value, sizeof(Word));
  const uint64_t* lanes = emulation::exchange(bits);
  memcpy(&value, &lanes[lane & 31], sizeof(Word));
  return value;
}
template <class Word>
Word shuffleXor(Word value, unsigned mask) { return shuffle(value, laneIndex() ^ mask); }
template <class Word>
Word shuffleDown(Word value, unsigned by) {
  const unsigned from = laneIndex() + by;
  return shuffle(value, from < 32 ? from : laneIndex());
}
inline unsigned ballot(bool says) {
  const uint64_t* lanes = emulation::exchange(says ? 1 : 0);
  unsigned bits = 0;
  for (unsigned lane = 0; lane < 32; lane++) bits |= static_cast<unsigned>(lanes[lane]) << lane;
  return bits;
}

inline float floatOf(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}
inline uint32_t bitsOf(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

inline float toF32(uint16_t f16) {
  const uint32_t sign = static_cast<uint32_t>(f16 & 0x8000u) << 16, magnitude = f16 & 0x7fffu;
  if (magnitude >= 0x7c00u) return floatOf(sign | 0x7f800000u | (magnitude & 0x3ffu) << 13);
  // A number below the normal ones is a whole number of the smallest steps, which f32 holds exactly.
  const float value = magnitude < 0x400u ? static_cast<float>(magnitude) * 0x1p-24f : floatOf((magnitude << 13) + 0x38000000u);
  return sign ? -value : value;
}
inline uint16_t toF16(float value) {
  const uint32_t bits = bitsOf(value), magnitude = bits & 0x7fffffffu;
  const uint16_t sign = static_cast<uint16_t>(bits >> 16 & 0x8000u);
  if (magnitude > 0x7f800000u) return sign | 0x7e00u;
  if (magnitude >= 0x477ff000u) return sign | 0x7c00u;
  if (magnitude < 0x38800000u) {
    // Steps of 2⁻²⁴: the rounding of f32's own addition, at a number whose last bit is that step.
    return sign | static_cast<uint16_t>(bitsOf(floatOf(magnitude) + 0.5f) - bitsOf(0.5f));
  }
  const uint32_t odd = magnitude >> 13 & 1;
  return sign | static_cast<uint16_t>((magnitude + 0xfffu + odd - 0x38000000u) >> 13);
}
inline uint16_t toBf16(float value) {
  const uint32_t bits = bitsOf(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<uint16_t>(bits >> 16 | 0x40u);
  return static_cast<uint16_t>((bits + 0x7fffu + (bits >> 16 & 1)) >> 16);
}

inline unsigned countBits(unsigned bits) { return static_cast<unsigned>(__builtin_popcount(bits)); }
inline unsigned lowestBit(unsigned bits) { return static_cast<unsigned>(__builtin_ctz(bits)); }
inline float squareRoot(float x) { return std::sqrt(x); }
inline float exponential(float x) { return std::exp(x); }
inline float hyperbolicTangent(float x) { return std::tanh(x); }
inline int roundToInt(float x) { return static_cast<int>(std::nearbyint(x)); }
inline int dotBytes(uint32_t a, uint32_t b, int sum) {
  for (unsigned i = 0; i < 4; i++) sum += static_cast<int8_t>(a >> 8 * i) * static_cast<int8_t>(b >> 8 * i);
  return sum;
}
inline float fused(float a, float b, float c) { return std::fma(a, b, c); }

/** An address that is no multiple of 16 ends a kernel on a device, so here too. */
inline Words4 load(const Words4* at) {
  emulation::require_aligned(at, sizeof(Words4));
  return *at;
}
inline Words4 loadStreaming(const Words4* at) { return load(at); }
inline Words2 load(const Words2* at) {
  emulation::require_aligned(at, sizeof(Words2));
  return *at;
}
inline float loadFresh(const float* at) { return *at; }

}  // namespace rwkv
