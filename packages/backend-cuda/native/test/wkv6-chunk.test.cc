#include "kernels/ops/wkv6-chunk.cuh"

#include "test/wkv6-model.h"

namespace {
using namespace rwkv;
using namespace harness;

/** The three launches, with room for a window more than the step has tokens. */
void run_chunks(Wkv6Model& model, uint32_t longest, Order order) {
  const Wkv6Case& of = model.of;
  Wkv6Arguments arguments = model.arguments();
  const auto tokens = static_cast<uint32_t>(model.tokens), sequences = static_cast<uint32_t>(of.sequences.size());
  const uint32_t windows = (tokens + kChunk - 1) / kChunk;
  Numbers scratch(windows * of.heads, kWkv6Record, 0, kAlignedGuard);
  arguments.longest = longest;
  arguments.scratch = scratch.row(0);
  const Step* step = model.batch.step();
  launch("wkv6_chunks", {(tokens + 7) / 8 + 2, of.heads, 256, 0}, step, arguments, order);
  launch("wkv6_carry", {sequences + 1, kCarry6Blocks * of.heads, 128, 0}, step, arguments, order);
  if (of.has_norm || of.has_gate) {
    launch("wkv6_finish", {(tokens + 7) / 8 + 1, of.heads, 256, 0}, step, arguments, order);
  }
  check(scratch.intact(windows * of.heads), "writes beside the scratch");
}

void wkv6_chunk(const Wkv6Case& of, Order order, uint32_t longest = 16) {
  Wkv6Model model(of);
  run_chunks(model, longest, order);
  model.expect(1e-5, longest + 1);
}

/** What is not finite in one sequence changes no bit of those that share its windows. */
void not_finite(const Wkv6Case& of, Order order) {
  Wkv6Model sound(of), broken(of);
  const uint32_t bad = 1;
  float* state = broken.state.row(of.sequences[bad].slot);
  for (size_t i = 0; i < broken.width * of.size; i += 3) state[i] = i % 2 ? NAN : INFINITY;
  run_chunks(sound, 16, order);
  run_chunks(broken, 16, order);
  for (size_t s = 0; s < of.sequences.size(); s++) {
    const uint32_t slot = of.sequences[s].slot;
    const size_t bytes = 4 * sound.width * of.size;
    const bool same = memcmp(sound.state.row(slot), broken.state.row(slot), bytes) == 0;
    check(same == (s != bad), "the state of sequence " + std::to_string(s) + " beside one that is not finite");
    for (uint32_t t = sound.batch.starts[s]; t < sound.batch.starts[s + 1]; t++) {
      const bool row = memcmp(sound.out.row(t), broken.out.row(t), 4 * sound.width) == 0;
      check(row == (s != bad), "token " + std::to_string(t) + " beside a sequence that is not finite");
    }
  }
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
    not_finite({1, 64, false, true, true, several}, order);
  });
  return harness::finish();
}
