/**
 * The recurrences, and what is fused around them, against their formulas in double precision: odd head sizes, strides,
 * several sequences, a sequence without tokens, parts of the units, and NaN that stays in its slot.
 *
 * Over 400 lines because each recurrence is written out a second time, plainly.
 *
 * recurrences.test [instruction set]
 */
#include "ops-harness.h"

#include <algorithm>

using namespace rwkv;

namespace {

const size_t widths[] = {1, 7, 37, 67, 768};
const size_t head_sizes[] = {1, 7, 37, 64, 67, 128};

/** [rows][width] */
using Expected = std::vector<std::vector<double>>;

Expected numbers_of(const Block& block) {
  Expected rows(block.rows, std::vector<double>(block.width));
  for (size_t t = 0; t < block.rows; t++) {
    for (size_t c = 0; c < block.width; c++) rows[t][c] = block.at(t, c);
  }
  return rows;
}

void expect_rows(const Block& block, const Expected& rows, double units, const std::string& what,
                 double magnitude = 0) {
  expect(block, [&](size_t t, size_t c) { return rows[t][c]; }, units, what, magnitude);
}

double number(const Rows& rows, size_t t, size_t c) { return static_cast<double>(rows.row(t)[c]); }

/** Slots that no sequence of the step with tokens has must keep their bits. */
void expect_other_slots(const Block& state, const std::vector<float>& before, const Tokens& tokens,
                        const std::string& what) {
  for (size_t slot = 0; slot < state.rows; slot++) {
    bool used = false;
    for (size_t s = 0; s < tokens.slots.size(); s++) {
      used = used || (tokens.slots[s] == slot && tokens.starts[s] < tokens.starts[s + 1]);
    }
    const float* old = before.data() + before.size() - (state.rows - slot) * state.width;
    if (!used && memcmp(state.row(slot), old, state.width * sizeof(float)) != 0) fail(what + ": another slot changed");
  }
}

/** With NaN in the state of the first sequence, the others' rows and states must keep their bits. */
template <class Args>
void expect_isolation(Kernel<Args> kernel, const Args& args, const Tokens& tokens, size_t units, Block& state,
                      Block& out, const std::vector<float>& initial, const std::string& what) {
  const size_t sick = tokens.slots[0];
  state.restore(initial);
  kernel(args, tokens.step, {0, units}, scratch());
  const Expected rows = numbers_of(out);
  const Expected states = numbers_of(state);
  state.restore(initial);
  for (size_t c = 0; c < state.width; c++) state.row(sick)[c] = c % 3 ? NAN : INFINITY;
  kernel(args, tokens.step, {0, units}, scratch());
  for (size_t t = tokens.starts[1]; t < tokens.step.tokens; t++) {
    for (size_t c = 0; c < out.width; c++) {
      if (out.at(t, c) != rows[t][c]) return fail(what + ": NaN left its sequence's rows");
    }
  }
  for (size_t slot = 0; slot < state.rows; slot++) {
    for (size_t c = 0; c < state.width; c++) {
      if (slot != sick && state.at(slot, c) != states[slot][c]) return fail(what + ": NaN left its slot");
    }
  }
  if (std::isfinite(out.at(0, 0))) fail(what + ": NaN was lost");
}

void test_wkv4(const Kernels& kernels, size_t width, const std::vector<uint32_t>& counts) {
  Tokens tokens(counts);
  const size_t rows = tokens.step.tokens;
  const std::string what = "wkv4 width " + std::to_string(width) + " " + tokens.text();
  Block k(rows, width, 2), v(rows, width, 1), out(rows, width, 3), decay(1, width), first(1, width);
  Block state(tokens.slot_count, 3 * width);
  k.random(-20, 20);
  v.random();
  decay.random(-3, -0.01f);
  first.random(-2, 2);
  for (size_t slot = 0; slot < state.rows; slot++) {
    for (size_t c = 0; c < width; c++) {
      const bool fresh = (slot + c) % 2 == 0;
      state.row(slot)[c] = fresh ? 0 : random_number();
      state.row(slot)[width + c] = fresh ? 0 : random_between(0.5f, 2);
      state.row(slot)[2 * width + c] = fresh ? -1e30f : random_between(-90, 90);
    }
  }
  const std::vector<float> initial = state.copy();
  Expected states = numbers_of(state);
  Expected wanted(rows, std::vector<double>(width));
  for (size_t s = 0; s < counts.size(); s++) {
    std::vector<double>& at = states[tokens.slots[s]];
    for (size_t t = tokens.starts[s]; t < tokens.starts[s + 1]; t++) {
      for (size_t c = 0; c < width; c++) {
        double& a = at[c];
        double& b = at[width + c];
        double& p = at[2 * width + c];
        const double bonus = first.at(0, c) + k.at(t, c);
        double q = std::max(p, bonus);
        wanted[t][c] = (std::exp(p - q) * a + std::exp(bonus - q) * v.at(t, c)) /
                       (std::exp(p - q) * b + std::exp(bonus - q));
        q = std::max(p + decay.at(0, c), k.at(t, c));
        a = std::exp(p + decay.at(0, c) - q) * a + std::exp(k.at(t, c) - q) * v.at(t, c);
        b = std::exp(p + decay.at(0, c) - q) * b + std::exp(k.at(t, c) - q);
        p = q;
      }
    }
  }
  const Wkv4Args args{k.view(), v.view(), out.view(), decay.data(), first.data(), static_cast<uint32_t>(width),
                      {state.data(), 3 * width}};
  const size_t units = counts.size() * ((width + kWkv4Block - 1) / kWkv4Block);
  run<Wkv4Args>(kernels.wkv4, args, tokens.step, units, {&out, &state}, what);
  // The exponents are as large as 90, so the rounding of a difference is that much larger than of its exponential.
  expect_rows(out, wanted, 512, what, 1);
  expect_other_slots(state, initial, tokens, what);
  for (size_t slot = 0; slot < state.rows; slot++) {
    for (size_t c = 0; c < 3 * width; c++) {
      const double size = std::max(1.0, std::fabs(states[slot][c]));
      if (!(std::fabs(state.at(slot, c) - states[slot][c]) <= 1e-4 * size)) return fail(what + ": state");
    }
  }
  expect_isolation<Wkv4Args>(kernels.wkv4, args, tokens, units, state, out, initial, what);
}

/** The op's own norm of each head, weight and bias over [H, N]. */
void normalise(std::vector<double>& row, size_t size, const Norm& norm) {
  for (size_t start = 0; start < row.size(); start += size) {
    double sum = 0;
    for (size_t c = start; c < start + size; c++) sum += row[c];
    const double mean = sum / static_cast<double>(size);
    double squares = 0;
    for (size_t c = start; c < start + size; c++) squares += (row[c] - mean) * (row[c] - mean);
    const double scale = 1 / std::sqrt(squares / static_cast<double>(size) + static_cast<double>(norm.eps));
    for (size_t c = start; c < start + size; c++) {
      row[c] = (row[c] - mean) * scale * static_cast<double>(norm.weight[c]) + static_cast<double>(norm.bias[c]);
    }
  }
}

struct HeadCase {
  size_t size;
  uint32_t heads;
  /** wkv6: a decay per token. wkv7: inputs from the raw key. */
  bool by_token;
  bool with_norm;
  bool with_gate;
};

std::string text_of(const HeadCase& form) {
  return "size " + std::to_string(form.size) + " heads " + std::to_string(form.heads) +
         (form.by_token ? " by token" : "") + (form.with_norm ? " norm" : "") + (form.with_gate ? " gate " : " ");
}

void test_wkv6(const Kernels& kernels, const HeadCase& form, const std::vector<uint32_t>& counts) {
  Tokens tokens(counts);
  const size_t n = form.size;
  const size_t width = n * form.heads;
  const size_t rows = tokens.step.tokens;
  const std::string what = "wkv6 " + text_of(form) + tokens.text();
  Block r(rows, width, 1), k(rows, width, 2), v(rows, width, 3), decay(rows, width, 4), shared(1, width);
  Block first(1, width), gate(rows, width, 5), out(rows, width, 6), weight(1, width), bias(1, width);
  Block state(tokens.slot_count, width * n);
  for (Block* block : {&r, &k, &v, &first, &gate, &weight, &bias, &state}) block->random();
  decay.random(0, 1);
  shared.random(0, 1);
  Wkv6Args args{};
  args.r = r.view();
  args.k = k.view();
  args.v = v.view();
  args.out = out.view();
  args.decay = form.by_token ? decay.view() : shared.shared();
  args.first = first.data();
  args.heads = form.heads;
  args.head_size = static_cast<uint32_t>(n);
  args.state = {state.data(), state.width};
  if (form.with_norm) args.norm = {weight.data(), bias.data(), form.heads, 64e-5f};
  if (form.with_gate) args.gate = gate.view();
  const std::vector<float> initial = state.copy();
  Expected states = numbers_of(state);
  Expected wanted(rows, std::vector<double>(width));
  for (size_t s = 0; s < counts.size(); s++) {
    std::vector<double>& at = states[tokens.slots[s]];
    for (size_t t = tokens.starts[s]; t < tokens.starts[s + 1]; t++) {
      for (size_t i = 0; i < width; i++) {
        for (size_t j = 0; j < n; j++) {
          const size_t value = i / n * n + j;
          double& place = at[i * n + j];
          const double kv = k.at(t, i) * v.at(t, value);
          wanted[t][value] += r.at(t, i) * (first.at(0, i) * kv + place);
          place = kv + number(args.decay, t, i) * place;
        }
      }
      if (form.with_norm) normalise(wanted[t], n, args.norm);
      for (size_t c = 0; form.with_gate && c < width; c++) wanted[t][c] *= gate.at(t, c);
    }
  }
  const size_t units = counts.size() * form.heads;
  run<Wkv6Args>(kernels.wkv6, args, tokens.step, units, {&out, &state}, what);
  // The norm of one or few numbers magnifies what those have lost by cancelling.
  const double slack = form.with_norm && n < 32 ? 64 : 1;
  expect_rows(out, wanted, (form.with_norm ? 516 : 129) * slack, what, 1);
  expect_rows(state, states, 128, what + " state", 1);
  expect_other_slots(state, initial, tokens, what);
  expect_isolation<Wkv6Args>(kernels.wkv6, args, tokens, units, state, out, initial, what);
}

/** Prepare7Op in double precision. */
struct Prepared {
  Expected key, a, b, v;
};

Prepared prepared(const Prepare7Args& args, size_t rows) {
  const size_t n = args.head_size;
  const size_t width = n * args.heads;
  const Expected empty(rows, std::vector<double>(width));
  Prepared made{empty, empty, empty, empty};
  for (size_t t = 0; t < rows; t++) {
    for (size_t start = 0; start < width; start += n) {
      double squares = 0;
      for (size_t c = start; c < start + n; c++) {
        squares += std::pow(number(args.k, t, c) * static_cast<double>(args.removal[c]), 2);
      }
      const double length = std::max(std::sqrt(squares), static_cast<double>(args.eps));
      for (size_t c = start; c < start + n; c++) {
        const double unit = number(args.k, t, c) * static_cast<double>(args.removal[c]) / length;
        const double rate = number(args.rate, t, c);
        made.a[t][c] = -unit;
        made.b[t][c] = unit * rate;
        made.key[t][c] = number(args.k, t, c) * (1 + (rate - 1) * static_cast<double>(args.replacement[c]));
        made.v[t][c] = number(args.v, t, c);
        if (args.amount) made.v[t][c] += (number(args.v_first, t, c) - made.v[t][c]) * number(args.amount, t, c);
      }
    }
  }
  return made;
}

void test_prepare7(const Kernels& kernels, size_t n, uint32_t heads, bool with_value) {
  constexpr size_t kRows = 3;
  const size_t width = n * heads;
  const std::string what = "prepare7 size " + std::to_string(n) + " heads " + std::to_string(heads);
  Block k(kRows, width, 1), rate(kRows, width, 2), v(kRows, width), v_first(kRows, width, 1), amount(kRows, width, 3);
  Block removal(1, width), replacement(1, width), key(kRows, width, 4), a(kRows, width), b(kRows, width, 1);
  Block v_out(kRows, width, 2);
  for (Block* block : {&k, &v, &v_first, &removal, &replacement}) block->random(-2, 2);
  rate.random(0, 1);
  replacement.random(-1, 0.5f);
  amount.random(0, 1);
  for (size_t c = 0; c < n; c++) k.row(1)[c] = 0;
  for (size_t c = 0; c < n; c++) k.row(2)[c] *= 1e20f;
  Prepare7Args args{};
  args.k = k.view();
  args.rate = rate.view();
  args.key = key.view();
  args.a = a.view();
  args.b = b.view();
  args.removal = removal.data();
  args.replacement = replacement.data();
  args.heads = heads;
  args.head_size = static_cast<uint32_t>(n);
  args.eps = 1e-12f;
  args.v = v.view();
  std::vector<Block*> touched = {&key, &a, &b};
  if (with_value) {
    args.v_first = v_first.view();
    args.amount = amount.view();
    args.v_out = v_out.view();
    touched.push_back(&v_out);
  }
  run<Prepare7Args>(kernels.prepare7, args, Step{}, kRows, touched, what);
  const Prepared wanted = prepared(args, kRows);
  expect_rows(key, wanted.key, 8, what + " key", 1);
  expect_rows(a, wanted.a, 16, what + " a");
  expect_rows(b, wanted.b, 16, what + " b");
  if (with_value) expect_rows(v_out, wanted.v, 8, what + " v", 1);

  Block r(kRows, width, 2), by(1, width), out(kRows, width, 3);
  r.random();
  by.random();
  k.random();
  run<Bonus7Args>(kernels.bonus7, {r.view(), k.view(), v.view(), out.view(), by.data(), heads, args.head_size}, Step{},
                  kRows, {&out}, "bonus7");
  expect(out,
         [&](size_t t, size_t c) {
           double sum = 0;
           for (size_t i = c / n * n; i < c / n * n + n; i++) sum += r.at(t, i) * k.at(t, i) * by.at(0, i);
           return sum * v.at(t, c);
         },
         64, "bonus7 size " + std::to_string(n), 1);
}

void test_wkv7(const Kernels& kernels, const HeadCase& form, bool with_amount, const std::vector<uint32_t>& counts) {
  Tokens tokens(counts);
  const size_t n = form.size;
  const size_t width = n * form.heads;
  const size_t rows = tokens.step.tokens;
  const std::string what = "wkv7 " + text_of(form) + (with_amount ? "amount " : "") + tokens.text();
  Block r(rows, width, 1), w(rows, width, 2), k(rows, width, 3), v(rows, width, 4);
  Block a(rows, width, 5), b(rows, width, 6);
  Block rate(rows, width, 1), v_first(rows, width, 2), amount(rows, width, 3), gate(rows, width, 4);
  Block out(rows, width, 5);
  Block removal(1, width), replacement(1, width), bonus(1, width), weight(1, width), bias(1, width);
  Block state(tokens.slot_count, width * n);
  const float length = 1 / std::sqrt(static_cast<float>(n));
  for (Block* block : {&r, &k, &v, &v_first, &gate, &removal, &replacement, &bonus, &weight, &bias, &state}) {
    block->random();
  }
  for (Block* block : {&a, &b}) block->random(-length, length);
  w.random(0.54f, 1);
  for (Block* block : {&rate, &amount}) block->random(0, 1);
  Wkv7Args args{};
  args.r = r.view();
  args.w = w.view();
  args.k = k.view();
  args.v = v.view();
  args.heads = form.heads;
  args.head_size = static_cast<uint32_t>(n);
  args.out = out.view();
  args.state = {state.data(), state.width};
  if (form.by_token) {
    args.removal = removal.data();
    args.replacement = replacement.data();
    args.rate = rate.view();
    args.key_eps = 1e-12f;
    if (with_amount) {
      args.v_first = v_first.view();
      args.amount = amount.view();
    }
  } else {
    args.a = a.view();
    args.b = b.view();
  }
  if (form.with_norm) {
    args.norm = {weight.data(), bias.data(), form.heads, 64e-5f};
    args.bonus = bonus.data();
  }
  if (form.with_gate) args.gate = gate.view();

  Prepared inputs{numbers_of(k), numbers_of(a), numbers_of(b), numbers_of(v)};
  if (form.by_token) {
    Prepare7Args preparation{};
    preparation.k = args.k;
    preparation.rate = args.rate;
    preparation.removal = args.removal;
    preparation.replacement = args.replacement;
    preparation.heads = args.heads;
    preparation.head_size = args.head_size;
    preparation.eps = args.key_eps;
    preparation.v = args.v;
    preparation.v_first = args.v_first;
    preparation.amount = args.amount;
    inputs = prepared(preparation, rows);
  }
  const std::vector<float> initial = state.copy();
  Expected states = numbers_of(state);
  Expected wanted(rows, std::vector<double>(width));
  for (size_t s = 0; s < counts.size(); s++) {
    std::vector<double>& at = states[tokens.slots[s]];
    for (size_t t = tokens.starts[s]; t < tokens.starts[s + 1]; t++) {
      for (size_t i = 0; i < width; i++) {
        const size_t start = i / n * n;
        double z = 0;
        for (size_t j = 0; j < n; j++) z += at[i * n + j] * inputs.a[t][start + j];
        for (size_t j = 0; j < n; j++) {
          double& place = at[i * n + j];
          place = place * w.at(t, start + j) + z * inputs.b[t][start + j] + inputs.v[t][i] * inputs.key[t][start + j];
          wanted[t][i] += place * r.at(t, start + j);
        }
      }
      if (form.with_norm) normalise(wanted[t], n, args.norm);
      for (size_t start = 0; form.with_norm && start < width; start += n) {
        double sum = 0;
        for (size_t c = start; c < start + n; c++) sum += r.at(t, c) * inputs.key[t][c] * bonus.at(0, c);
        for (size_t c = start; c < start + n; c++) wanted[t][c] += sum * inputs.v[t][c];
      }
      for (size_t c = 0; form.with_gate && c < width; c++) wanted[t][c] *= gate.at(t, c);
    }
  }
  const size_t units = counts.size() * form.heads;
  run<Wkv7Args>(kernels.wkv7, args, tokens.step, units, {&out, &state}, what);
  const double slack = form.with_norm && n < 32 ? 64 : 1;
  expect_rows(out, wanted, (form.with_norm ? 518 : 257) * slack, what, 1);
  expect_rows(state, states, 256, what + " state", 1);
  expect_other_slots(state, initial, tokens, what);
  expect_isolation<Wkv7Args>(kernels.wkv7, args, tokens, units, state, out, initial, what);
}

void test(const Kernels& kernels) {
  for (const std::vector<uint32_t>& counts : sequence_counts()) {
    for (const size_t width : widths) test_wkv4(kernels, width, counts);
    for (const size_t size : head_sizes) {
      const uint32_t heads = size > 64 ? 1 : 3;
      for (const bool by_token : {false, true}) {
        test_wkv6(kernels, {size, heads, by_token, false, false}, counts);
        test_wkv6(kernels, {size, heads, by_token, true, by_token}, counts);
        test_wkv7(kernels, {size, heads, by_token, false, false}, false, counts);
        test_wkv7(kernels, {size, heads, by_token, true, true}, by_token, counts);
      }
    }
  }
  for (const size_t size : head_sizes) {
    test_prepare7(kernels, size, 2, false);
    test_prepare7(kernels, size, 2, true);
  }
}

}  // namespace

int main(int count, char** arguments) { return run_tests(count, arguments, test); }
