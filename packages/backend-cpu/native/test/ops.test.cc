/**
 * Ops on rows against their formulas in double precision: odd widths, strides, parts of the units, guards around
 * outputs, several sequences, extreme numbers.
 *
 * ops.test [instruction set]
 */
#include "ops-harness.h"

#include <algorithm>

using namespace rwkv;

namespace {

const size_t widths[] = {1, 7, 37, 67, 768};
const double infinity = INFINITY;

double activated(double x, Activation activation) {
  const auto sigmoid = [](double y) { return 1 / (1 + std::exp(-y)); };
  switch (activation) {
    case Activation::none: return x;
    case Activation::tanh: return std::tanh(x);
    case Activation::sigmoid: return sigmoid(x);
    case Activation::silu: return x * sigmoid(x);
    case Activation::relu2: return x < 0 ? 0 : x * x;
    case Activation::exp: return std::exp(x);
    case Activation::negative_exp: return -std::exp(x);
    case Activation::exp_negative_exp: return std::exp(-std::exp(x));
    case Activation::decay7: return std::exp(-std::exp(-0.5) * sigmoid(x));
  }
  return x;
}

/** A few units in the last place at every x, not only relative to a row's largest. */
void test_activations(const Kernels& kernels) {
  const float far[] = {0.0f,  -0.0f, 1e-40f, -1e-40f, 1e-20f, 1e30f, -1e30f, 88.7f, 88.8f, -87.4f, -103.9f,
                       -104.1f, 300.0f, -300.0f, INFINITY, -INFINITY, NAN};
  constexpr size_t kNear = 40000;
  const size_t width = kNear + std::size(far);
  Block x(1, width);
  for (size_t i = 0; i < kNear; i++) x.row(0)[i] = random_between(-1, 1) * (i % 2 ? 110.0f : 2.0f);
  std::copy(std::begin(far), std::end(far), x.row(0) + kNear);
  for (int i = 0; i < kActivations; i++) {
    const auto activation = static_cast<Activation>(i);
    Block out(1, width);
    run<ActivateArgs>(kernels.activate, {x.view(), out.view(), static_cast<uint32_t>(width), activation}, Step{}, 1,
                      {&out}, "activate");
    Block form(1, width);
    form.restore(x.copy());
    kernels.apply_form(form.data(), width, activation);
    double worst = 0;
    for (size_t c = 0; c < width; c++) {
      const double at = x.at(0, c);
      const double exact = activated(at, activation);
      const auto wanted = static_cast<float>(exact);
      const auto what = [&] { return "activation " + std::to_string(i) + " at " + std::to_string(at); };
      for (const Block* block : {&out, &form}) {
        const double found = block->at(0, c);
        if (std::isnan(wanted) ? !std::isnan(found) : std::isinf(wanted) ? found != wanted : !std::isfinite(found)) {
          fail(what() + ": " + std::to_string(found));
        }
      }
      if (!std::isfinite(wanted)) continue;
      // The inner exponential's error counts e^x times in the outer one.
      const double room = activation == Activation::exp_negative_exp ? 1 + std::exp(std::min(at, 10.0)) : 1;
      // silu multiplies a sigmoid among the subnormals by x.
      const double smallest = 0x1p-126 * std::max(1.0, std::fabs(at));
      const double place = std::ldexp(std::max(std::fabs(exact), smallest), -24);
      worst = std::max(worst, std::fabs(out.at(0, c) - exact) / (place * room));
      if (std::fabs(form.at(0, c) - exact) > 1.1 * place) fail(what() + ": as a form " + std::to_string(form.at(0, c)));
    }
    if (!(worst <= 6)) fail("activation " + std::to_string(i) + ": " + std::to_string(worst) + " units of 2^-24");
  }
}

void test_element_wise(const Kernels& kernels, size_t width, size_t rows, size_t gap) {
  const std::string what = "width " + std::to_string(width) + " rows " + std::to_string(rows);
  const auto columns = static_cast<uint32_t>(width);
  Block x(rows, width, gap), y(rows, width, gap + 1), by(rows, width, gap), shared(1, width), out(rows, width, gap + 3);
  for (Block* block : {&x, &y, &by, &shared}) block->random(-2, 2);
  for (const bool is_shared : {false, true}) {
    const Operand operand = is_shared ? shared.shared() : y.view();
    const auto of = [&](size_t t, size_t c) { return is_shared ? shared.at(0, c) : y.at(t, c); };
    run<PairArgs>(kernels.add, {x.view(), out.view(), operand, columns}, Step{}, rows, {&out}, "add " + what);
    expect(out, [&](size_t t, size_t c) { return x.at(t, c) + of(t, c); }, 1, "add " + what);
    run<PairArgs>(kernels.mul, {x.view(), out.view(), operand, columns}, Step{}, rows, {&out}, "mul " + what);
    expect(out, [&](size_t t, size_t c) { return x.at(t, c) * of(t, c); }, 1, "mul " + what);
    run<LerpArgs>(kernels.lerp, {x.view(), by.view(), out.view(), operand, columns}, Step{}, rows, {&out},
                  "lerp " + what);
    expect(out, [&](size_t t, size_t c) { return x.at(t, c) + (by.at(t, c) - x.at(t, c)) * of(t, c); }, 4,
           "lerp " + what, 1);
  }
  run<ScaleArgs>(kernels.scale, {x.view(), out.view(), columns, -0.37f}, Step{}, rows, {&out}, "scale " + what);
  expect(out, [&](size_t t, size_t c) { return static_cast<double>(-0.37f) * x.at(t, c); }, 1, "scale " + what);
  run<CopyArgs>(kernels.copy, {x.view(), out.view(), columns}, Step{}, rows, {&out}, "copy " + what);
  expect(out, [&](size_t t, size_t c) { return x.at(t, c); }, 0, "copy " + what);
  for (int i = 0; i < kActivations; i++) {
    const auto activation = static_cast<Activation>(i);
    run<ActivateArgs>(kernels.activate, {x.view(), out.view(), columns, activation}, Step{}, rows, {&out},
                      "activate " + what);
    expect(out, [&](size_t t, size_t c) { return activated(x.at(t, c), activation); }, 6, "activate " + what);
  }

  std::vector<uint32_t> wanted(rows + 2);
  for (size_t r = 0; r < wanted.size(); r++) wanted[r] = static_cast<uint32_t>((r * 7 + 1) % rows);
  Step step;
  step.wanted_rows = wanted.data();
  Block selected(wanted.size(), width, gap);
  run<SelectRowsArgs>(kernels.select_rows, {x.view(), selected.view(), columns}, step, wanted.size(), {&selected},
                      "select-rows " + what);
  expect(selected, [&](size_t r, size_t c) { return x.at(wanted[r], c); }, 0, "select-rows " + what);

  for (const size_t inputs : {size_t{1}, size_t{32}}) {
    Block vector(rows, inputs, gap), matrices(rows, inputs * width, gap);
    vector.random();
    matrices.random();
    run<RowMatmulArgs>(kernels.row_matmul,
                       {vector.view(), matrices.view(), out.view(), static_cast<uint32_t>(inputs), columns}, Step{},
                       rows, {&out}, "row-matmul " + what);
    expect(out,
           [&](size_t t, size_t c) {
             double sum = 0;
             for (size_t a = 0; a < inputs; a++) sum += vector.at(t, a) * matrices.at(t, a * width + c);
             return sum;
           },
           64, "row-matmul " + what, 0.1);
  }
}

/** The likeliest of rows against a sort; the sum in double precision. */
void test_top_k(const Kernels& kernels, size_t width, size_t count, const std::function<float()>& next,
                const std::string& name) {
  const std::string what = "top-k " + std::to_string(count) + " of " + std::to_string(width) + " " + name;
  const size_t rows = 3;
  Block x(rows, width, 5), out(rows, 2 * count + 1, 2);
  x.fill(next);
  run<TopKArgs>(kernels.top_k, {x.view(), out.view(), static_cast<uint32_t>(width), static_cast<uint32_t>(count)},
                Step{}, rows, {&out}, what);
  for (size_t r = 0; r < rows; r++) {
    const float* row = x.row(r);
    const bool broken = std::any_of(row, row + width, [](float n) { return std::isnan(n) || n == INFINITY; });
    const float most = *std::max_element(row, row + width);
    if (broken || most == -INFINITY) {
      if (out.at(r, 2 * count) != 0) fail(what + ": the sum of a row that is no distribution");
      continue;
    }
    std::vector<size_t> order(width);
    for (size_t c = 0; c < width; c++) order[c] = c;
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return row[a] > row[b]; });
    double sum = 0;
    for (size_t c = 0; c < width; c++) sum += std::exp(static_cast<double>(row[c]) - most);
    for (size_t n = 0; n < count; n++) {
      if (out.at(r, n) == row[order[n]] && out.at(r, count + n) == static_cast<double>(order[n])) continue;
      fail(what + ": row " + std::to_string(r) + " place " + std::to_string(n) + ": " + std::to_string(out.at(r, n)) +
           " of column " + std::to_string(out.at(r, count + n)) + " instead of " + std::to_string(row[order[n]]) +
           " of column " + std::to_string(order[n]));
      break;
    }
    if (!(std::fabs(out.at(r, 2 * count) / sum - 1) <= 1e-6)) {
      fail(what + ": the sum is " + std::to_string(out.at(r, 2 * count)) + " instead of " + std::to_string(sum));
    }
  }
}

