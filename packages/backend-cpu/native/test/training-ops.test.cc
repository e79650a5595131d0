/**
 * The backward of every op on rows, the loss and the optimiser, against formulas in double precision.
 *
 * Over 400 lines because every kernel's formula is written once more.
 */
#include <algorithm>
#include <cmath>
#include <functional>

#include "ops-harness.h"
#include "training.h"

using namespace rwkv;

namespace {

constexpr size_t kWidths[] = {1, 5, 16, 33, 130};
constexpr size_t kRows = 7;

using Number = std::function<double(size_t t, size_t c)>;

/** Runs a kernel with gradients assigned, and then added to what is there; both must be as expected. */
template <class Args>
void check(BackwardKernel<Args> kernel, Args args, Gradient Args::*gradient, const Number& expected,
           const std::string& what, size_t width, double units = 12, const Step& step = Step{}) {
  Block out(kRows, width, 3);
  args.*gradient = {out.view(), false};
  kernel(args, step, {0, kRows});
  expect(out, expected, units, what, 1);
  if (!out.gaps_are_untouched()) fail(what + ": wrote outside its rows");
  out.fill([] { return 2.0f; });
  (args.*gradient).add = true;
  kernel(args, step, {0, 3});
  kernel(args, step, {3, kRows});
  expect(out, [&](size_t t, size_t c) { return 2 + expected(t, c); }, units, what + ", added", 3);
}

/** A sum over the rows of a call. */
template <class Args>
void check_sum(BackwardKernel<Args> kernel, Args args, float* Args::*sum, const Number& term, const std::string& what,
               size_t width, const Step& step = Step{}) {
  Block out(1, width);
  args.*sum = out.data();
  const Range rows{2, kRows};
  kernel(args, step, rows);
  const auto expected = [&](size_t, size_t c) {
    double total = 0;
    for (size_t t = rows.begin; t < rows.end; t++) total += term(t, c);
    return total;
  };
  expect(out, expected, 16, what, 4);
}

struct Standard {
  double value, scale;
};

void test_norm(const TrainingKernels& kernels, size_t groups, size_t size) {
  const size_t width = groups * size;
  Block x(kRows, width, 1), dout(kRows, width), weight(1, width);
  x.random(2, 3);
  for (Block* block : {&dout, &weight}) block->random();
  const double eps = 1e-2;
  const auto standard = [&](size_t t, size_t c) {
    const size_t start = c / size * size;
    double mean = 0, variance = 0;
    for (size_t i = 0; i < size; i++) mean += x.at(t, start + i) / static_cast<double>(size);
    for (size_t i = 0; i < size; i++) variance += std::pow(x.at(t, start + i) - mean, 2) / static_cast<double>(size);
    const double scale = 1 / std::sqrt(variance + eps);
    return Standard{(x.at(t, c) - mean) * scale, scale};
  };
  const auto dx = [&](size_t t, size_t c) {
    const size_t start = c / size * size;
    double mean = 0, slope = 0;
    for (size_t i = start; i < start + size; i++) {
      const double g = dout.at(t, i) * weight.at(0, i);
      mean += g / static_cast<double>(size);
      slope += g * standard(t, i).value / static_cast<double>(size);
    }
    const auto [own, scale] = standard(t, c);
    return (dout.at(t, c) * weight.at(0, c) - mean - own * slope) * scale;
  };
  NormBackwardArgs args{x.view(), dout.view(), static_cast<uint32_t>(width), static_cast<uint32_t>(groups),
                        static_cast<float>(eps), weight.data(), {}, nullptr, nullptr};
  const std::string what = "norm " + std::to_string(groups) + " x " + std::to_string(size);
  check(kernels.norm, args, &NormBackwardArgs::dx, dx, what, width, 60);
  check_sum(kernels.norm, args, &NormBackwardArgs::dweight,
            [&](size_t t, size_t c) { return dout.at(t, c) * standard(t, c).value; }, what + " weight", width);
  check_sum(kernels.norm, args, &NormBackwardArgs::dbias, [&](size_t t, size_t c) { return dout.at(t, c); },
            what + " bias", width);
}

void test_l2_norm(const TrainingKernels& kernels, size_t groups, size_t size, float eps) {
  const size_t width = groups * size;
  Block x(kRows, width), dout(kRows, width);
  x.random(0.1f, 1);
  dout.random();
  const auto dx = [&](size_t t, size_t c) {
    const size_t start = c / size * size;
    double squares = 0, along = 0;
    for (size_t i = start; i < start + size; i++) squares += x.at(t, i) * x.at(t, i);
    const double length = std::max(std::sqrt(squares), static_cast<double>(eps));
    for (size_t i = start; i < start + size; i++) along += x.at(t, i) / length * dout.at(t, i);
    if (std::sqrt(squares) < eps) along = 0;
    return (dout.at(t, c) - x.at(t, c) / length * along) / length;
  };
  L2NormBackwardArgs args{x.view(), dout.view(), static_cast<uint32_t>(width), static_cast<uint32_t>(groups), eps, {}};
  check(kernels.l2_norm, args, &L2NormBackwardArgs::dx, dx, "l2-norm " + std::to_string(size), width, 40);
}

void test_pairs(const TrainingKernels& kernels, size_t width) {
  Block x(kRows, width), y(kRows, width, 2), by(kRows, width), shared(1, width), dout(kRows, width);
  for (Block* block : {&x, &y, &by, &shared, &dout}) block->random();
  const uint32_t w = static_cast<uint32_t>(width);
  const std::string size = " " + std::to_string(width);
  LerpBackwardArgs lerp{x.view(), y.view(), by.view(), dout.view(), w, {}, {}, {}, nullptr};
  check(kernels.lerp, lerp, &LerpBackwardArgs::dx,
        [&](size_t t, size_t c) { return dout.at(t, c) * (1 - by.at(t, c)); }, "lerp x" + size, width);
  check(kernels.lerp, lerp, &LerpBackwardArgs::dy, [&](size_t t, size_t c) { return dout.at(t, c) * by.at(t, c); },
        "lerp y" + size, width);
  const Number turn = [&](size_t t, size_t c) { return dout.at(t, c) * (y.at(t, c) - x.at(t, c)); };
  check(kernels.lerp, lerp, &LerpBackwardArgs::dby, turn, "lerp by" + size, width);
  lerp.by = shared.shared();
  check(kernels.lerp, lerp, &LerpBackwardArgs::dx,
        [&](size_t t, size_t c) { return dout.at(t, c) * (1 - shared.at(0, c)); }, "lerp x, shared" + size, width);
  check_sum(kernels.lerp, lerp, &LerpBackwardArgs::by_sum, turn, "lerp by, shared" + size, width);

  const Number own = [&](size_t t, size_t c) { return dout.at(t, c); };
  AddBackwardArgs add{dout.view(), w, {}, {}, nullptr};
  check(kernels.add, add, &AddBackwardArgs::dx, own, "add x" + size, width);
  check(kernels.add, add, &AddBackwardArgs::dy, own, "add y" + size, width);
  check_sum(kernels.add, add, &AddBackwardArgs::y_sum, own, "add y, shared" + size, width);

  MulBackwardArgs mul{x.view(), y.view(), dout.view(), w, {}, {}, nullptr};
  const Number by_x = [&](size_t t, size_t c) { return dout.at(t, c) * x.at(t, c); };
  check(kernels.mul, mul, &MulBackwardArgs::dx, [&](size_t t, size_t c) { return dout.at(t, c) * y.at(t, c); },
        "mul x" + size, width);
  check(kernels.mul, mul, &MulBackwardArgs::dy, by_x, "mul y" + size, width);
  mul.y = shared.shared();
  check_sum(kernels.mul, mul, &MulBackwardArgs::y_sum, by_x, "mul y, shared" + size, width);

  ScaleBackwardArgs scale{dout.view(), w, -1.5f, {}};
  check(kernels.scale, scale, &ScaleBackwardArgs::dx, [&](size_t t, size_t c) { return -1.5 * dout.at(t, c); },
        "scale" + size, width);
  if (width < 3) return;
  const uint32_t part = w / 2;
  SliceBackwardArgs slice{dout.view(), part, w, 1, {}};
  check(kernels.slice, slice, &SliceBackwardArgs::dx,
        [&](size_t t, size_t c) { return c >= 1 && c < 1 + part ? dout.at(t, c - 1) : 0; }, "slice" + size, width);
}

/** A value that is read twice: the second gradient is added to the first, in the same rows. */
void test_same_rows(const TrainingKernels& kernels, size_t width) {
  Block x(kRows, width), dout(kRows, width), dx(kRows, width);
  for (Block* block : {&x, &dout}) block->random();
  const Gradient first{dx.view(), false}, second{dx.view(), true};
  const uint32_t w = static_cast<uint32_t>(width);
  kernels.mul({x.view(), x.view(), dout.view(), w, first, second, nullptr}, Step{}, {0, kRows});
  expect(dx, [&](size_t t, size_t c) { return 2 * dout.at(t, c) * x.at(t, c); }, 12, "x ⊙ x", 1);
}

double activated(double x, Activation activation) {
  const double s = 1 / (1 + std::exp(-x));
  switch (activation) {
    case Activation::tanh: return std::tanh(x);
    case Activation::sigmoid: return s;
    case Activation::silu: return x * s;
    case Activation::relu2: return x > 0 ? x * x : 0;
    case Activation::exp: return std::exp(x);
    case Activation::negative_exp: return -std::exp(x);
    case Activation::exp_negative_exp: return std::exp(-std::exp(x));
    case Activation::decay7: return std::exp(-std::exp(-0.5) * s);
    case Activation::none: return x;
  }
  return x;
}

/** By central differences of formulas in double. */
double derivative(double x, Activation activation) {
  const double step = 1e-5;
  return (activated(x + step, activation) - activated(x - step, activation)) / (2 * step);
}

void test_activate(const TrainingKernels& kernels, size_t width) {
  for (int code = 0; code < kActivations; code++) {
    const Activation activation = static_cast<Activation>(code);
    Block x(kRows, width), source(kRows, width), dout(kRows, width);
    x.random(-3, 3);
    dout.random();
    for (size_t t = 0; t < kRows; t++) {
      for (size_t c = 0; c < width; c++) {
        const double out = activated(x.at(t, c), activation);
        source.row(t)[c] = activation_uses_result(activation) ? static_cast<float>(out) : x.row(t)[c];
      }
    }
    ActivateBackwardArgs args{source.view(), dout.view(), static_cast<uint32_t>(width), activation, {}};
    const auto dx = [&](size_t t, size_t c) { return dout.at(t, c) * derivative(x.at(t, c), activation); };
    check(kernels.activate, args, &ActivateBackwardArgs::dx, dx, "activate " + std::to_string(code), width, 60);
  }
}

void test_row_matmul(const TrainingKernels& kernels, size_t inputs, size_t width) {
  Block x(kRows, inputs), m(kRows, inputs * width), dout(kRows, width);
  for (Block* block : {&x, &m, &dout}) block->random();
  RowMatmulBackwardArgs args{x.view(), m.view(), dout.view(), static_cast<uint32_t>(inputs),
                             static_cast<uint32_t>(width), {}, {}};
  const auto dx = [&](size_t t, size_t a) {
    double total = 0;
    for (size_t b = 0; b < width; b++) total += dout.at(t, b) * m.at(t, a * width + b);
    return total;
  };
  check(kernels.row_matmul, args, &RowMatmulBackwardArgs::dx, dx, "row-matmul x", inputs, 20);
  check(kernels.row_matmul, args, &RowMatmulBackwardArgs::dm,
        [&](size_t t, size_t c) { return x.at(t, c / width) * dout.at(t, c % width); }, "row-matmul m", inputs * width);
}

void test_bonus7(const TrainingKernels& kernels, size_t heads, size_t size) {
  const size_t width = heads * size;
  Block r(kRows, width), k(kRows, width), v(kRows, width), by(1, width), dout(kRows, width);
  for (Block* block : {&r, &k, &v, &by, &dout}) block->random();
  const auto over_head = [&](size_t c, const std::function<double(size_t)>& term) {
    double total = 0;
    for (size_t i = c / size * size; i < (c / size + 1) * size; i++) total += term(i);
    return total;
  };
  const auto own = [&](size_t t, size_t c) {
    return over_head(c, [&](size_t i) { return r.at(t, i) * k.at(t, i) * by.at(0, i); });
  };
  const auto down = [&](size_t t, size_t c) {
    return over_head(c, [&](size_t i) { return dout.at(t, i) * v.at(t, i); });
  };
  Bonus7BackwardArgs args{r.view(), k.view(), v.view(), dout.view(), by.data(), static_cast<uint32_t>(heads),
                          static_cast<uint32_t>(size), {}, {}, {}, nullptr};
  check(kernels.bonus7, args, &Bonus7BackwardArgs::dr,
        [&](size_t t, size_t c) { return down(t, c) * k.at(t, c) * by.at(0, c); }, "bonus7 r", width, 40);
  check(kernels.bonus7, args, &Bonus7BackwardArgs::dk,
        [&](size_t t, size_t c) { return down(t, c) * r.at(t, c) * by.at(0, c); }, "bonus7 k", width, 40);
  check(kernels.bonus7, args, &Bonus7BackwardArgs::dv, [&](size_t t, size_t c) { return own(t, c) * dout.at(t, c); },
        "bonus7 v", width, 40);
  check_sum(kernels.bonus7, args, &Bonus7BackwardArgs::by_sum,
            [&](size_t t, size_t c) { return down(t, c) * r.at(t, c) * k.at(t, c); }, "bonus7 by", width);
}

/** Three sequences of 1, 4 and 2 tokens, of which rows 0, 3 and 6 are wanted. */
struct Sequences {
  uint32_t starts[4] = {0, 1, 5, 7};
  uint32_t slots[3] = {2, 0, 1};
  uint32_t wanted[3] = {0, 3, 6};
  uint32_t tokens[7] = {4, 0, 4, 4, 1, 0, 4};
  Step step;

