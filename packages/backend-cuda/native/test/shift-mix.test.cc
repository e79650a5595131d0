#include "kernels/ops/shift-mix.cuh"

#include "test/harness.h"

namespace {
using namespace rwkv;
using namespace harness;

struct Case {
  uint32_t width, part, mixes;
  bool normalises, toward_current, extras;
};

using Row = std::vector<double>;

Row normed(const float* x, const Numbers& weight, const Numbers& bias, const Case& of) {
  double sum = 0, squares = 0;
  for (uint32_t c = 0; c < of.width; c++) sum += x[c];
  const double mean = sum / of.width;
  for (uint32_t c = 0; c < of.width; c++) squares += (x[c] - mean) * (x[c] - mean);
  const double scale = 1 / std::sqrt(squares / of.width + 1e-5f);
  Row row;
  for (uint32_t c = 0; c < of.width; c++) {
    row.push_back(of.normalises ? (x[c] - mean) * scale * weight.row(0)[c] + bias.row(0)[c] : x[c]);
  }
  return row;
}

/** Sequences of three tokens, one and two, in slots that are in no order; row 6 and slot 1 belong to none. */
void shift_mix(const Case& of, Order order) {
  Batch batch({{3, 3}, {0, 1}, {2, 2}});
  const uint32_t width = of.width;
  Random random(width + of.mixes);
  const auto draw = [&] { return random.normal(); };
  Numbers x(7, width), weight(1, width), bias(1, width), state(4, width, 0), by(8, width);
  for (Numbers* one : {&x, &weight, &bias, &state, &by}) one->fill(draw);
  const Numbers old = state;
  std::vector<Numbers> outs(8, Numbers(7, width, 1)), extras(3, Numbers(7, width));
  ShiftMixArguments arguments{};
  arguments.x = x.read();
  arguments.state = state.row(0);
  arguments.width = width;
  arguments.part = of.part;
  arguments.toward_current = of.toward_current;
  arguments.mixes = of.mixes;
  arguments.eps = 1e-5f;
  if (of.normalises) {
    arguments.weight = weight.shared();
    arguments.bias = bias.shared();
  }
  if (of.extras) {
    arguments.normed = extras[0].rows();
    arguments.shifted = extras[1].rows();
    arguments.difference = extras[2].rows();
  }
  for (uint32_t i = 0; i < of.mixes; i++) arguments.jobs[i] = {{by.row(i), 0, 0}, outs[i].rows()};
  launch("shift_mix", {7, (width + of.part - 1) / of.part, 512, 0}, batch.step(), arguments, order);

  const std::string where = "shift-mix of " + std::to_string(width);
  for (size_t s = 0; s < 3; s++) {
    const uint32_t slot = batch.sequences()[s].slot;
    Row before(old.row(slot), old.row(slot) + width);
    for (uint32_t t = batch.starts[s]; t < batch.starts[s + 1]; t++) {
      const Row now = normed(x.row(t), weight, bias, of);
      Row difference;
      for (uint32_t c = 0; c < width; c++) difference.push_back(before[c] - now[c]);
      for (uint32_t i = 0; i < of.mixes; i++) {
        Row expected;
        for (uint32_t c = 0; c < width; c++) {
          const double amount = by.row(i)[c];
          expected.push_back(of.toward_current ? before[c] - difference[c] * amount : now[c] + difference[c] * amount);
        }
        compare(outs[i].row(t), expected, 2e-6, where);
      }
      if (of.extras) {
        compare(extras[0].row(t), now, 2e-6, where + ", normed");
        compare(extras[1].row(t), before, 2e-6, where + ", shifted");
        compare(extras[2].row(t), difference, 2e-6, where + ", difference");
      }
      before = now;
    }
    compare(state.row(slot), before, 2e-6, where + ", state");
  }
  check(memcmp(state.row(1), old.row(1), 4 * width) == 0 && state.intact(4), where + " touches other states");
  for (uint32_t i = 0; i < 8; i++) check(outs[i].intact(i < of.mixes ? 6 : 0), where + " writes beside its rows");
  for (const Numbers& one : extras) check(one.intact(of.extras ? 6 : 0), where + " writes beside its extras");
}

}  // namespace

int main() {
  harness::in_all_orders([](Order order) {
    const Case cases[] = {{67, 512, 3, true, true, false},    {33, 512, 6, true, false, true},
                          {1100, 512, 8, true, false, false}, {1537, 1024, 1, true, true, true},
                          {4500, 4608, 2, true, false, false}, {40, 512, 0, false, false, true}};
    for (const Case& one : cases) shift_mix(one, order);
  });
  return harness::finish();
}
