/** Matrices in every format and layout, packed by the pack kernels, for tests of products. */
#pragma once

#include "kernels/linear.cuh"
#include "kernels/ops/pack.cuh"
#include "kernels/ops/prepare.cuh"
#include "test/file-rows.h"

namespace harness {

struct FormatName {
  const char* name;
  uint32_t code;
  unsigned bits, high_bits, scale_bytes, block;
};
/** Bits of a number, and bytes of the scales of 256, as src/weights/layout.ts has them. */
constexpr FormatName kFormats[] = {
    {"f32", rwkv::kF32, 32, 0, 0, 1},     {"f16", rwkv::kF16, 16, 0, 0, 1},     {"bf16", rwkv::kBf16, 16, 0, 0, 1},
    {"q8_0", rwkv::kQ8_0, 8, 0, 16, 32},  {"q4_0", rwkv::kQ4_0, 4, 0, 16, 32},  {"q4_1", rwkv::kQ4_1, 4, 0, 32, 32},
    {"q5_0", rwkv::kQ5_0, 4, 1, 16, 32},  {"q5_1", rwkv::kQ5_1, 4, 1, 32, 32},  {"q4_k", rwkv::kQ4_K, 4, 0, 20, 256},
    {"q5_k", rwkv::kQ5_K, 4, 1, 20, 256}, {"q6_k", rwkv::kQ6_K, 4, 2, 20, 256},
};

/** Memory at a multiple of 16 bytes, with guards around it; nothing in it is a finite number at first. */
class Memory {
 public:
  explicit Memory(size_t bytes) : bytes_(bytes), words_((bytes + 15) / 16 + 4) {
    memset(words_.data(), 0xff, words_.size() * 16);
  }
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
inline StoredMatrix stored_matrix(const FormatName& format, bool in_columns, uint32_t rows, uint32_t columns,
                                  Order order, uint64_t seed = 1) {
  Random random(seed + rows * 31 + columns);
  FileBlocks blocks(format.code, random);
  StoredMatrix made{format, {}, {}, {}};
  const uint32_t count = in_columns ? columns : rows, length = in_columns ? rows : columns;
  const size_t quant_row = filled(size_t{length} * format.bits / 8);
  made.regions.emplace_back(count * quant_row);
  made.regions.emplace_back(size_t{count} * filled(size_t{length} * format.high_bits / 8));
  made.regions.emplace_back(size_t{count} * filled(size_t{length} * format.scale_bytes / 256));
  made.matrix = {made.regions[0].at(),
                 made.regions[1].at(),
                 made.regions[2].at(),
                 rows,
                 columns,
                 static_cast<uint32_t>(quant_row * 8 / format.bits),
                 0};
  const bool plain = format.block == 1;
  const std::string kernel =
      std::string("pack_") + (in_columns ? "columns_" : "") + (plain ? std::to_string(format.bits) : format.name);
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
    launch(kernel.c_str(), in_columns ? tiled : flat, nullptr,
           rwkv::PackArguments{made.matrix, source.at(), from, to - from}, order);
  }
  return made;
}

/** How a kernel is launched: what src/kernels/linear.ts tells of a variant. */
struct LinearKernel {
  std::string name;
  unsigned threads;
  size_t shared;
  uint32_t rows_per_block, block_outputs, splits;
  /** "bytes", "f16", "bf16", or "" where x is read as it lies. */
  std::string prepare;
  /** Of a sum, in parts of the root of its squared terms. */
  double bound;
};

/** One product with all that may come after it. */
class Product {
 public:
  Product(StoredMatrix matrix, uint32_t capacity, Random& random)
      : stored_(std::move(matrix)),
        x_(capacity, stored_.matrix.columns, 5),
        out_(capacity, stored_.matrix.rows),
        bias_(1, stored_.matrix.rows),
        gate_(capacity, stored_.matrix.rows),
        residual_(capacity, stored_.matrix.rows) {
    x_.fill([&] { return random.normal(); });
    for (Numbers* one : {&bias_, &gate_, &residual_}) one->fill([&] { return random.normal(); });
  }
  Numbers& x() { return x_; }
  /** Which of bias, gate and residual there are, in bits 0 to 2, and the activation. */
  void finish_with(uint32_t parts, uint32_t activation) {
    parts_ = parts;
    activation_ = activation;
  }
  /** Rows of x at multiples of 16 bytes from now on. */
  void align() { is_aligned_ = true; }
  const StoredMatrix& stored() const { return stored_; }

