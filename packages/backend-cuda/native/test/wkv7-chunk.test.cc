#include "kernels/ops/wkv7-chunk.cuh"

#include "test/wkv7-model.h"

namespace {
using namespace rwkv;
using namespace harness;

void wkv7_chunk(const Wkv7Case& of, Order order, uint32_t longest = 16, double bound = 1e-5) {
  Wkv7Model model(of);
  Wkv7Arguments arguments = model.arguments();
  const auto tokens = static_cast<uint32_t>(model.tokens);
  const uint32_t windows = (tokens + kChunk - 1) / kChunk;
  Numbers scratch(windows * of.heads, kWkv7Record, 0, kAlignedGuard);
  arguments.longest = longest;
  arguments.scratch = scratch.row(0);
  const Step* step = model.batch.step();
  // A window more than the step has tokens for.
  launch("wkv7_chunks", {(tokens + 7) / 8 + 2, of.heads, 256, 0}, step, arguments, order);
  const auto sequences = static_cast<unsigned>(of.sequences.size());
  launch("wkv7_carry", {sequences + 1, kCarryBlocks * of.heads, 128, 0}, step, arguments, order);
  if (of.has_tail) launch("wkv7_finish", {(tokens + 7) / 8 + 1, of.heads, 256, 0}, step, arguments, order);
  model.expect(bound, longest + 1);
  check(scratch.intact(windows * of.heads), "writes beside the scratch");
}

}  // namespace

int main() {
  // Segments that begin and end anywhere in a window, two in one, and short sequences between.
  const std::vector<Sequence> several = {{3, 17}, {2, 40}, {0, 1}, {4, 17}};
  harness::in_all_orders([&](Order order) {
    wkv7_chunk({2, 64, true, true, true, several}, order);
    wkv7_chunk({1, 64, false, false, false, several}, order);
    wkv7_chunk({2, 64, true, false, true, {{0, 64}}}, order);
    wkv7_chunk({1, 64, true, false, false, {{0, 5}, {2, 33}}, 1e-3, 1}, order);
    wkv7_chunk({1, 64, true, true, true, several, 0, 1e-6}, order);
    wkv7_chunk({1, 64, false, false, true, {{2, 130}}, 0.9, 1}, order);
    wkv7_chunk({1, 64, true, true, true, several}, order, 17);
  });
  return harness::finish();
}