void test_top_k(const Kernels& kernels) {
  const auto ordinary = [] { return random_between(-12, 12); };
  const auto equal = [] { return random_number() < 0 ? -0.0f : std::floor(random_between(-2, 3)); };
  const auto sparse = [] { return random_number() < 0.9f ? -INFINITY : random_number(); };
  const auto far = [] { return random_number() * 3e38f; };
  // One number holds almost everything, and what is left must not be lost beside it.
  size_t at = 0;
  const auto peaked = [&at] { return at++ % 1000 == 0 ? 16.0f : random_between(-1, 1); };
  const std::pair<size_t, size_t> sizes[] = {{1, 1}, {7, 7}, {64, 1}, {67, 40}, {1000, 120}, {65536, 120}, {20011, 700}};
  for (const auto& [width, count] : sizes) {
    test_top_k(kernels, width, count, ordinary, "ordinary");
    test_top_k(kernels, width, count, equal, "equal");
    test_top_k(kernels, width, count, sparse, "sparse");
    test_top_k(kernels, width, count, far, "far");
    test_top_k(kernels, width, count, peaked, "peaked");
    test_top_k(kernels, width, count, [] { return -INFINITY; }, "empty");
    for (const float bad : {NAN, -NAN, INFINITY}) {
      const float share = 2.0f / static_cast<float>(width);
      test_top_k(kernels, width, count, [=] { return random_between(0, 1) < share ? bad : random_number(); }, "broken");
    }
  }
}

