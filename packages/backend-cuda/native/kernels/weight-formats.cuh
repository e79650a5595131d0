/**
 * Reading matrices as src/weights/layout.ts lays them out in rows. Row r of a region begins at r times its length,
 * which is a multiple of 16 bytes.
 *
 * Plain formats: `quants` are the numbers, `Matrix.stride` of them a row.
 *
 * Block formats, a block being 32 columns, cut into eight groups of four. The four bytes of a word have a group's
 * numbers in the order 0 2 1 3, so that its even and its odd bytes are pairs of neighbours for the 16-bit halves of a
 * register:
 *
 *   quants   q8_0: eight words, one a group, signed. Others: four words; word i has group i low, group i + 4 high.
 *   highs    fifth bits: one word; bit g of byte b belongs to byte b of group g.
 *            fifth and sixth bits: two words; bits 2i and 2i + 1 of byte b of word j belong to byte b of group 4j + i.
 *   scales   one f16 d, or two, d and m; for k formats five words for 256 columns: two f16 d and e, then for each block
 *            two bytes: scale s and minimum m unsigned, or (q6_k) signed scales s of the two halves of 16 numbers.
 *
 *   q8_0 q4_0 q5_0   w = d (q - zero)          q4_k q5_k   w = d s q - e m
 *   q4_1 q5_1        w = d q + m               q6_k        w = d s (q - 32)
 */
#pragma once

#include "kernels/matrix.h"

namespace rwkv {

struct F32 {
  static constexpr unsigned kPiece = 4;
  DEVICE static void decode(const Words4& from, float (&to)[kPiece]) {
    UNROLL
    for (unsigned i = 0; i < kPiece; i++) to[i] = floatOf(from.word[i]);
  }
};

struct F16 {
  /** Numbers in 16 bytes. */
  static constexpr unsigned kPiece = 8;
  DEVICE static void decode(const Words4& from, float (&to)[kPiece]) {
    UNROLL
    for (unsigned i = 0; i < kPiece; i++) to[i] = toF32(static_cast<uint16_t>(from.word[i / 2] >> 16 * (i % 2)));
  }
};

struct Bf16 {
  static constexpr unsigned kPiece = 8;
  DEVICE static void decode(const Words4& from, float (&to)[kPiece]) {
    UNROLL
    for (unsigned i = 0; i < kPiece; i++) {
      to[i] = floatOf(i % 2 == 0 ? from.word[i / 2] << 16 : from.word[i / 2] & 0xffff0000u);
    }
  }
};

enum class Scales { half, pair, packed };

/** `offset`: w has a summand of its own. `halves`: 16 numbers share a scale, not 32. */
template <unsigned bits, unsigned highBits, int zero, Scales scales, bool offset, bool halves = false>
struct BlockFormat {
  static constexpr unsigned kBits = bits, kHighBits = highBits;
  static constexpr int kZero = zero;
  static constexpr Scales kScales = scales;
  static constexpr bool kOffset = offset, kHalves = halves;
};
using Q8_0 = BlockFormat<8, 0, 0, Scales::half, false>;
using Q4_0 = BlockFormat<4, 0, 8, Scales::half, false>;
using Q4_1 = BlockFormat<4, 0, 0, Scales::pair, true>;
using Q5_0 = BlockFormat<4, 1, 16, Scales::half, false>;
using Q5_1 = BlockFormat<4, 1, 0, Scales::pair, true>;
using Q4K = BlockFormat<4, 0, 0, Scales::packed, true>;
using Q5K = BlockFormat<4, 1, 0, Scales::packed, true>;
using Q6K = BlockFormat<4, 2, 32, Scales::packed, false, true>;

constexpr uint32_t kBlock = 32;

/** Where the regions of one row begin. */
template <class Format>
struct BlockRow {
  const unsigned char* quants;
  const unsigned char* highs;
  const unsigned char* scales;

  static constexpr uint32_t kQuantBytes = kBlock * Format::kBits / 8;
  static constexpr uint32_t kHighBytes = kBlock * Format::kHighBits / 8;

  DEVICE static uint32_t filled(uint32_t bytes) { return (bytes + 15) / 16 * 16; }
  DEVICE static uint32_t scaleBytes(uint32_t columns) {
    if constexpr (Format::kScales == Scales::half) return filled(columns / kBlock * 2);
    else if constexpr (Format::kScales == Scales::pair) return filled(columns / kBlock * 4);
    else return filled(columns / 256 * 20);
  }
  DEVICE BlockRow(const Matrix& matrix, uint32_t row)
      : quants(static_cast<const unsigned char*>(matrix.quants) +
               size_t{row} * (matrix.columns / kBlock * kQuantBytes)),
        highs(static_cast<const unsigned char*>(matrix.highs) +
              size_t{row} * filled(matrix.columns / kBlock * kHighBytes)),
        scales(static_cast<const unsigned char*>(matrix.scales) + size_t{row} * scaleBytes(matrix.columns)) {}
};

/** The bits of a block's scales, as they lie. */
template <class Format>
struct ScaleBits {
  uint32_t head, own;

