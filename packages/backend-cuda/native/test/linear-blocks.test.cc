#include "kernels/ops/linear-blocks.cuh"

#include "test/linear-harness.h"

namespace {
using namespace rwkv;
using namespace harness;

/** Rounding x to bytes errs by less than one part in 254 of the largest number in each term. */
void shape(const FormatName& format, uint32_t outputs, uint32_t columns, Order order) {
  Random random(outputs + columns);
  uint32_t lanes = 8;
  while (lanes < 128 && 2 * lanes <= columns / 32) lanes *= 2;
  for (uint32_t rows : {1u, 2u, 4u}) {
    const std::string name = std::string("linear_blocks_") + format.name + "_" + std::to_string(rows);
    const LinearKernel close{name, 128, 0, rows, 512 / lanes, 1, "bytes", 0.06},
        exact{name, 128, 0, rows, 512 / lanes, 1, "bytes", 4e-6};
    Product first(stored_matrix(format, false, outputs, columns, order), rows, random);
    multiply(close, {&first}, rows, rows, order);
    spoil_row(close, first, rows, rows, order);
    // Whole numbers of which the largest is 127 need no rounding.
    for (uint32_t r = 0; r < rows; r++) {
      for (uint32_t c = 0; c < columns; c++)
        first.x().row(r)[c] = c % 32 == r ? -127.0f : static_cast<float>(static_cast<int>(random.below(255)) - 127);
    }
    first.align();
    first.finish_with(1, kNone);
    multiply(exact, {&first}, rows, rows, order);
    Product second(stored_matrix(format, false, outputs / 2 + 1, columns, order, 2), rows, random);
    second.x().fill([] { return 0.0; });
    second.finish_with(6, kRelu2);
    multiply(exact, {&second, &first}, rows > 2 ? rows - 1 : rows, rows, order);
  }
}

}  // namespace

int main() {
  harness::in_all_orders([](Order order) {
    for (int f = 3; f < 11; f++) {
      const FormatName& format = kFormats[f];
      for (uint32_t outputs : {43u, 1u}) shape(format, outputs, format.block == 256 ? 512 : 96, order);
      shape(format, 5, format.block == 256 ? 1280 : 1056, order);
      shape(format, 3, 4352, order);
    }
  });
  return harness::finish();
}
