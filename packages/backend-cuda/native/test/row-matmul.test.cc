#include "kernels/ops/row-matmul.cuh"

#include "test/harness.h"

namespace {
using namespace rwkv;
using namespace harness;

void row_matmul(uint32_t inner, uint32_t width, Order order) {
  Batch batch({{0, 2}, {1, 1}});
  Numbers x(4, inner), m(4, inner * width), out(4, width);
  Random random(inner);
  x.fill([&] { return random.normal(); });
  m.fill([&] { return random.normal(); });
  launch("row_matmul", {4, (width + 127) / 128, 128, 0}, batch.step(),
         RowMatmulArguments{x.read(), m.read(), out.rows(), kTokens, width, inner}, order);
  for (size_t r = 0; r < 3; r++) {
    std::vector<double> expected(width, 0);
    for (size_t a = 0; a < inner; a++) {
      for (size_t b = 0; b < width; b++) expected[b] += double{x.row(r)[a]} * m.row(r)[a * width + b];
    }
    compare(out.row(r), expected, 2e-6, std::to_string(inner) + " to " + std::to_string(width));
  }
  check(out.intact(3), "row-matmul writes beside its rows");
}

}  // namespace

int main() {
  harness::in_all_orders([](Order order) {
    row_matmul(7, 11, order);
    row_matmul(11, 1, order);
    row_matmul(32, 150, order);
  });
  return harness::finish();
}
