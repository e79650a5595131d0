#include "kernels/ops/linear-mma.cuh"

#include "test/linear-harness.h"

namespace {
using namespace rwkv;
using namespace harness;

struct Shape {
  uint32_t outputs, columns, rows;
};

struct Tile {
  uint32_t rows, outputs, threads;
  size_t shared;
};
constexpr Tile kSmall{64, 64, 128, 49152}, kLarge{128, 128, 128, 49152}, kWide{128, 256, 256, 98304};

void shape(const FormatName& format, bool in_columns, const Tile& tile, uint32_t splits, const Shape& of, Order order) {
  const bool bfloat = format.code == kBf16;
  const std::string layout = in_columns ? "_columns_" : "_";
  const std::string name = std::string("linear_mma_") + format.name + layout + std::to_string(tile.outputs);
  const LinearKernel kernel{name,
                            tile.threads,
                            tile.shared,
                            tile.rows,
                            tile.outputs,
                            splits,
                            bfloat ? "bf16" : "f16",
                            bfloat ? 0.015 : 0.003};
  Random random(of.outputs + of.columns);
  const uint32_t capacity = of.rows + tile.rows / 2;
  Product first(stored_matrix(format, in_columns, of.outputs, of.columns, order), capacity, random);
  Product second(stored_matrix(format, in_columns, 3, of.columns, order, 2), capacity, random);
  for (uint32_t r = 0; r < of.rows; r++) {
    for (uint32_t c = 0; c < of.columns; c++) first.x().row(r)[c] *= r % 3 == 0 ? 1e6f : r % 3 == 1 ? 1e-7f : 1.0f;
  }
  second.finish_with(7, kTanh);
  multiply(kernel, {&first, &second}, of.rows, capacity, order);
  spoil_row(kernel, second, of.rows, capacity, order);
}

}  // namespace

int main() {
  harness::in_all_orders([](Order order) {
    for (const FormatName& format : kFormats) {
      if (format.code == kF32) continue;
      const bool plain = format.block == 1;
      const uint32_t columns = plain ? 203 : format.block == 256 ? 256 : 224;
      shape(format, false, kSmall, 3, {67, columns, 5}, order);
      shape(format, false, kLarge, 1, {70, columns, 3}, order);
      if (!plain) continue;
      shape(format, false, kLarge, 2, {1, 203, 133}, order);
      shape(format, false, kWide, 2, {133, 203, 5}, order);
      shape(format, true, kSmall, 5, {67, 203, 66}, order);
      shape(format, true, kLarge, 1, {133, 203, 5}, order);
      shape(format, true, kWide, 1, {201, 203, 5}, order);
    }
  });
  return harness::finish();
}
