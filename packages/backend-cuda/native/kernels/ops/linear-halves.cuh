/**
 * What the kernels for matrix units share: weights in blocks as f16, and the two kinds of arithmetic.
 *
 * A number of a block becomes f16 by integers that f16 holds exactly, q - zero and, for k formats, its product with the
 * block's scale (exact below 2^11, which q6_k alone exceeds), and one multiplication with d, or a fused one with what
 * is added. So formats of 32 numbers are rounded once; q4_k and q5_k round what is added, and q6_k its larger products,
 * once more, at most half a unit of the block's largest number.
 * Limits: numbers beyond f16's largest become infinite, and those below 2^-14 keep steps of 2^-24.
 */
#pragma once

#include "kernels/matrix-units.h"
#include "kernels/weight-formats.cuh"

namespace rwkv {

/** x and weights f16; each row of x has a power of two as a factor of its own. */
struct HalfUnits {
  DEVICE static void multiply(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) { multiplyF16(d, a, b); }
  DEVICE static float scale(const Prepared& prepared, uint32_t row) {
    return static_cast<const float*>(prepared.scales)[size_t{row} * prepared.scale_stride];
  }
};

/** x and weights bf16, whose range is that of f32. */
struct BfloatUnits {
  DEVICE static void multiply(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) { multiplyBf16(d, a, b); }
  DEVICE static float scale(const Prepared&, uint32_t) { return 1.0f; }
};

/** The scales of a block as pairs of f16. */
template <class Format>
struct HalfScales {
  uint32_t d, own[2], offset;

  DEVICE HalfScales() {}
  DEVICE explicit HalfScales(const ScaleBits<Format>& bits)
      : d(bothHalves(static_cast<uint16_t>(bits.head))), own{0, 0}, offset(0) {
    if constexpr (Format::kScales == Scales::packed) {
      if constexpr (Format::kHalves) {
        own[0] = bothHalves(toF16(static_cast<float>(static_cast<int8_t>(bits.own))));
        own[1] = bothHalves(toF16(static_cast<float>(static_cast<int8_t>(bits.own >> 8))));
      } else {
        own[0] = bothHalves(toF16(static_cast<float>(bits.own & 0xffu)));
      }
    }
    if constexpr (Format::kScales == Scales::pair) offset = bothHalves(static_cast<uint16_t>(bits.head >> 16));
    else if constexpr (Format::kOffset) offset = bothHalves(toF16(bits.offset()));
  }

  /** Two bytes, in the lower halves of a word's halves, of the earlier or later 16 numbers. */
  DEVICE uint32_t pair(uint32_t bytes, unsigned half) const {
    // 0x6400 is 1024, and a byte in its lowest bits is added to that.
    constexpr uint16_t kBias = Format::kBits == 8 ? 1024 + 128 : 1024 + Format::kZero;
    // -kBias: its sign, the exponent of 1024, and what exceeds that.
    uint32_t q = addHalves(bytes | 0x64006400u, bothHalves(0xe400u | (kBias - 1024)));
    if constexpr (Format::kScales == Scales::packed) q = multiplyHalves(q, own[Format::kHalves ? half : 0]);
    if constexpr (Format::kOffset) return fusedHalves(q, d, offset);
    else return multiplyHalves(q, d);
  }
  /** A group's four numbers in two words, from its four bytes. */
  DEVICE void decode(uint32_t bytes, unsigned half, uint32_t (&to)[2]) const {
    if constexpr (Format::kBits == 8) bytes ^= 0x80808080u;
    to[0] = pair(bytes & 0x00ff00ffu, half);
    to[1] = pair(bytes >> 8 & 0x00ff00ffu, half);
  }
};

}  // namespace rwkv