  /** `scratch` outlives the launch. */
  rwkv::LinearJob job(const LinearKernel& kernel, uint32_t first_block, uint32_t capacity) {
    const rwkv::Matrix& matrix = stored_.matrix;
    const uint32_t row_blocks = (capacity + kernel.rows_per_block - 1) / kernel.rows_per_block;
    const size_t tiles = size_t{row_blocks} * ((matrix.rows + kernel.block_outputs - 1) / kernel.block_outputs);
    if (kernel.splits > 1 && counters_.empty()) {
      partials_.assign(tiles * kernel.splits * kernel.rows_per_block * kernel.block_outputs, std::nanf(""));
      counters_.assign(tiles, 0);
    }
    out_.clear();
    return {matrix,
            x_rows(capacity),
            prepared_,
            out_.rows(),
            parts_ & 1 ? bias_.shared() : rwkv::ConstRows{},
            parts_ & 2 ? gate_.read() : rwkv::ConstRows{},
            parts_ & 4 ? residual_.read() : rwkv::ConstRows{},
            partials_.data(),
            counters_.data(),
            activation_,
            first_block,
            kernel.block_outputs,
            kernel.splits};
  }
  uint32_t blocks(const LinearKernel& kernel) const {
    return (stored_.matrix.rows + kernel.block_outputs - 1) / kernel.block_outputs * kernel.splits;
  }

  void prepare(const LinearKernel& kernel, uint32_t capacity, const rwkv::Step* step, Order order) {
    if (kernel.prepare.empty()) return;
    const uint32_t width = stored_.matrix.columns;
    const bool bytes = kernel.prepare == "bytes";
    const uint32_t stride = bytes ? width : (width + 7) / 8 * 8, scales = bytes                     ? width / 32
                                                                          : kernel.prepare == "f16" ? 1
                                                                                                    : 0;
    values_ = Memory(size_t{capacity} * stride * (bytes ? 1 : 2));
    scales_ = Memory(size_t{capacity} * scales * (bytes ? 8 : 4));
    prepared_ = {values_.at(), scales_.at(), stride, scales};
    rwkv::PrepareArguments arguments{rwkv::kTokens, 1, {{x_rows(capacity), prepared_, width, 0}}};
    launch(("prepare_" + kernel.prepare).c_str(), {capacity, 1, 256, 0}, step, arguments, order);
    check(values_.intact() && scales_.intact(), "prepare writes beside its rows");
  }

  /** Each sum within `kernel.bound` times the root of its squared terms, and what that becomes; NaN alike. */
  void compare_rows(const LinearKernel& kernel, uint32_t rows, const std::string& where) const {
    const auto [outputs, columns] = std::pair{stored_.matrix.rows, stored_.matrix.columns};
    for (uint32_t r = 0; r < rows; r++) {
      for (uint32_t o = 0; o < outputs; o++) {
        double sum = parts_ & 1 ? bias_.row(0)[o] : 0, squares = sum * sum;
        for (uint32_t i = 0; i < columns; i++) {
          const double term = double{x_.row(r)[i]} * stored_.numbers[size_t{o} * columns + i];
          sum += term;
          squares += term * term;
        }
        double off = kernel.bound * std::sqrt(squares);
        if (activation_ == rwkv::kRelu2) {
          off *= 2 * std::fabs(sum) + off;
          sum = sum < 0 ? 0 : sum * sum;
        } else if (activation_ == rwkv::kTanh) {
          sum = std::tanh(sum);
        }
        const double gate = parts_ & 2 ? gate_.row(r)[o] : 1, residual = parts_ & 4 ? residual_.row(r)[o] : 0;
        const double want = gate * sum + residual, got = out_.row(r)[o];
        const double bound = off * std::fabs(gate) + 1e-6 * (std::fabs(gate * sum) + std::fabs(residual));
        if (std::isnan(want) ? std::isnan(got) : std::fabs(got - want) <= bound) continue;
        char text[200];
        snprintf(text, sizeof text, ", row %u: number %u is %.9g, expected %.9g, off by at most %.3g", r, o, got, want,
                 bound);
        fail(where + text);
      }
    }
    check(out_.intact(rows), where + ": writes beside its rows");
    for (uint32_t one : counters_) check(one == 0, where + ": a counter is left");
  }
  std::vector<float> results(uint32_t rows) const {
    std::vector<float> all;
    for (uint32_t r = 0; r < rows; r++) all.insert(all.end(), out_.row(r), out_.row(r) + stored_.matrix.rows);
    return all;
  }

