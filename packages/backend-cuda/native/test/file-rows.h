/** Rows in the formats of weight files, made from drawn scales and integers, with the numbers that they stand for. */
#pragma once

#include "kernels/file-formats.cuh"
#include "test/harness.h"

namespace harness {

struct FileRow {
  std::vector<unsigned char> bytes;
  std::vector<double> numbers;
};

/** One block whose integers are `quants`; the layouts are those of packages/formats. */
class FileBlocks {
 public:
  FileBlocks(uint32_t format, Random& random) : format_(format), random_(random) {}

  /** Rows of less than a block are made of plain numbers only. */
  FileRow row(uint32_t width) {
    row_ = {};
    const rwkv::FileBlock block = rwkv::fileBlock(format_);
    for (uint32_t i = 0; i < width / block.numbers; i++) one();
    const size_t bytes = width / block.numbers * block.bytes;
    check(row_.bytes.size() == bytes, "bytes of a row of format " + std::to_string(format_));
    return row_;
  }

 private:
  void byte(uint32_t value) { row_.bytes.push_back(static_cast<unsigned char>(value)); }
  void bytes(uint32_t value, int count) {
    for (int i = 0; i < count; i++) byte(value >> 8 * i & 255);
  }
  /** A half that is drawn, written, and exact in double precision. */
  double half() {
    const uint16_t bits = rwkv::toF16(static_cast<float>(random_.normal() * 0.1));
    bytes(bits, 2);
    return rwkv::toF32(bits);
  }

  void one() {
    switch (format_) {
      case rwkv::kF32: return plain(rwkv::bitsOf(static_cast<float>(random_.normal())), 4);
      case rwkv::kF16: return plain(rwkv::toF16(static_cast<float>(random_.normal())), 2);
      case rwkv::kBf16: return plain(rwkv::toBf16(static_cast<float>(random_.normal())), 2);
      case rwkv::kQ8_0: return bytesOfEight();
      case rwkv::kQ4_0: return smallBlock(4, false);
      case rwkv::kQ4_1: return smallBlock(4, true);
      case rwkv::kQ5_0: return smallBlock(5, false);
      case rwkv::kQ5_1: return smallBlock(5, true);
      case rwkv::kQ4_K: return superBlock(4);
      case rwkv::kQ5_K: return superBlock(5);
      default: return sixBits();
    }
  }

  void plain(uint32_t bits, int count) {
    bytes(bits, count);
    const float value = format_ == rwkv::kF32 ? rwkv::floatOf(bits)
                        : format_ == rwkv::kF16 ? rwkv::toF32(static_cast<uint16_t>(bits))
                                                : rwkv::floatOf(bits << 16);
    row_.numbers.push_back(value);
  }

  void bytesOfEight() {
    const double d = half();
    for (int i = 0; i < 32; i++) {
      const int quant = static_cast<int>(random_.below(256)) - 128;
      byte(static_cast<uint32_t>(quant));
      row_.numbers.push_back(d * quant);
    }
  }

  void smallBlock(int bits, bool has_minimum) {
    const double d = half(), m = has_minimum ? half() : 0;
    uint32_t quants[32], fifths = 0;
    for (uint32_t i = 0; i < 32; i++) {
      quants[i] = random_.below(1u << bits);
      fifths |= (quants[i] >> 4) << i;
    }
    if (bits == 5) bytes(fifths, 4);
    for (int i = 0; i < 16; i++) byte((quants[i] & 15) | (quants[i + 16] & 15) << 4);
    const double offset = has_minimum ? m : -d * (1 << (bits - 1));
    for (uint32_t quant : quants) row_.numbers.push_back(d * quant + offset);
  }

  void superBlock(int bits) {
    const double d = half(), e = half();
    uint32_t quants[256], scales[8], minimums[8];
    for (uint32_t& one : quants) one = random_.below(1u << bits);
    for (uint32_t& one : scales) one = random_.below(64);
    for (uint32_t& one : minimums) one = random_.below(64);
    for (int i = 0; i < 4; i++) byte(scales[i] | scales[i + 4] >> 4 << 6);
    for (int i = 0; i < 4; i++) byte(minimums[i] | minimums[i + 4] >> 4 << 6);
    for (int i = 4; i < 8; i++) byte((scales[i] & 15) | (minimums[i] & 15) << 4);
    for (int i = 0; bits == 5 && i < 32; i++) {
      uint32_t fifths = 0;
      for (int s = 0; s < 8; s++) fifths |= quants[32 * s + i] >> 4 << s;
      byte(fifths);
    }
    for (int pair = 0; pair < 4; pair++) {
      for (int i = 0; i < 32; i++) byte((quants[64 * pair + i] & 15) | (quants[64 * pair + 32 + i] & 15) << 4);
    }
    for (int i = 0; i < 256; i++) row_.numbers.push_back(d * scales[i / 32] * quants[i] - e * minimums[i / 32]);
  }

  void sixBits() {
    uint32_t quants[256];
    int scales[16];
    for (uint32_t& one : quants) one = random_.below(64);
    for (int& one : scales) one = static_cast<int>(random_.below(256)) - 128;
    for (int n = 0; n < 256; n += 128) {
      for (int i = 0; i < 64; i++) byte((quants[n + i] & 15) | (quants[n + 64 + i] & 15) << 4);
    }
    for (int n = 0; n < 256; n += 128) {
      for (int i = 0; i < 32; i++) {
        uint32_t upper = 0;
        for (int part = 0; part < 4; part++) upper |= quants[n + 32 * part + i] >> 4 << 2 * part;
        byte(upper);
      }
    }
    for (int scale : scales) byte(static_cast<uint32_t>(scale));
    const double d = half();
    for (int i = 0; i < 256; i++) row_.numbers.push_back(d * scales[i / 16] * (static_cast<int>(quants[i]) - 32));
  }

  uint32_t format_;
  Random& random_;
  FileRow row_;
};

}  // namespace harness
