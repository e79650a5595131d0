#include "kernels/ops/pack.cuh"

#include "test/linear-harness.h"

namespace {
using namespace rwkv;
using namespace harness;

template <class Format>
void blocks(const FormatName& format, uint32_t rows, uint32_t columns, Order order) {
  const StoredMatrix stored = stored_matrix(format, false, rows, columns, order);
  check(stored.intact(), "writes beside the matrix");
  for (uint32_t r = 0; r < rows; r++) {
    const BlockRow<Format> row(stored.matrix, r);
    for (uint32_t c = 0; c < columns; c++) {
      const RawBlock<Format> block(row, c / 32);
      const unsigned in_block = c % 32, group = in_block / 4, byte = (in_block % 2) * 2 + in_block % 4 / 2;
      const uint32_t bits = block.group(group) >> 8 * byte & 255;
      const int quant = Format::kBits == 8 ? static_cast<int8_t>(bits) : static_cast<int>(bits) - Format::kZero;
      const double value = double{block.scales.scale(in_block / 16)} * quant + block.scales.offset();
      const double expected = stored.numbers[size_t{r} * columns + c];
      check(std::fabs(value - expected) < 1e-7,
            std::string(format.name) + ": " + std::to_string(value) + ", not " + std::to_string(expected));
    }
  }
}

template <class Number>
void plain(const FormatName& format, bool in_columns, uint32_t rows, uint32_t columns, Order order) {
  const StoredMatrix stored = stored_matrix(format, in_columns, rows, columns, order);
  check(stored.intact(), "writes beside the matrix");
  const Number* numbers = static_cast<const Number*>(stored.matrix.quants);
  const uint32_t count = in_columns ? columns : rows, length = in_columns ? rows : columns;
  for (uint32_t i = 0; i < count; i++) {
    for (uint32_t j = 0; j < stored.matrix.stride; j++) {
      const Number bits = numbers[size_t{i} * stored.matrix.stride + j];
      const float value = format.code == kF32   ? floatOf(bits)
                          : format.code == kF16 ? toF32(static_cast<uint16_t>(bits))
                                                : floatOf(uint32_t{bits} << 16);
      const double expected =
          j >= length ? 0 : stored.numbers[in_columns ? size_t{j} * columns + i : size_t{i} * columns + j];
      check(value == expected, std::string(format.name) + " moves a number");
    }
  }
}

}  // namespace

int main() {
  harness::in_all_orders([](Order order) {
    for (const auto& [rows, columns] : {std::pair{3u, 67u}, {1u, 1u}, {41u, 70u}, {37u, 33u}}) {
      for (bool in_columns : {false, true}) {
        plain<uint32_t>(kFormats[0], in_columns, rows, columns, order);
        plain<uint16_t>(kFormats[1], in_columns, rows, columns, order);
        plain<uint16_t>(kFormats[2], in_columns, rows, columns, order);
      }
    }
    for (uint32_t rows : {1u, 5u}) {
      blocks<Q8_0>(kFormats[3], rows, 96, order);
      blocks<Q4_0>(kFormats[4], rows, 96, order);
      blocks<Q4_1>(kFormats[5], rows, 96, order);
      blocks<Q5_0>(kFormats[6], rows, 96, order);
      blocks<Q5_1>(kFormats[7], rows, 96, order);
      blocks<Q4K>(kFormats[8], rows, 512, order);
      blocks<Q5K>(kFormats[9], rows, 768, order);
      blocks<Q6K>(kFormats[10], rows, 512, order);
    }
  });
  return harness::finish();
}