  DEVICE ScaleBits() {}
  DEVICE ScaleBits(const BlockRow<Format>& row, uint32_t block) {
    own = 0;
    if constexpr (Format::kScales == Scales::half) {
      head = reinterpret_cast<const uint16_t*>(row.scales)[block];
    } else if constexpr (Format::kScales == Scales::pair) {
      head = reinterpret_cast<const uint32_t*>(row.scales)[block];
    } else {
      const unsigned char* at = row.scales + block / 8 * 20;
      head = *reinterpret_cast<const uint32_t*>(at);
      own = reinterpret_cast<const uint16_t*>(at + 4)[block % 8];
    }
  }
  DEVICE float d() const { return toF32(static_cast<uint16_t>(head)); }
  /** The factor of q - zero; `half` 1 for the later 16 numbers. */
  DEVICE float scale(unsigned half) const {
    if constexpr (Format::kScales != Scales::packed) return d();
    else if constexpr (Format::kHalves) return d() * static_cast<float>(static_cast<int8_t>(own >> 8 * half));
    else return d() * static_cast<float>(own & 0xffu);
  }
  /** What is added; 0 where the format has no such summand. */
  DEVICE float offset() const {
    if constexpr (!Format::kOffset) return 0.0f;
    const float second = toF32(static_cast<uint16_t>(head >> 16));
    if constexpr (Format::kScales == Scales::packed) return -(second * static_cast<float>(own >> 8));
    else return second;
  }
};

/**
 * The four bytes of group `index` (upper false) or `index` + 4 (upper true), `index` of 0..3, from the word of quants
 * that has them and the words of high bits.
 */
template <class Format, bool upper>
DEVICE uint32_t groupBytes(uint32_t quants, const uint32_t (&highs)[2], unsigned index) {
  if constexpr (Format::kBits == 8) return quants;
  const uint32_t low = (upper ? quants >> 4 : quants) & 0x0f0f0f0fu;
  if constexpr (Format::kHighBits == 1)
    return low | ((upper ? highs[0] >> index : highs[0] << (4 - index)) & 0x10101010u);
  else if constexpr (Format::kHighBits == 2) return low | (highs[upper] >> 2 * index & 0x03030303u) << 4;
  else return low;
}

template <class Format>
DEVICE void loadHighs(const BlockRow<Format>& row, uint32_t block, uint32_t (&highs)[2]) {
  if constexpr (Format::kHighBits == 1) {
    highs[0] = reinterpret_cast<const uint32_t*>(row.highs)[block];
  } else if constexpr (Format::kHighBits == 2) {
    const Words2 both = load(reinterpret_cast<const Words2*>(row.highs) + block);
    highs[0] = both.word[0];
    highs[1] = both.word[1];
  }
}

/** A whole block as it lies, for one lane. */
template <class Format>
struct RawBlock {
  static constexpr unsigned kWords = Format::kBits;
  uint32_t quants[kWords];
  uint32_t highs[2];
  ScaleBits<Format> scales;

  DEVICE RawBlock() {}
  DEVICE RawBlock(const BlockRow<Format>& row, uint32_t block) : scales(row, block) {
    UNROLL
    for (unsigned i = 0; i < kWords / 4; i++) {
      const Words4 read = loadStreaming(reinterpret_cast<const Words4*>(row.quants) + block * (kWords / 4) + i);
      UNROLL
      for (unsigned j = 0; j < 4; j++) quants[4 * i + j] = read.word[j];
    }
    loadHighs(row, block, highs);
  }
  /** Bytes of group g, a constant once the loop around it is unrolled. */
  DEVICE uint32_t group(unsigned g) const {
    if constexpr (Format::kBits == 8) return quants[g];
    else
      return g < 4 ? groupBytes<Format, false>(quants[g % 4], highs, g)
                   : groupBytes<Format, true>(quants[g % 4], highs, g - 4);
  }
};

/** Where byte b of a group's word lies in the group. */
DEVICE unsigned orderInGroup(unsigned byte) { return (byte % 2) * 2 + byte / 2; }

}  // namespace rwkv
