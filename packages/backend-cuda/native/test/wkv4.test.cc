#include "kernels/ops/wkv4.cuh"

#include "test/harness.h"

namespace {
using namespace rwkv;
using namespace harness;

void wkv4(uint32_t width, double magnitude, Order order) {
  Batch batch({{3, 19}, {0, 1}, {2, 8}});
  Numbers k(29, width), v(29, width), decay(1, width), first(1, width), out(29, width), state(4, 3 * width, 0);
  Random random(width);
  for (Numbers* one : {&k, &v}) one->fill([&] { return magnitude * random.normal(); });
  first.fill([&] { return random.normal(); });
  decay.fill([&] { return -std::exp(random.normal()); });
  state.fill([&] { return random.uniform(0.5, 2); });
  // A fresh slot: nothing summed.
  for (uint32_t c = 0; c < width; c++) {
    state.row(0)[c] = state.row(0)[width + c] = 0;
    state.row(0)[2 * width + c] = -1e30f;
  }
  const Numbers old = state;
  launch("wkv4", {4, (width + 31) / 32, 32, 0}, batch.step(),
         Wkv4Arguments{k.read(), v.read(), decay.shared(), first.shared(), out.rows(), state.row(0), width}, order);
  for (size_t s = 0; s < 3; s++) {
    const uint32_t slot = batch.sequences()[s].slot;
    std::vector<double> now(old.row(slot), old.row(slot) + 3 * width);
    for (uint32_t t = batch.starts[s]; t < batch.starts[s + 1]; t++) {
      std::vector<double> expected;
      for (uint32_t c = 0; c < width; c++) {
        double &a = now[c], &b = now[width + c], &p = now[2 * width + c];
        const double key = k.row(t)[c], value = v.row(t)[c], own = first.row(0)[c] + key, q = std::fmax(p, own);
        const double past = std::exp(p - q), here = std::exp(own - q);
        expected.push_back((past * a + here * value) / (past * b + here));
        const double decayed = p + decay.row(0)[c], next = std::fmax(decayed, key);
        a = std::exp(decayed - next) * a + std::exp(key - next) * value;
        b = std::exp(decayed - next) * b + std::exp(key - next);
        p = next;
      }
      compare(out.row(t), expected, 5e-6, "wkv4");
    }
    compare(state.row(slot), now, 5e-6, "wkv4, state");
  }
  check(memcmp(state.row(1), old.row(1), 12 * width) == 0 && state.intact(4), "wkv4 touches other states");
  check(out.intact(28), "wkv4 writes beside its rows");
}

}  // namespace

int main() {
  harness::in_all_orders([](Order order) {
    wkv4(37, 1, order);
    wkv4(64, 30, order);
  });
  return harness::finish();
}
