#include "kernels/ops/linear-vector.cuh"

#include "test/linear-harness.h"

namespace {
using namespace rwkv;
using namespace harness;

uint32_t outputs_of(uint32_t pieces) {
  uint32_t lanes = 8;
  while (lanes < 128 && 2 * lanes <= pieces) lanes *= 2;
  return 512 / lanes;
}

void shape(const FormatName& format, uint32_t outputs, uint32_t columns, Order order) {
  Random random(outputs + columns);
  const uint32_t piece = 128 / format.bits;
  for (uint32_t rows : {1u, 2u, 4u, 8u}) {
    if (rows == 8 && format.bits != 32) continue;
    const LinearKernel kernel{std::string("linear_vector_") + format.name + "_" + std::to_string(rows),
                              128,
                              0,
                              rows,
                              outputs_of((columns + piece - 1) / piece),
                              1,
                              "",
                              2e-6};
    Product first(stored_matrix(format, false, outputs, columns, order), rows, random);
    multiply(kernel, {&first}, rows, rows, order);
    first.align();
    first.finish_with(7, kTanh);
    Product second(stored_matrix(format, false, outputs / 2 + 1, columns, order, 2), rows, random);
    second.finish_with(4, kRelu2);
    const uint32_t fewer = rows > 2 ? rows - 1 : rows;
    multiply(kernel, {&first, &second}, fewer, rows, order);
    if (rows > 1) spoil_row(kernel, second, fewer, rows, order);
  }
}

}  // namespace

int main() {
  harness::in_all_orders([](Order order) {
    for (int f = 0; f < 3; f++) {
      for (const auto& [outputs, columns] :
           {std::pair{43u, 67u}, {1u, 37u}, {70u, 64u}, {5u, 300u}, {9u, 2049u}, {3u, 5000u}}) {
        shape(kFormats[f], outputs, columns, order);
      }
    }
  });
  return harness::finish();
}