  Sequences() {
    step.tokens = kRows;
    step.sequences = 3;
    step.wanted = 3;
    step.starts = starts;
    step.slots = slots;
    step.wanted_rows = wanted;
    step.token_ids = tokens;
  }
  size_t sequence(size_t t) const { return t < 1 ? 0 : t < 5 ? 1 : 2; }
};

void test_rows_of_steps(const TrainingKernels& kernels, size_t width) {
  const Sequences of;
  const uint32_t w = static_cast<uint32_t>(width);
  Block dout(kRows, width, 1), state(3, width), chosen(3, width);
  for (Block* block : {&dout, &state, &chosen}) block->random();
  const auto ends = [&](size_t t) { return t + 1 == of.starts[of.sequence(t) + 1]; };
  ShiftBackwardArgs shift{dout.view(), w, {state.data(), width}, {}};
  const auto from_state = [&](size_t t, size_t c) { return state.at(of.slots[of.sequence(t)], c); };
  check(kernels.shift, shift, &ShiftBackwardArgs::dx,
        [&](size_t t, size_t c) { return ends(t) ? from_state(t, c) : dout.at(t + 1, c); }, "shift", width, 12,
        of.step);
  shift.dout = {};
  check(kernels.shift, shift, &ShiftBackwardArgs::dx,
        [&](size_t t, size_t c) { return ends(t) ? from_state(t, c) : 0; }, "shift of a state", width, 12, of.step);
  SelectRowsBackwardArgs select{chosen.view(), w, {}};
  check(kernels.select_rows, select, &SelectRowsBackwardArgs::dx,
        [&](size_t t, size_t c) { return t % 3 == 0 ? chosen.at(t / 3, c) : 0; }, "select-rows", width, 12, of.step);

  Block table(6, width);
  table.fill([] { return 1.0f; });
  const size_t units = (width + kEmbedColumns - 1) / kEmbedColumns;
  for (size_t unit = units; unit-- > 0;) kernels.embed({dout.view(), table.data(), w}, of.step, {unit, unit + 1});
  const auto rows = [&](size_t token, size_t c) {
    double total = 1;
    for (size_t t = 0; t < kRows; t++) total += of.tokens[t] == token ? dout.at(t, c) : 0;
    return total;
  };
  expect(table, rows, 12, "embed");
}

void test_cross_entropy(const TrainingKernels& kernels, size_t width, float spread, bool in_place) {
  Block logits(3, width, 2), out(3, width, 2);
  logits.random(-spread, spread);
  const std::vector<float> before = logits.copy();
  uint32_t targets[3];
  for (uint32_t r = 0; r < 3; r++) targets[r] = static_cast<uint32_t>((r * 7 + 3) % width);
  const float weights[3] = {1, 0, 2.5f};
  double losses[3] = {};
  std::vector<double> original(3 * width);
  for (size_t r = 0; r < 3; r++) {
    for (size_t c = 0; c < width; c++) original[r * width + c] = logits.at(r, c);
  }
  const auto at = [&](size_t r, size_t c) { return original[r * width + c]; };
  const auto total = [&](size_t r) {
    double sum = 0;
    for (size_t c = 0; c < width; c++) sum += std::exp(at(r, c) - at(r, 0));
    return std::log(sum) + at(r, 0);
  };
  const double scale = 0.25, penalty = 0.5;
  const uint32_t w = static_cast<uint32_t>(width);
  kernels.cross_entropy({logits.view(), {}, w, targets, weights, scale, penalty, losses}, Step{}, {0, 3});
  if (!logits.same_bits(before)) fail("cross-entropy: forward alone changed the logits");
  const Rows to = in_place ? logits.view() : out.view();
  double again[3] = {};
  kernels.cross_entropy({logits.view(), to, w, targets, weights, scale, penalty, again}, Step{}, {0, 3});
  const auto dlogits = [&](size_t r, size_t c) {
    size_t largest = 0;
    for (size_t i = 0; i < width; i++) largest = at(r, i) > at(r, largest) ? i : largest;
    const double own = std::exp(at(r, c) - total(r)) - (c == targets[r]) + (c == largest) * penalty * at(r, c);
    return scale * weights[r] * own;
  };
  expect(in_place ? logits : out, dlogits, 30, "cross-entropy", scale * 2.5);
  for (size_t r = 0; r < 3; r++) {
    const double wanted = weights[r] * (total(r) - at(r, targets[r]));
    const bool good = std::fabs(losses[r] - wanted) <= 1e-6 * (1 + std::fabs(wanted));
    if (!good || losses[r] != again[r]) fail("cross-entropy: loss");
  }
}

void test_parameter(const TrainingKernels& kernels, size_t count, size_t repeat) {
  for (int code = 0; code < kActivations; code++) {
    const Activation form = static_cast<Activation>(code);
    Block weight(1, count), made(1, count * repeat), sums(4, count * repeat), gradient(1, count);
    weight.random(-2, 2);
    sums.random();
    kernels.parameter({weight.data(), made.data(), count, repeat, form});
    expect(made, [&](size_t, size_t c) { return activated(weight.at(0, c / repeat), form); }, 4, "parameter");
    gradient.fill([] { return 1.0f; });
    const ParameterBackwardArgs args{sums.data(), 4, weight.data(), gradient.data(), count, repeat, form};
    kernels.parameter_backward(args, {count / 2, count});
    kernels.parameter_backward(args, {0, count / 2});
    const auto expected = [&](size_t, size_t c) {
      double total = 0;
      for (size_t block = 0; block < 4; block++) {
        for (size_t i = 0; i < repeat; i++) total += sums.at(block, c * repeat + i);
      }
      return 1 + total * derivative(weight.at(0, c), form);
    };
    expect(gradient, expected, 40, "parameter backward " + std::to_string(code), 4);
  }
}

void test_adam(const TrainingKernels& kernels, size_t count) {
  Block values(1, count), gradients(1, count), first(1, count), second(1, count), wanted(1, count);
  for (Block* block : {&values, &gradients, &first}) block->random();
  second.random(0, 1);
  double squares = 0;
  for (size_t i = 0; i < count; i++) squares += gradients.at(0, i) * gradients.at(0, i);
  if (std::fabs(kernels.squares(gradients.data(), count) / squares - 1) > 1e-6) fail("squares");
  const double factor = 0.5, beta1 = 0.9, beta2 = 0.99, decay = 1e-2, rate = 1e-1, root = 1.5, epsilon = 1e-3;
  std::vector<double> expected;
  for (size_t i = 0; i < count; i++) {
    const double g = gradients.at(0, i) * factor;
    const double m = beta1 * first.at(0, i) + (1 - beta1) * g;
    const double v = beta2 * second.at(0, i) + (1 - beta2) * g * g;
    expected.push_back(values.at(0, i) * (1 - decay) - rate * m / (std::sqrt(v) * root + epsilon));
  }
  const auto rounded = [](double number) { return static_cast<float>(number); };
  const AdamArgs args{values.data(), gradients.data(), first.data(), second.data(), rounded(factor), rounded(beta1),
                      rounded(1 - beta1), rounded(beta2), rounded(1 - beta2), rounded(decay), rounded(rate),
                      rounded(root), rounded(epsilon)};
  kernels.adam(args, count);
  expect(values, [&](size_t, size_t c) { return expected[c]; }, 12, "adam", 1);
  expect(gradients, [](size_t, size_t) { return 0.0; }, 0, "adam: gradients");
}

void test_all(const Kernels& base) {
  const TrainingKernels* kernels = training_kernels(base.name);
  if (!kernels) return fail("no kernels for training");
  for (const size_t width : kWidths) {
    test_pairs(*kernels, width);
    test_same_rows(*kernels, width);
    test_activate(*kernels, width);
    test_rows_of_steps(*kernels, width);
    test_row_matmul(*kernels, 3, width);
    test_bonus7(*kernels, 2, width);
    if (width > 1) test_norm(*kernels, 2, width);
    test_l2_norm(*kernels, 2, width, 1e-12f);
    test_parameter(*kernels, width, 1);
    test_adam(*kernels, width * 9);
    for (const float spread : {1.0f, 30.0f}) {
      if (width < 5) continue;
      test_cross_entropy(*kernels, width * 3, spread, true);
      test_cross_entropy(*kernels, width * 3, spread, false);
    }
  }
  test_l2_norm(*kernels, 1, 20, 1e3f);
  test_parameter(*kernels, 3, 5);
}

}  // namespace

int main(int count, char** arguments) { return run_tests(count, arguments, test_all); }
