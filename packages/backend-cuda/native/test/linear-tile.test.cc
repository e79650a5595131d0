#include "kernels/ops/linear-tile.cuh"

#include "test/linear-harness.h"

namespace {
using namespace rwkv;
using namespace harness;

void shape(const FormatName& format, bool in_columns, uint32_t outputs, uint32_t columns, uint32_t rows, Order order) {
  const uint32_t capacity = rows + 60;
  Random random(outputs + columns);
  const LinearKernel kernel{
      std::string("linear_tile_") + format.name + (in_columns ? "_columns" : ""), 256, 0, 64, 64, 1, "", 2e-6};
  Product first(stored_matrix(format, in_columns, outputs, columns, order), capacity, random);
  Product second(stored_matrix(format, in_columns, 3, columns, order, 2), capacity, random);
  first.align();
  first.finish_with(5, kRelu2);
  second.finish_with(2, kNone);
  multiply(kernel, {&first, &second}, rows, capacity, order);
  spoil_row(kernel, second, rows, capacity, order);
}

}  // namespace

int main() {
  harness::in_all_orders([](Order order) {
    for (const FormatName& format : kFormats) {
      if (format.block == 1) {
        for (bool in_columns : {false, true}) {
          shape(format, in_columns, 70, 67, 66, order);
          shape(format, in_columns, 1, 37, 3, order);
        }
      } else {
        shape(format, false, 70, format.block == 256 ? 256 : 96, 3, order);
      }
    }
  });
  return harness::finish();
}
