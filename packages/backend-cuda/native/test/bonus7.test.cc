#include "kernels/ops/bonus7.cuh"

#include "test/harness.h"

namespace {
using namespace rwkv;
using namespace harness;

void bonus7(uint32_t heads, uint32_t size, Order order) {
  const uint32_t width = heads * size;
  Batch batch({{0, 2}, {1, 1}});
  Numbers r(4, width), k(4, width), v(4, width), by(1, width), out(4, width);
  Random random(width);
  for (Numbers* one : {&r, &k, &v, &by}) one->fill([&] { return random.normal(); });
  launch("bonus7", {4, heads, 64, 0}, batch.step(),
         Bonus7Arguments{r.read(), k.read(), v.read(), by.shared(), out.rows(), kTokens, size}, order);
  for (size_t t = 0; t < 3; t++) {
    std::vector<double> expected;
    for (size_t h = 0; h < heads; h++) {
      double sum = 0;
      for (size_t c = h * size; c < (h + 1) * size; c++) sum += double{r.row(t)[c]} * k.row(t)[c] * by.row(0)[c];
      for (size_t c = h * size; c < (h + 1) * size; c++) expected.push_back(sum * v.row(t)[c]);
    }
    compare(out.row(t), expected, 3e-6, std::to_string(heads) + " heads of " + std::to_string(size));
  }
  check(out.intact(3), "bonus7 writes beside its rows");
}

}  // namespace

int main() {
  harness::in_all_orders([](Order order) {
    bonus7(3, 5, order);
    bonus7(2, 64, order);
    bonus7(1, 200, order);
  });
  return harness::finish();
}
