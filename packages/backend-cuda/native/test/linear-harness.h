/** Matrices in every format and layout, packed by the pack kernels, for tests of products. */
#pragma once

#include "kernels/ops/pack.cuh"
#include "test/file-rows.h"

namespace harness {

struct FormatName {
  const char* name;
  uint32_t code;
  unsigned bits, high_bits, scale_bytes, block;
};
/** Bits of a number, and bytes of the scales of 256, as src/weights/layout.ts has them. */
constexpr FormatName kFormats[] = {
    {"f32", rwkv::kF32, 32, 0, 0, 1},        {"f16", rwkv::kF16, 16, 0, 0, 1},        {"bf16", rwkv::kBf16, 16, 0, 0, 1},
    {"q8_0", rwkv::kQ8_0, 8, 0, 16, 32},     {"q4_0", rwkv::kQ4_0, 4, 0, 16, 32},     {"q4_1", rwkv::kQ4_1, 4, 0, 32, 32},
    {"q5_0", rwkv::kQ5_0, 4, 1, 16, 32},     {"q5_1", rwkv::kQ5_1, 4, 1, 32, 32},     {"q4_k", rwkv::kQ4_K, 4, 0, 20, 256},
    {"q5_k", rwkv::kQ5_K, 4, 1, 20, 256},    {"q6_k", rwkv::kQ6_K, 4, 2, 20, 256},
};

/** Memory at a multiple of 16 bytes, with guards around it; nothing in it is a finite number at first. */
class Memory {
 public:
  explicit Memory(size_t bytes) : bytes_(bytes), words_((bytes + 15) / 16 + 4) { memset(words_.data(), 0xff, words_.size() * 16); }
  unsigned char* at() { return reinterpret_cast<unsigned char*>(words_.data() + 2); }
  bool intact() const {
    const auto* all = reinterpret_cast<const unsigned char*>(words_.data());
    for (size_t i = 0; i < words_.size() * 16; i++) {
      if ((i < 32 || i >= 32 + bytes_) && all[i] != 0xff) return false;
    }
    return true;
  }

 private:
  size_t bytes_;
  std::vector<rwkv::Words4> words_;
};

struct StoredMatrix {
  FormatName format;
  rwkv::Matrix matrix;
  /** [rows][columns] */
  std::vector<double> numbers;
  std::vector<Memory> regions;

  bool intact() const {
    for (const Memory& one : regions) {
      if (!one.intact()) return false;
    }
    return true;
  }
};

inline uint32_t filled(size_t bytes) { return static_cast<uint32_t>((bytes + 15) / 16 * 16); }

/** Packed in two stretches, as an upload may. */
inline StoredMatrix stored_matrix(const FormatName& format, bool in_columns, uint32_t rows, uint32_t columns, Order order, uint64_t seed = 1) {
  Random random(seed + rows * 31 + columns);
  FileBlocks blocks(format.code, random);
  StoredMatrix made{format, {}, {}, {}};
  const uint32_t count = in_columns ? columns : rows, length = in_columns ? rows : columns;
  const size_t quant_row = filled(size_t{length} * format.bits / 8);
  made.regions.emplace_back(count * quant_row);
  made.regions.emplace_back(size_t{count} * filled(size_t{length} * format.high_bits / 8));
  made.regions.emplace_back(size_t{count} * filled(size_t{length} * format.scale_bytes / 256));
  made.matrix = {made.regions[0].at(), made.regions[1].at(), made.regions[2].at(), rows, columns,
                 static_cast<uint32_t>(quant_row * 8 / format.bits), 0};
  const bool plain = format.block == 1;
  const std::string kernel = std::string("pack_") + (in_columns ? "columns_" : "") + (plain ? std::to_string(format.bits) : format.name);
  const uint32_t first = rows / 3;
  for (const auto& [from, to] : {std::pair{0u, first}, std::pair{first, rows}}) {
    if (from == to) continue;
    Memory source(filled(size_t{to - from} * columns * 5));
    size_t at = 0;
    for (uint32_t r = from; r < to; r++) {
      const FileRow row = blocks.row(columns);
      memcpy(source.at() + at, row.bytes.data(), row.bytes.size());
      at += row.bytes.size();
      made.numbers.insert(made.numbers.end(), row.numbers.begin(), row.numbers.end());
    }
    const uint32_t piece = plain ? 128 / format.bits : 32;
    const uint32_t items = (to - from) * ((columns + piece - 1) / piece);
    const Geometry flat{(items + 255) / 256, 1, 256, 0}, tiled{(to - from + 31) / 32, (columns + 31) / 32, 256, 0};
    launch(kernel.c_str(), in_columns ? tiled : flat, nullptr, rwkv::PackArguments{made.matrix, source.at(), from, to - from}, order);
  }
  return made;
}

}  // namespace harness
