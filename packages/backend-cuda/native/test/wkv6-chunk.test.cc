#include "kernels/ops/wkv6-chunk.cuh"

#include "test/wkv6-model.h"

namespace {
using namespace rwkv;
using namespace harness;

void wkv6_chunk(const Wkv6Case& of, Order order, uint32_t longest = 16) {
  Wkv6Model model(of);
  Wkv6Arguments arguments = model.arguments();
  const auto tokens = static_cast<uint32_t>(model.tokens);
  const uint32_t windows = (tokens + kChunk - 1) / kChunk;
  Numbers scratch(windows * of.heads, kWkv6Record, 0, kAlignedGuard);
  arguments.longest = longest;
  arguments.scratch = scratch.row(0);
  const Step* step = model.batch.step();
  // A window more than the step has tokens for.
  launch("wkv6_chunks", {(tokens + 7) / 8 + 2, of.heads, 256, 0}, step, arguments, order);
  const auto sequences = static_cast<unsigned>(of.sequences.size());
  launch("wkv6_carry", {sequences + 1, kCarry6Blocks * of.heads, 128, 0}, step, arguments, order);
  if (of.has_norm || of.has_gate) {
    launch("wkv6_finish", {(tokens + 7) / 8 + 1, of.heads, 256, 0}, step, arguments, order);
  }
  model.expect(1e-5, longest + 1);
  check(scratch.intact(windows * of.heads), "writes beside the scratch");
}

}  // namespace

int main() {
  // Segments that begin and end anywhere in a window, two in one, and short sequences between.
  const std::vector<Sequence> several = {{3, 17}, {2, 40}, {0, 1}, {4, 17}};
  harness::in_all_orders([&](Order order) {
    wkv6_chunk({2, 64, false, true, true, several}, order);
    wkv6_chunk({1, 64, false, false, false, several}, order);
    wkv6_chunk({2, 64, true, true, false, {{0, 64}}}, order);
    wkv6_chunk({1, 64, false, false, true, {{0, 5}, {2, 33}}}, order);
    wkv6_chunk({1, 64, true, false, false, {{2, 130}}}, order);
    wkv6_chunk({1, 64, false, true, true, several}, order, 17);
  });
  return harness::finish();
}