/** [rows][width] */
using Expected = std::vector<std::vector<double>>;

Expected normalised(const Block& x, const Norm& norm) {
  const size_t size = x.width / norm.groups;
  Expected rows(x.rows, std::vector<double>(x.width));
  for (size_t t = 0; t < x.rows; t++) {
    for (size_t start = 0; start < x.width; start += size) {
      double sum = 0;
      for (size_t c = start; c < start + size; c++) sum += x.at(t, c);
      const double mean = sum / static_cast<double>(size);
      double squares = 0;
      for (size_t c = start; c < start + size; c++) squares += (x.at(t, c) - mean) * (x.at(t, c) - mean);
      const double scale = 1 / std::sqrt(squares / static_cast<double>(size) + static_cast<double>(norm.eps));
      for (size_t c = start; c < start + size; c++) {
        const double weight = norm.weight[c];
        rows[t][c] = (x.at(t, c) - mean) * scale * weight + static_cast<double>(norm.bias[c]);
      }
    }
  }
  return rows;
}

void test_norms(const Kernels& kernels, size_t width, uint32_t groups) {
  const std::string what = "width " + std::to_string(width) + " groups " + std::to_string(groups);
  const auto columns = static_cast<uint32_t>(width);
  constexpr size_t kRows = 9;
  Block x(kRows, width, 5), weight(1, width), bias(1, width), out(kRows, width, 2);
  weight.random(0.5f, 2);
  bias.random();
  const float centers[kRows] = {0, 3, -1e4f, 1e6f, 0, 0, 0, 0, 0};
  const float spreads[kRows] = {1, 1, 1, 50, 1e20f, 1e-4f, 0, 1e-20f, 1};
  for (size_t t = 0; t < kRows; t++) {
    for (size_t c = 0; c < width; c++) x.row(t)[c] = centers[t] + spreads[t] * random_number();
  }
  const Norm norm{weight.data(), bias.data(), groups, 1e-5f};
  run<NormArgs>(kernels.norm, {x.view(), out.view(), columns, norm}, Step{}, kRows, {&out}, "norm " + what);
  const Expected exact = normalised(x, norm);
  expect(out, [&](size_t t, size_t c) { return exact[t][c]; }, 33, "norm " + what);

  const float eps = 1e-12f;
  run<L2NormArgs>(kernels.l2_norm, {x.view(), out.view(), columns, groups, eps}, Step{}, kRows, {&out},
                  "l2-norm " + what);
  const size_t size = width / groups;
  std::vector<double> lengths;
  for (size_t t = 0; t < kRows; t++) {
    for (size_t start = 0; start < width; start += size) {
      double squares = 0;
      for (size_t c = start; c < start + size; c++) squares += x.at(t, c) * x.at(t, c);
      lengths.push_back(std::max(std::sqrt(squares), static_cast<double>(eps)));
    }
  }
  expect(out, [&](size_t t, size_t c) { return x.at(t, c) / lengths[t * groups + c / size]; }, 17, "l2-norm " + what);

  x.row(4)[width / 2] = NAN;
  x.row(6)[0] = INFINITY;
  const std::vector<float> clean = out.copy();
  run<L2NormArgs>(kernels.l2_norm, {x.view(), out.view(), columns, groups, eps}, Step{}, kRows, {&out},
                  "l2-norm " + what);
  for (const size_t t : {3, 5, 7}) {
    for (size_t c = 0; c < width; c++) {
      if (!std::isfinite(out.at(t, c))) fail("l2-norm " + what + ": NaN of another row");
    }
  }
  if (!std::isnan(out.at(4, width / 2))) fail("l2-norm " + what + ": NaN was lost");
}

