#include "kernels/ops/linear-few.cuh"

#include "test/linear-harness.h"

namespace {
using namespace rwkv;
using namespace harness;

void shape(const FormatName& format, uint32_t outputs, uint32_t columns, Order order) {
  const bool bfloat = format.code == kBf16;
  for (uint32_t rows : {8u, 16u, 32u}) {
    const LinearKernel kernel{std::string("linear_few_") + format.name + "_" + std::to_string(rows),
                              256,
                              0,
                              rows,
                              rows == 8 ? 16u : 32u,
                              1,
                              bfloat ? "bf16" : "f16",
                              bfloat ? 0.015 : 0.003};
    Random random(outputs + columns + rows);
    const uint32_t some = rows - 3;
    Product first(stored_matrix(format, false, outputs, columns, order), rows, random);
    Product second(stored_matrix(format, false, 3, columns, order, 2), rows, random);
    // Rows of the sizes that f16 cannot hold.
    for (uint32_t r = 0; r < rows; r++) {
      for (uint32_t c = 0; c < columns; c++) first.x().row(r)[c] *= r % 3 == 0 ? 1e6f : r % 3 == 1 ? 1e-7f : 1.0f;
    }
    second.finish_with(7, kTanh);
    multiply(kernel, {&first, &second}, some, rows, order);
    spoil_row(kernel, second, some, rows, order);
  }
}

}  // namespace

int main() {
  harness::in_all_orders([](Order order) {
    for (const FormatName& format : kFormats) {
      if (format.code == kF32) continue;
      if (format.block == 1) {
        for (const auto& [outputs, columns] : {std::pair{37u, 67u}, {1u, 37u}}) shape(format, outputs, columns, order);
        if (order == Order::shuffled) shape(format, 20, 1100, order);
      } else {
        shape(format, 35, format.block == 256 ? 256 : 96, order);
        if (order == Order::shuffled) shape(format, 5, format.block == 256 ? 2304 : 2336, order);
      }
    }
  });
  return harness::finish();
}
