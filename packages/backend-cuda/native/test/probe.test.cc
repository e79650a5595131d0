#include "kernels/ops/probe.cuh"

#include "test/harness.h"

namespace {
using namespace rwkv;
using namespace harness;

double number_of_a(unsigned r, unsigned k) { return 1 + (8 * r + k) / 256.0; }
double number_of_b(unsigned k, unsigned n) { return 1 + (k - 8.0 * n) / 128.0; }

double product(unsigned r, unsigned n) {
  double sum = 0;
  for (unsigned k = 0; k < 16; k++) sum += number_of_a(r, k) * number_of_b(k, n);
  return sum;
}

void probe(uint32_t rounds, uint32_t blocks, Order order) {
  const unsigned threads = 256;
  Numbers out(1, blocks * threads);
  launch("probe", {blocks, 1, threads, 0}, nullptr, ProbeArguments{out.row(0), rounds}, order);
  std::vector<double> expected;
  for (unsigned thread = 0; thread < blocks * threads; thread++) {
    const unsigned g = thread % 32 / 4, t = thread % 4;
    double each = 0;
    for (unsigned i = 0; i < 4; i++) each += product(g + i / 2 * 8, 2 * t + i % 2);
    // Four numbers of each sum, which begin at 0, 1, … 7.
    expected.push_back(4 * 28 + 8 * rounds * each);
  }
  compare(out.row(0), expected, 1e-6, std::to_string(rounds) + " rounds");
  check(out.intact(1), "the probe writes beside its sums");
}

}  // namespace

int main() {
  harness::in_all_orders([](Order order) {
    probe(0, 1, order);
    probe(1, 2, order);
    probe(3, 3, order);
  });
  return harness::finish();
}
