#include "kernels/ops/linear-columns.cuh"

#include "test/linear-harness.h"

namespace {
using namespace rwkv;
using namespace harness;

void shape(const FormatName& format, uint32_t outputs, uint32_t columns, uint32_t splits, Order order) {
  for (uint32_t rows : {1u, 4u}) {
    const LinearKernel kernel{
        std::string("linear_columns_") + format.name + "_" + std::to_string(rows), 128, 0, rows, 256, splits, "", 2e-6};
    const uint32_t some = rows == 4 ? 3 : 1;
    Random random(outputs + columns);
    Product first(stored_matrix(format, true, outputs, columns, order), rows, random);
    Product second(stored_matrix(format, true, 3, columns, order, 2), rows, random);
    first.x().fill([&] { return random.below(10) ? 0.0 : random.normal(); });
    second.finish_with(7, kRelu2);
    multiply(kernel, {&first, &second}, some, rows, order);
    multiply(kernel, {&first, &second}, some, rows, order);
    if (rows > 1) spoil_row(kernel, first, some, rows, order);
  }
}

/** What no number meets may hold anything. */
void zeros_read_nothing(Order order) {
  const LinearKernel kernel{"linear_columns_f16_1", 128, 0, 1, 256, 2, "", 2e-6};
  Random random(1);
  StoredMatrix stored = stored_matrix(kFormats[1], true, 40, 300, order);
  for (uint32_t c = 0; c < 300; c += 2) {
    for (uint32_t o = 0; o < 40; o++) {
      static_cast<uint16_t*>(const_cast<void*>(stored.matrix.quants))[c * stored.matrix.stride + o] = 0x7e00;
    }
  }
  Product product(std::move(stored), 1, random);
  for (uint32_t c = 0; c < 300; c += 2) product.x().row(0)[c] = c % 4 ? 0.0f : -0.0f;
  multiply(kernel, {&product}, 1, 1, order);
}

}  // namespace

int main() {
  harness::in_all_orders([](Order order) {
    for (int f = 0; f < 3; f++) {
      shape(kFormats[f], 37, 67, 1, order);
      shape(kFormats[f], 263, 301, 2, order);
      shape(kFormats[f], 5, 1500, 2, order);
      shape(kFormats[f], 1, 700, 5, order);
    }
    zeros_read_nothing(order);
  });
  return harness::finish();
}
