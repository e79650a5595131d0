#include "kernels/ops/prepare7.cuh"

#include "test/harness.h"

namespace {
using namespace rwkv;
using namespace harness;

void prepare7(uint32_t heads, uint32_t size, double magnitude, float floor, bool has_residual, Order order) {
  const uint32_t width = heads * size;
  Batch batch({{0, 2}, {1, 1}});
  Random random(width);
  Numbers k(4, width), rate(4, width), v(4, width), first(4, width), amount(4, width);
  Numbers removal(1, width), replacement(1, width);
  for (Numbers* one : {&k, &v, &first}) one->fill([&] { return magnitude * random.normal(); });
  for (Numbers* one : {&rate, &amount, &removal, &replacement}) one->fill([&] { return random.uniform(0.1, 1); });
  Numbers key(4, width), a(4, width), b(4, width), value(4, width);
  Prepare7Arguments arguments{k.read(), rate.read(), removal.shared(), replacement.shared(),
                              key.rows(), a.rows(), b.rows(), {}, {}, {}, {}, kTokens, size, floor};
  if (has_residual) {
    arguments.v = v.read();
    arguments.first = first.read();
    arguments.amount = amount.read();
    arguments.value = value.rows();
  }
  launch("prepare7", {4, heads, 64, 0}, batch.step(), arguments, order);
  for (size_t r = 0; r < 3; r++) {
    std::vector<double> keys, as, bs, values;
    for (size_t h = 0; h < heads; h++) {
      double squares = 0;
      for (size_t c = h * size; c < (h + 1) * size; c++) {
        squares += std::pow(double{k.row(r)[c]} * removal.row(0)[c], 2);
      }
      for (size_t n = 0; n < size; n++) {
        const size_t c = h * size + n;
        const double direction = double{k.row(r)[c]} * removal.row(0)[c] / std::fmax(std::sqrt(squares), floor);
        as.push_back(-direction);
        bs.push_back(direction * rate.row(r)[c]);
        keys.push_back(k.row(r)[c] * (1 + (rate.row(r)[c] - 1.0) * replacement.row(0)[c]));
        values.push_back(v.row(r)[c] + (double{first.row(r)[c]} - v.row(r)[c]) * amount.row(r)[c]);
      }
    }
    const std::string where = std::to_string(heads) + " heads of " + std::to_string(size);
    compare(key.row(r), keys, 1e-6, where + ", key");
    compare(a.row(r), as, 1e-6, where + ", a");
    compare(b.row(r), bs, 1e-6, where + ", b");
    if (has_residual) compare(value.row(r), values, 1e-6, where + ", value");
  }
  const bool kept = key.intact(3) && a.intact(3) && b.intact(3) && value.intact(has_residual ? 3 : 0);
  check(kept, "prepare7 writes beside its rows");
}

}  // namespace

int main() {
  harness::in_all_orders([](Order order) {
    prepare7(3, 5, 1, 1e-12f, false, order);
    prepare7(2, 64, 1, 1e-12f, true, order);
    prepare7(2, 16, 0.01, 0.5f, false, order);
    prepare7(1, 137, 3000, 1e-12f, true, order);
    prepare7(2, 8, 0, 1e-12f, true, order);
  });
  return harness::finish();
}
