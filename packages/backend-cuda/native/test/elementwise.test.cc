#include "kernels/ops/elementwise.cuh"

#include "test/harness.h"

namespace {
using namespace rwkv;
using namespace harness;

constexpr uint32_t kWidth = 2051;
const Geometry geometry{7, 3, 256, 0};

struct Operands {
  Batch batch{{{2, 3}, {0, 1}, {1, 1}}};
  Numbers x{7, kWidth}, y{7, kWidth, 0}, by{7, kWidth, 9}, shared{1, kWidth}, out{7, kWidth, 5};

  Operands() {
    Random random(3);
    for (Numbers* one : {&x, &y, &by, &shared}) one->fill([&] { return random.normal(); });
  }
};

using Formula = double (*)(double x, double y, double by);

/** Of five tokens, though the launch and the memory have seven rows. */
void expect(const Operands& of, const char* name, bool by_is_shared, Formula formula, double bound) {
  for (size_t r = 0; r < 5; r++) {
    std::vector<double> expected;
    const Numbers& by = by_is_shared ? of.shared : of.by;
    for (size_t c = 0; c < kWidth; c++) {
      expected.push_back(formula(of.x.row(r)[c], of.y.row(r)[c], by.row(by_is_shared ? 0 : r)[c]));
    }
    compare(of.out.row(r), expected, bound, name);
  }
  check(of.out.intact(5), std::string(name) + " writes beside its rows");
}

void binary(Order order) {
  for (bool is_shared : {false, true}) {
    Operands of;
    const ConstRows by = is_shared ? of.shared.shared() : of.by.read();
    launch("lerp", geometry, of.batch.step(),
           LerpArguments{of.x.read(), of.y.read(), by, of.out.rows(), kTokens, kWidth}, order);
    expect(of, "lerp", is_shared, [](double x, double y, double b) { return x + (y - x) * b; }, 3e-7);
    of.out.clear();
    launch("add", geometry, of.batch.step(), AddArguments{of.x.read(), by, of.out.rows(), kTokens, kWidth}, order);
    expect(of, "add", is_shared, [](double x, double, double b) { return x + b; }, 1e-7);
    of.out.clear();
    launch("mul", geometry, of.batch.step(), MulArguments{of.x.read(), by, of.out.rows(), kTokens, kWidth}, order);
    expect(of, "mul", is_shared, [](double x, double, double b) { return x * b; }, 1e-7);
  }
}

void unary(Order order) {
  Operands of;
  launch("scale", geometry, of.batch.step(), ScaleArguments{of.x.read(), of.out.rows(), kTokens, kWidth, 0.3f}, order);
  expect(of, "scale", false, [](double x, double, double) { return x * 0.3f; }, 1e-7);
  of.out.clear();
  // Twelve columns from the ninth.
  const ConstRows part{of.x.read().at + 9, of.x.read().stride, 0};
  launch("copy", geometry, of.batch.step(), CopyArguments{part, of.out.rows(), kTokens, 12}, order);
  for (size_t r = 0; r < 5; r++) check(memcmp(of.out.row(r), of.x.row(r) + 9, 48) == 0, "copy");
  check(bitsOf(of.out.row(0)[12]) == kUntouched && bitsOf(of.out.row(5)[0]) == kUntouched, "copy writes too much");
}

void select(Order order) {
  Operands of;
  of.batch.wanted = {1, 4};
  launch("select_rows", geometry, of.batch.step(), SelectRowsArguments{of.x.read(), of.out.rows(), kWidth}, order);
  check(memcmp(of.out.row(0), of.x.row(1), 4 * kWidth) == 0, "the first wanted row");
  check(memcmp(of.out.row(1), of.x.row(4), 4 * kWidth) == 0, "the second wanted row");
  check(of.out.intact(2), "select_rows writes beside its rows");
}

double activation(uint32_t code, double x) {
  switch (code) {
    case 1: return std::tanh(x);
    case 2: return 1 / (1 + std::exp(-x));
    case 3: return x / (1 + std::exp(-x));
    case 4: return x > 0 ? x * x : 0;
    case 5: return std::exp(x);
    case 6: return -std::exp(x);
    case 7: return std::exp(-std::exp(x));
    default: return std::exp(-std::exp(-0.5) / (1 + std::exp(-x)));
  }
}

void activations(Order order) {
  Batch batch({{0, 1}});
  // Each number is a row of its own to `compare`, since their magnitudes differ.
  const float inputs[] = {0, -0.0f, 1e-6f, -0.7f, 3, -9, 20, -30, 60, -60, 88, -100, 1000, -1000, 3e38f, -3e38f};
  Numbers x(1, 16), out(1, 16);
  memcpy(x.row(0), inputs, sizeof inputs);
  for (uint32_t code = 1; code <= 8; code++) {
    launch("activate", {1, 1, 256, 0}, batch.step(), ActivateArguments{x.read(), out.rows(), kTokens, 16, code}, order);
    for (int i = 0; i < 16; i++) {
      // What f32 cannot hold.
      const double want = activation(code, inputs[i]);
      const double held = std::fabs(want) > 3.4e38 ? std::copysign(INFINITY, want) : std::fabs(want) < 1e-37 ? 0 : want;
      const float got = out.row(0)[i];
      const bool near = std::isinf(held) ? got == held : std::fabs(got - held) <= 3e-6 * std::fabs(held) + 1e-37;
      const std::string where = "activation " + std::to_string(code) + " of " + std::to_string(inputs[i]);
      check(near, where + " is " + std::to_string(got));
    }
  }
}

}  // namespace

int main() {
  harness::in_all_orders([](Order order) {
    binary(order);
    unary(order);
    select(order);
    activations(order);
  });
  return harness::finish();
}