struct ShiftCase {
  size_t width;
  uint32_t groups;  // 0: without a norm
  bool toward_previous;
  uint32_t mixes;
  bool all_outputs;
};

void test_shift_mix(const Kernels& kernels, const ShiftCase& form, const std::vector<uint32_t>& counts) {
  Tokens tokens(counts);
  const size_t width = form.width;
  const size_t rows = tokens.step.tokens;
  const std::string what = "shift-mix width " + std::to_string(width) + " groups " + std::to_string(form.groups) +
                           " mixes " + std::to_string(form.mixes) + " " + tokens.text();
  Block x(rows, width, 3), weight(1, width), bias(1, width), by(kMaxMixes, width), state(tokens.slot_count, width);
  Block next(counts.size(), width), normed(rows, width, 1), shifted(rows, width, 2), difference(rows, width, 5);
  for (Block* block : {&x, &weight, &bias, &by, &state, &next}) block->random(-2, 2);
  std::vector<Block*> touched = {&next, &normed, &shifted, &difference};
  std::vector<Block*> mixed;
  ShiftMixArgs args{};
  args.x = x.view();
  args.width = static_cast<uint32_t>(width);
  if (form.groups) args.norm = {weight.data(), bias.data(), form.groups, 1e-5f};
  args.state = {state.data(), width};
  args.next_state = next.data();
  args.toward_previous = form.toward_previous;
  args.mixes = form.mixes;
  for (uint32_t i = 0; i < form.mixes; i++) {
    mixed.push_back(new Block(rows, width, i));
    touched.push_back(mixed[i]);
    args.by[i] = by.row(i);
    args.out[i] = mixed[i]->view();
  }
  if (form.all_outputs) {
    args.normed = normed.view();
    args.shifted = shifted.view();
    args.difference = difference.view();
  }
  const std::vector<float> old = state.copy();
  run<ShiftMixArgs>(kernels.shift_mix, args, tokens.step, rows, touched, what);
  if (!state.same_bits(old)) fail(what + ": the state changed before its commit");

  const Expected exact = form.groups ? normalised(x, args.norm) : Expected{};
  const auto now = [&](size_t t, size_t c) { return form.groups ? exact[t][c] : x.at(t, c); };
  const auto before = [&](size_t t, size_t c) {
    for (size_t s = 0; s < counts.size(); s++) {
      if (t == tokens.starts[s] && counts[s] > 0) return state.at(tokens.slots[s], c);
    }
    return now(t - 1, c);
  };
  for (uint32_t i = 0; i < form.mixes; i++) {
    expect(*mixed[i],
           [&](size_t t, size_t c) {
             const double from = form.toward_previous ? now(t, c) : before(t, c);
             const double to = form.toward_previous ? before(t, c) : now(t, c);
             return from + (to - from) * by.at(i, c);
           },
           68, what, 1);
    delete mixed[i];
  }
  if (form.all_outputs) {
    expect(normed, now, 33, what + " normed");
    expect(shifted, before, 33, what + " shifted");
    expect(difference, [&](size_t t, size_t c) { return before(t, c) - now(t, c); }, 68, what + " difference", 1);
  }
  run<CommitShiftArgs>(kernels.commit_shift, {args.state, next.data(), args.width}, tokens.step, counts.size(),
                       {&state}, what + " commit");
  for (size_t slot = 0; slot < tokens.slot_count; slot++) {
    const auto sequence = std::find(tokens.slots.begin(), tokens.slots.end(), slot) - tokens.slots.begin();
    const auto s = static_cast<size_t>(sequence);
    const bool has_tokens = s < counts.size() && counts[s] > 0;
    for (size_t c = 0; c < width; c++) {
      const float wanted = has_tokens ? next.row(s)[c] : old[old.size() - (tokens.slot_count - slot) * width + c];
      if (bits_of(state.row(slot)[c]) != bits_of(wanted)) fail(what + ": state of slot " + std::to_string(slot));
      if (has_tokens && std::fabs(wanted - now(tokens.starts[s + 1] - 1, c)) > 1e-4) fail(what + ": next state");
    }
  }
}

