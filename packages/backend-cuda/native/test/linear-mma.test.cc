#include "kernels/ops/linear-mma.cuh"

#include "test/linear-harness.h"

namespace {
using namespace rwkv;
using namespace harness;

struct Shape {
  uint32_t outputs, columns, rows;
};

void shape(const FormatName& format, bool in_columns, uint32_t size, uint32_t splits, const Shape& of, Order order) {
  const bool bfloat = format.code == kBf16;
  const std::string name =
      std::string("linear_mma_") + format.name + (in_columns ? "_columns_" : "_") + std::to_string(size);
  const LinearKernel kernel{name, 128, 49152, size, size, splits, bfloat ? "bf16" : "f16", bfloat ? 0.015 : 0.003};
  Random random(of.outputs + of.columns);
  const uint32_t capacity = of.rows + size / 2;
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
      for (uint32_t size : {64u, 128u}) {
        const uint32_t columns = plain ? 203 : format.block == 256 ? 256 : 224;
        shape(format, false, size, 1, {70, columns, 3}, order);
        if (size == 64) shape(format, false, size, 3, {67, columns, 5}, order);
        if (plain) shape(format, true, size, 1, {133, 203, 5}, order);
        if (plain && size == 64) shape(format, true, size, 5, {67, 203, 66}, order);
      }
      if (plain) shape(format, false, 128, 1, {1, 37, 133}, order);
    }
  });
  return harness::finish();
}
