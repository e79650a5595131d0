#include "kernels/ops/wkv7.cuh"

#include "test/wkv7-model.h"

namespace {
using namespace rwkv;
using namespace harness;

void wkv7(const Wkv7Case& of, Order order, uint32_t longest = 0xffffffffu) {
  Wkv7Model model(of);
  Wkv7Arguments arguments = model.arguments();
  arguments.longest = longest;
  const bool is_known = of.size == 32 || of.size == 64 || of.size == 128;
  const std::string name = "wkv7_" + (is_known ? std::to_string(of.size) : "any");
  const unsigned threads = of.size == 32 ? 96 : of.size == 128 ? 640 : 256;
  const size_t shared = is_known ? 0 : 16 * (kWkv7Rows * of.size + kWkv7Sums);
  launch(name.c_str(), {static_cast<unsigned>(of.sequences.size()) + 1, of.heads, threads, shared}, model.batch.step(),
         arguments, order);
  model.expect(1e-5, 0, longest);
}

}  // namespace

int main() {
  const std::vector<Sequence> several = {{3, 19}, {0, 1}, {2, 8}, {4, 3}};
  harness::in_all_orders([&](Order order) {
    wkv7({3, 5, false, false, false, several}, order);
    wkv7({2, 12, true, true, true, several}, order);
    wkv7({1, 200, true, false, true, {{2, 5}}}, order);
    wkv7({2, 32, true, true, true, several}, order);
    wkv7({2, 32, false, false, false, {{2, 40}}}, order);
    wkv7({2, 64, true, true, true, several}, order);
    wkv7({1, 64, true, false, true, {{0, 25}, {3, 16}}, 1e-3, 1}, order);
    wkv7({1, 64, false, false, true, several}, order);
    wkv7({2, 64, false, false, false, several, 1, 1}, order);
    wkv7({1, 128, true, true, true, {{2, 9}, {0, 1}}}, order);
    wkv7({2, 64, true, true, true, several}, order, 8);
    wkv7({2, 5, true, true, true, several}, order, 3);
  });
  return harness::finish();
}