/** Rows of a packed f32 table, and the vectors that a batch gives instead. */
void test_embed(const Kernels& kernels, size_t width) {
  constexpr uint32_t kTable = 21;
  constexpr size_t kRows = 9;
  std::vector<uint8_t> memory(packed_bytes(Format::f32, kTable, static_cast<uint32_t>(width)) + 64);
  uint8_t* packed = memory.data() + (64 - reinterpret_cast<uintptr_t>(memory.data()) % 64) % 64;
  Block table(kTable, width), given(3, width), out(kRows, width, 3);
  table.random();
  given.random();
  pack_panels(Format::f32, kTable, static_cast<uint32_t>(width), reinterpret_cast<const uint8_t*>(table.data()), packed,
              {0, (kTable + 15) / 16});
  const uint32_t ids[kRows] = {20, 0, 3, 3, 15, 16, 7, 8, 1};
  const uint32_t at[] = {0, 4, 8};
  Step step;
  step.token_ids = ids;
  step.embeddings = 3;
  step.embedding_at = at;
  step.embedding_vectors = given.data();
  for (const bool by_input : {false, true}) {
    const PackedMatrix matrix{Format::f32, kTable, static_cast<uint32_t>(width), packed};
    run<EmbedArgs>(kernels.embed, {matrix, out.view(), by_input}, step, kRows, {&out}, "embed");
    expect(out,
           [&](size_t t, size_t c) { return by_input && t % 4 == 0 ? given.at(t / 4, c) : table.at(ids[t], c); }, 0,
           "embed");
  }
}

void test(const Kernels& kernels) {
  test_activations(kernels);
  test_top_k(kernels);
  for (const size_t width : widths) {
    for (const size_t rows : {1, 2, 33}) {
      for (const size_t gap : {0, 5}) test_element_wise(kernels, width, rows, gap);
    }
    test_norms(kernels, width, 1);
    test_embed(kernels, width);
    for (const std::vector<uint32_t>& counts : sequence_counts()) {
      for (const bool toward_previous : {false, true}) {
        for (const bool all_outputs : {false, true}) {
          for (const uint32_t mixes : {0u, 1u, 6u}) {
            test_shift_mix(kernels, {width, 1, toward_previous, mixes, all_outputs}, counts);
          }
          test_shift_mix(kernels, {width, 0, toward_previous, kMaxMixes, all_outputs}, counts);
        }
      }
      if (width == 768) test_shift_mix(kernels, {width, 12, true, 2, true}, counts);
    }
  }
  test_norms(kernels, 768, 12);
  test_norms(kernels, 67 * 3, 3);
}

}  // namespace

int main(int count, char** arguments) { return run_tests(count, arguments, test); }
