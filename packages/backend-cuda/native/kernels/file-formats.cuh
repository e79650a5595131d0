/**
 * A number of a row that lies as a weight file has it: plain little-endian numbers, or GGML's blocks, whose bytes
 * packages/formats describes. Read byte by byte, since a row may lie at any address; meant for rows that are read once.
 */
#pragma once

#include "kernels/device.h"

namespace rwkv {

/** src/kernels/file-formats.ts has the same order. */
enum FileFormat : uint32_t {
  kF32 = 0,
  kF16,
  kBf16,
  kQ8_0,
  kQ4_0,
  kQ4_1,
  kQ5_0,
  kQ5_1,
  kQ4_K,
  kQ5_K,
  kQ6_K,
};

/** How many numbers a block has, and in how many bytes. */
struct FileBlock {
  uint32_t numbers, bytes;
};

DEVICE FileBlock fileBlock(uint32_t format) {
  switch (format) {
    case kF32: return {1, 4};
    case kF16:
    case kBf16: return {1, 2};
    case kQ8_0: return {32, 34};
    case kQ4_0: return {32, 18};
    case kQ4_1: return {32, 20};
    case kQ5_0: return {32, 22};
    case kQ5_1: return {32, 24};
    case kQ4_K: return {256, 144};
    case kQ5_K: return {256, 176};
    default: return {256, 210};
  }
}

DEVICE uint32_t half16(const unsigned char* at) { return at[0] | static_cast<uint32_t>(at[1]) << 8; }
DEVICE float halfAt(const unsigned char* at) { return toF32(static_cast<uint16_t>(half16(at))); }

/** Blocks of 32 with four bits each: number j in the low half of byte j, number j + 16 in the high one. */
DEVICE uint32_t nibbleAt(const unsigned char* quants, uint32_t j) {
  return j < 16 ? quants[j] & 15u : quants[j - 16] >> 4;
}
/** The fifth bit of number j, worth 16; the 32 bits are little-endian. */
DEVICE uint32_t fifthAt(const unsigned char* fifths, uint32_t j) { return (fifths[j >> 3] >> (j & 7) & 1u) << 4; }

/** Of q4_k and q5_k, scale and minimum of sub-block s: twelve bytes with six bits each. */
struct ScaleAndMinimum {
  float scale, minimum;
};
DEVICE ScaleAndMinimum superScale(const unsigned char* block, uint32_t s) {
  const unsigned char* packed = block + 4;
  uint32_t scale, minimum;
  if (s < 4) {
    scale = packed[s] & 63u;
    minimum = packed[s + 4] & 63u;
  } else {
    scale = (packed[s + 4] & 15u) | static_cast<uint32_t>(packed[s - 4] >> 6) << 4;
    minimum = packed[s + 4] >> 4 | static_cast<uint32_t>(packed[s] >> 6) << 4;
  }
  return {halfAt(block) * static_cast<float>(scale), halfAt(block + 2) * static_cast<float>(minimum)};
}

/** Of a q6_k block, number j: 64 numbers share bytes of `low`, 32 of `high`, 16 a scale. */
DEVICE float q6kNumber(const unsigned char* block, uint32_t j) {
  const uint32_t half = j >> 7, i = j & 127u;
  const uint32_t low = block[64 * half + (i & 63u)] >> (i & 64u ? 4 : 0) & 15u;
  const uint32_t high = block[128 + 32 * half + (i & 31u)] >> 2 * (i >> 5) & 3u;
  const float scale = static_cast<float>(static_cast<signed char>(block[192 + (j >> 4)]));
  return halfAt(block + 208) * scale * static_cast<float>(static_cast<int>(low | high << 4) - 32);
}

/**
 * Number j of the block (0 for plain numbers). Products of scale and integer are exact; what is rounded is the result.
 */
DEVICE float blockNumber(uint32_t format, const unsigned char* block, uint32_t j) {
  switch (format) {
    case kF32: return floatOf(half16(block) | half16(block + 2) << 16);
    case kF16: return halfAt(block);
    case kBf16: return bf16ToF32(static_cast<uint16_t>(half16(block)));
    case kQ8_0: return halfAt(block) * static_cast<float>(static_cast<signed char>(block[2 + j]));
    case kQ4_0: return halfAt(block) * static_cast<float>(static_cast<int>(nibbleAt(block + 2, j)) - 8);
    case kQ4_1: return fused(static_cast<float>(nibbleAt(block + 4, j)), halfAt(block), halfAt(block + 2));
    case kQ5_0:
      return halfAt(block) * static_cast<float>(static_cast<int>(nibbleAt(block + 6, j) | fifthAt(block + 2, j)) - 16);
    case kQ5_1: {
      const float quant = static_cast<float>(nibbleAt(block + 8, j) | fifthAt(block + 4, j));
      return fused(quant, halfAt(block), halfAt(block + 2));
    }
    case kQ4_K:
    case kQ5_K: {
      const uint32_t s = j >> 5;
      const unsigned char* quants = block + (format == kQ4_K ? 16 : 48);
      uint32_t quant = quants[32 * (s >> 1) + (j & 31u)] >> (s & 1u ? 4 : 0) & 15u;
      if (format == kQ5_K) quant |= (block[16 + (j & 31u)] >> s & 1u) << 4;
      const ScaleAndMinimum of = superScale(block, s);
      return fused(of.scale, static_cast<float>(quant), -of.minimum);
    }
    default: return q6kNumber(block, j);
  }
}

}  // namespace rwkv
