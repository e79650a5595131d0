/**
 * Rows in the layout of files, random or read number by number from the definitions of the formats: no code of
 * kernels/.
 */
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

#include "pack.h"

namespace rwkv_test {

using rwkv::Format;

constexpr const char* kFormatNames[rwkv::kFormats] = {"f32",  "f16",  "bf16", "q8_0", "q4_0", "q4_1",
                                                      "q5_0", "q5_1", "q4_k", "q5_k", "q6_k"};

struct Random {
  uint64_t state;

  uint32_t bits() {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return static_cast<uint32_t>(state >> 33) ^ static_cast<uint32_t>(state >> 13);
  }
  /** In [-1, 1). */
  float number() { return static_cast<float>(static_cast<int32_t>(bits())) * 0x1p-31f; }
};

inline double half_value(uint16_t half) {
  const int exponent = half >> 10 & 31, mantissa = half & 1023;
  double value = exponent == 0    ? std::ldexp(mantissa, -24)
                 : exponent == 31 ? (mantissa ? NAN : INFINITY)
                                  : std::ldexp(1024 + mantissa, exponent - 25);
  return half & 0x8000 ? -value : value;
}

inline uint16_t u16_at(const uint8_t* p) { return static_cast<uint16_t>(p[0] | p[1] << 8); }
inline double half_at(const uint8_t* p) { return half_value(u16_at(p)); }

/** Where a block has its f16 scales: up to two offsets, -1 for none. */
struct ScaleOffsets {
  size_t block_columns, block_bytes;
  int first, second;
};

inline ScaleOffsets scale_offsets(Format format) {
  switch (format) {
    case Format::f32: return {1, 4, -1, -1};
    case Format::f16: return {1, 2, 0, -1};
    case Format::bf16: return {1, 2, -1, -1};
    case Format::q8_0: return {32, 34, 0, -1};
    case Format::q4_0: return {32, 18, 0, -1};
    case Format::q4_1: return {32, 20, 0, 2};
    case Format::q5_0: return {32, 22, 0, -1};
    case Format::q5_1: return {32, 24, 0, 2};
    case Format::q4_k: return {256, 144, 0, 2};
    case Format::q5_k: return {256, 176, 0, 2};
    default: return {256, 210, 208, -1};
  }
}

/** Random quants under scales of either sign between 2^-8 and 2^-5; plain numbers about as large. */
inline std::vector<uint8_t> random_rows(Format format, size_t rows, size_t columns, Random& random) {
  const ScaleOffsets offsets = scale_offsets(format);
  std::vector<uint8_t> bytes(rows * columns / offsets.block_columns * offsets.block_bytes);
  const auto half = [&](uint8_t* p) {
    const uint32_t bits = (random.bits() & 0x83ff) | (7 + random.bits() % 3) << 10;
    p[0] = static_cast<uint8_t>(bits);
    p[1] = static_cast<uint8_t>(bits >> 8);
  };
  for (size_t at = 0; at < bytes.size(); at += offsets.block_bytes) {
    uint8_t* block = bytes.data() + at;
    for (size_t i = 0; i < offsets.block_bytes; ++i) block[i] = static_cast<uint8_t>(random.bits() >> 7);
    if (format == Format::f32 || format == Format::bf16) {
      const float number = random.number();
      uint8_t pattern[4];
      memcpy(pattern, &number, 4);
      memcpy(block, pattern + (4 - offsets.block_bytes), offsets.block_bytes);
    }
    if (offsets.first >= 0) half(block + offsets.first);
    if (offsets.second >= 0) half(block + offsets.second);
  }
  return bytes;
}

/** Number `j` of the block at `b`. */
inline double file_number(Format format, const uint8_t* b, size_t j) {
  const auto nibble = [&](const uint8_t* q) { return j < 16 ? q[j] & 15 : q[j - 16] >> 4; };
  const auto fifth = [&](const uint8_t* h) { return (h[j / 8] >> j % 8 & 1) << 4; };
  switch (format) {
    case Format::f32: {
      float number;
      memcpy(&number, b, 4);
      return number;
    }
    case Format::f16: return half_at(b);
    case Format::bf16: {
      const uint32_t pattern = uint32_t{u16_at(b)} << 16;
      float number;
      memcpy(&number, &pattern, 4);
      return number;
    }
    case Format::q8_0: return half_at(b) * static_cast<int8_t>(b[2 + j]);
    case Format::q4_0: return half_at(b) * (nibble(b + 2) - 8);
    case Format::q4_1: return half_at(b) * nibble(b + 4) + half_at(b + 2);
    case Format::q5_0: return half_at(b) * (nibble(b + 6) + fifth(b + 2) - 16);
    case Format::q5_1: return half_at(b) * (nibble(b + 8) + fifth(b + 4)) + half_at(b + 2);
    case Format::q4_k:
    case Format::q5_k: {
      const size_t s = j / 32, i = j % 32;
      const uint8_t* six = b + 4;
      const int scale = s < 4 ? six[s] & 63 : (six[s + 4] & 15) + 16 * (six[s - 4] >> 6);
      const int min = s < 4 ? six[s + 4] & 63 : (six[s + 4] >> 4) + 16 * (six[s] >> 6);
      const uint8_t both = b[(format == Format::q4_k ? 16 : 48) + 32 * (s / 2) + i];
      int q = s % 2 ? both >> 4 : both & 15;
      if (format == Format::q5_k) q += 16 * (b[16 + i] >> s & 1);
      return half_at(b) * scale * q - half_at(b + 2) * min;
    }
    default: {
      const size_t n = j / 128, i = j % 128;
      const uint8_t low = b[64 * n + i % 64];
      const int upper = b[128 + 32 * n + i % 32] >> 2 * (i / 32) & 3;
      const int q = (i < 64 ? low & 15 : low >> 4) + 16 * upper - 32;
      return half_at(b + 208) * static_cast<int8_t>(b[192 + j / 16]) * q;
    }
  }
}

/** Row `row` of `bytes`, exactly. */
inline std::vector<double> file_row(Format format, const uint8_t* bytes, size_t columns, size_t row) {
  const ScaleOffsets offsets = scale_offsets(format);
  const uint8_t* start = bytes + row * columns / offsets.block_columns * offsets.block_bytes;
  std::vector<double> numbers(columns);
  for (size_t i = 0; i < columns; ++i) {
    const uint8_t* block = start + i / offsets.block_columns * offsets.block_bytes;
    numbers[i] = file_number(format, block, i % offsets.block_columns);
  }
  return numbers;
}

/** Bytes at an alignment of 64, with guards behind them. */
class Guarded {
 public:
  explicit Guarded(size_t bytes) : size_(bytes), memory_(bytes + 64 + kGuard, kByte) {
    const size_t address = reinterpret_cast<size_t>(memory_.data());
    data_ = memory_.data() + (64 - address % 64) % 64;
  }
  uint8_t* data() { return data_; }
  bool intact() const {
    for (size_t i = 0; i < kGuard; ++i) {
      if (data_[size_ + i] != kByte) return false;
    }
    return true;
  }

 private:
  static constexpr size_t kGuard = 256;
  static constexpr uint8_t kByte = 0xa5;
  size_t size_;
  std::vector<uint8_t> memory_;
  uint8_t* data_;
};

}  // namespace rwkv_test