 private:
  rwkv::ConstRows x_rows(uint32_t capacity) {
    if (!is_aligned_) return x_.read();
    const size_t width = stored_.matrix.columns, stride = (width + 7) / 4 * 4;
    aligned_ = Memory(capacity * stride * sizeof(float));
    auto* to = reinterpret_cast<float*>(aligned_.at());
    for (uint32_t r = 0; r < capacity; r++) memcpy(to + r * stride, x_.row(r), width * sizeof(float));
    return {to, static_cast<uint32_t>(stride), 0};
  }

  StoredMatrix stored_;
  Numbers x_, out_, bias_, gate_, residual_;
  uint32_t parts_ = 0, activation_ = rwkv::kNone;
  bool is_aligned_ = false;
  Memory aligned_{0}, values_{0}, scales_{0};
  rwkv::Prepared prepared_{};
  std::vector<float> partials_;
  std::vector<uint32_t> counters_;
};

/** `rows` of `capacity` rows through jobs that share a launch, compared with double precision. */
inline void multiply(const LinearKernel& kernel, std::vector<Product*> products, uint32_t rows, uint32_t capacity,
                     Order order) {
  Batch batch({{0, rows}});
  const rwkv::Step* step = batch.step();
  rwkv::LinearArguments arguments{rwkv::kTokens, static_cast<uint32_t>(products.size()), {}};
  uint32_t blocks = 0;
  for (size_t p = 0; p < products.size(); p++) {
    products[p]->prepare(kernel, capacity, step, order);
    arguments.jobs[p] = products[p]->job(kernel, blocks, capacity);
    blocks += products[p]->blocks(kernel);
  }
  const uint32_t row_blocks = (capacity + kernel.rows_per_block - 1) / kernel.rows_per_block;
  launch(kernel.name.c_str(), {row_blocks, blocks, kernel.threads, kernel.shared}, step, arguments, order);
  for (const Product* one : products) {
    const rwkv::Matrix& matrix = one->stored().matrix;
    one->compare_rows(kernel, rows,
                      kernel.name + " [" + std::to_string(matrix.rows) + ", " + std::to_string(matrix.columns) + "]");
  }
}

/** Sets one row to what must not spread, and expects all others to be as they were. */
inline void spoil_row(const LinearKernel& kernel, Product& product, uint32_t rows, uint32_t capacity, Order order) {
  multiply(kernel, {&product}, rows, capacity, order);
  const std::vector<float> before = product.results(rows);
  float* spoilt = product.x().row(rows / 2);
  const float kept = spoilt[0];
  spoilt[0] = std::nanf("");
  multiply(kernel, {&product}, rows, capacity, order);
  const std::vector<float> after = product.results(rows);
  spoilt[0] = kept;
  const size_t width = before.size() / rows;
  for (size_t i = 0; i < before.size(); i++) {
    const bool same = i / width == rows / 2 ? std::isnan(after[i]) : memcmp(&before[i], &after[i], 4) == 0;
    check(same, kernel.name + ": a NaN leaves its row, or is lost");
  }
}

}  // namespace harness
