#include "kernels/ops/wkv6.cuh"

#include "test/wkv6-model.h"

namespace {
using namespace rwkv;
using namespace harness;

void wkv6(const Wkv6Case& of, Order order, uint32_t longest = 0xffffffffu) {
  Wkv6Model model(of);
  Wkv6Arguments arguments = model.arguments();
  arguments.longest = longest;
  const bool is_known = of.size == 32 || of.size == 64 || of.size == 128;
  const std::string name = "wkv6_" + (is_known ? std::to_string(of.size) : "any");
  const unsigned threads = of.size == 32 ? 96 : of.size == 128 ? 640 : 256;
  const size_t shared = is_known ? 0 : 16 * (6 * of.size + 1);
  launch(name.c_str(), {static_cast<unsigned>(of.sequences.size()) + 1, of.heads, threads, shared}, model.batch.step(),
         arguments, order);
  model.expect(1e-5, 0, longest);
}

}  // namespace

int main() {
  const std::vector<Sequence> several = {{3, 19}, {0, 1}, {2, 8}, {4, 3}};
  harness::in_all_orders([&](Order order) {
    wkv6({3, 5, false, false, false, several}, order);
    wkv6({2, 12, true, true, true, several}, order);
    wkv6({1, 200, false, true, true, {{2, 5}}}, order);
    wkv6({2, 32, false, true, true, several}, order);
    wkv6({2, 32, true, false, false, {{2, 40}}}, order);
    wkv6({2, 64, false, true, true, several}, order);
    wkv6({1, 64, true, true, false, {{0, 25}, {3, 16}}}, order);
    wkv6({2, 64, false, false, false, several}, order);
    wkv6({1, 128, false, true, true, {{2, 9}, {0, 1}}}, order);
    wkv6({2, 64, false, true, true, several}, order, 8);
    wkv6({2, 5, false, true, true, several}, order, 3);
  });
  return harness::finish();
}
