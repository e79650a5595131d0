#include "kernels/ops/norm.cuh"

#include "test/harness.h"

namespace {
using namespace rwkv;
using namespace harness;

struct Case {
  uint32_t groups, part;
  double offset;
};

/** Three rows of a launch that has four. */
void norms(const Case& of, Order order) {
  const uint32_t width = of.groups * of.part;
  Batch batch({{0, 1}, {1, 2}});
  Numbers x(4, width), weight(1, width), bias(1, width), out(4, width), unit(4, width);
  Random random(of.part);
  x.fill([&] { return of.offset + random.normal(); });
  weight.fill([&] { return random.normal(); });
  bias.fill([&] { return random.normal(); });
  launch("norm", {4, of.groups, 1024, 0}, batch.step(),
         NormArguments{x.read(), out.rows(), weight.shared(), bias.shared(), kTokens, of.part, 1e-5f}, order);
  launch("l2_norm", {4, of.groups, 64, 0}, batch.step(),
         L2NormArguments{x.read(), unit.rows(), kTokens, of.part, 0.5f}, order);
  for (size_t r = 0; r < 3; r++) {
    std::vector<double> normed, united;
    for (size_t g = 0; g < of.groups; g++) {
      const float* at = x.row(r) + g * of.part;
      double sum = 0, squares = 0, length = 0;
      for (size_t c = 0; c < of.part; c++) sum += at[c];
      for (size_t c = 0; c < of.part; c++) {
        squares += (at[c] - sum / of.part) * (at[c] - sum / of.part);
        length += double{at[c]} * at[c];
      }
      for (size_t c = 0; c < of.part; c++) {
        const size_t column = g * of.part + c;
        const double value = (at[c] - sum / of.part) / std::sqrt(squares / of.part + 1e-5f);
        normed.push_back(value * weight.row(0)[column] + bias.row(0)[column]);
        united.push_back(at[c] / std::fmax(std::sqrt(length), 0.5));
      }
    }
    const std::string where = std::to_string(of.groups) + " groups of " + std::to_string(of.part);
    compare(out.row(r), normed, 2e-6 * (1 + of.offset), "norm, " + where);
    compare(unit.row(r), united, 1e-6, "l2-norm, " + where);
  }
  check(out.intact(3) && unit.intact(3), "writes beside its rows");
}

}  // namespace

int main() {
  harness::in_all_orders([](Order order) {
    const Case cases[] = {{1, 67, 0}, {3, 5, 0}, {1, 1, 0}, {2, 4099, 0}, {1, 5000, 40}};
    for (const Case& one : cases) norms(one, order);
  });
  return harness::finish();
}
