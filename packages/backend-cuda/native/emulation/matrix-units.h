/** The names of kernels/matrix-units.h for the host's compiler: the lanes of a warp show each other what they have. */
#pragma once

#include <vector>

#include "emulation/machine.h"
#include "kernels/device.h"

namespace rwkv {

constexpr unsigned kBlocksOf48K = 2;

namespace emulation {

/** What a lane brings to a product. */
struct Operands {
  uint32_t a[4], b[2];
};

template <class Decode>
void multiply(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], const Decode& decode) {
  const Operands own{{a[0], a[1], a[2], a[3]}, {b[0], b[1]}};
  const uint64_t* shown = exchange(reinterpret_cast<uintptr_t>(&own));
  const auto lane = [shown](unsigned l) -> const Operands& { return *reinterpret_cast<const Operands*>(shown[l]); };
  const unsigned g = laneIndex() / 4, t = laneIndex() % 4;
  float rows[2][16], columns[2][16];
  for (unsigned i = 0; i < 2; i++) {
    for (unsigned k = 0; k < 16; k++) {
      const unsigned from = k % 8 / 2, shift = 16 * (k % 2);
      rows[i][k] = decode(static_cast<uint16_t>(lane(4 * g + from).a[i + k / 8 * 2] >> shift));
      columns[i][k] = decode(static_cast<uint16_t>(lane(4 * (2 * t + i) + from).b[k / 8] >> shift));
    }
  }
  for (unsigned i = 0; i < 4; i++) {
    for (unsigned k = 0; k < 16; k++) d[i] += rows[i / 2][k] * columns[i % 2][k];
  }
  // Until here all lanes stand still with what they brought.
  warp_barrier();
}

/** Begins of the 32 rows. */
inline const uint64_t* shown_rows(const void* row) {
  require_aligned(row, 16);
  return exchange(reinterpret_cast<uintptr_t>(row));
}

/** Copies that nobody waited for have not happened: a missing wait shows. */
struct Copies {
  struct One {
    void* to;
    const void* from;
    bool exists;
    unsigned group;
  };
  std::vector<One> waiting;
  unsigned groups = 0;
};
inline Copies& copies() {
  static thread_local Copies of[1024];
  return of[current().thread];
}

}  // namespace emulation

inline void multiplyF16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  emulation::multiply(d, a, b, [](uint16_t bits) { return toF32(bits); });
}
inline void multiplyBf16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  emulation::multiply(d, a, b, [](uint16_t bits) { return floatOf(static_cast<uint32_t>(bits) << 16); });
}

inline void loadMatrices(uint32_t (&to)[4], const void* row) {
  const uint64_t* rows = emulation::shown_rows(row);
  for (unsigned i = 0; i < 4; i++)
    to[i] = reinterpret_cast<const uint32_t*>(rows[8 * i + laneIndex() / 4])[laneIndex() % 4];
}
inline void loadMatricesTransposed(uint32_t (&to)[4], const void* row) {
  const uint64_t* rows = emulation::shown_rows(row);
  const unsigned column = laneIndex() / 4, first = laneIndex() % 4 * 2;
  for (unsigned i = 0; i < 4; i++) {
    const auto number = [&](unsigned r) {
      return uint32_t{reinterpret_cast<const uint16_t*>(rows[8 * i + r])[column]};
    };
    to[i] = number(first) | number(first + 1) << 16;
  }
}

inline void copyLater(void* to, const void* from, bool exists) {
  emulation::require_aligned(to, 16);
  if (exists) emulation::require_aligned(from, 16);
  emulation::Copies& own = emulation::copies();
  own.waiting.push_back({to, from, exists, own.groups});
}
inline void endCopies() { emulation::copies().groups++; }
template <unsigned last>
void waitForCopies() {
  emulation::Copies& own = emulation::copies();
  std::vector<emulation::Copies::One> later;
  for (const auto& one : own.waiting) {
    if (one.group + last >= own.groups) later.push_back(one);
    else *static_cast<Words4*>(one.to) = one.exists ? *static_cast<const Words4*>(one.from) : Words4{};
  }
  own.waiting.swap(later);
}

namespace emulation {
/** Products of two f16 numbers are exact in double precision. */
template <class Function>
uint32_t of_halves(uint32_t a, uint32_t b, uint32_t c, const Function& function) {
  const auto one = [&](unsigned shift) {
    const auto half = [shift](uint32_t word) { return double{toF32(static_cast<uint16_t>(word >> shift))}; };
    return static_cast<uint32_t>(toF16(static_cast<float>(function(half(a), half(b), half(c))))) << shift;
  };
  return one(0) | one(16);
}
}  // namespace emulation

inline uint32_t addHalves(uint32_t a, uint32_t b) {
  return emulation::of_halves(a, b, 0, [](double x, double y, double) { return x + y; });
}
inline uint32_t multiplyHalves(uint32_t a, uint32_t b) {
  return emulation::of_halves(a, b, 0, [](double x, double y, double) { return x * y; });
}
inline uint32_t fusedHalves(uint32_t a, uint32_t b, uint32_t c) {
  return emulation::of_halves(a, b, c, [](double x, double y, double z) { return x * y + z; });
}

}  // namespace rwkv
