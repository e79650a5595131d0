/** RWKV-7's attention in double precision, with what its kernels may fuse; and numbers to try it with. */
#pragma once

#include "kernels/ops/wkv7-tokens.cuh"
#include "test/harness.h"

namespace harness {

struct Wkv7Case {
  uint32_t heads, size;
  bool prepares, has_residual, has_tail;
  std::vector<Sequence> sequences;
  /** Of w, drawn between. */
  double least_decay = 0.55, most_decay = 1;
};

class Wkv7Model {
 public:
  static constexpr uint32_t kSlots = 5;

  explicit Wkv7Model(const Wkv7Case& of)
      : of(of), width(of.heads * of.size), batch(of.sequences), tokens(batch.tokens.size()),
        state(kSlots, width * of.size, 0, kAlignedGuard), out(tokens + 2, width) {
    Random random(of.size + of.heads + tokens);
    for (Numbers* one : {&r, &k, &v, &first, &gate}) one->fill([&] { return random.normal(); });
    for (Numbers* one : {&rate, &amount}) one->fill([&] { return random.uniform(0, 1); });
    for (Numbers* one : {&removal, &replacement, &weight}) one->fill([&] { return random.uniform(0.5, 1.2); });
    for (Numbers* one : {&by, &bias}) one->fill([&] { return 0.3 * random.normal(); });
    w.fill([&] { return random.uniform(of.least_decay, of.most_decay); });
    state.fill([&] { return random.normal(); });
    a.fill([&] { return random.normal() / std::sqrt(of.size); });
    b.fill([&] { return random.normal() / std::sqrt(4.0 * of.size); });
    old = state;
  }

  rwkv::Wkv7Arguments arguments() {
    rwkv::Wkv7Arguments made{};
    made.r = r.read();
    made.w = w.read();
    made.k = k.read();
    made.v = v.read();
    if (of.prepares) {
      made.rate = rate.read();
      made.removal = removal.shared();
      made.replacement = replacement.shared();
      made.floor = 1e-12f;
    } else {
      made.a = a.read();
      made.b = b.read();
    }
    if (of.has_residual) {
      made.first = first.read();
      made.amount = amount.read();
    }
    if (of.has_tail) {
      made.by = by.shared();
      made.weight = weight.shared();
      made.bias = bias.shared();
      made.gate = gate.read();
      made.eps = 64e-5f;
    }
    made.out = out.rows();
    made.state = state.row(0);
    made.size = of.size;
    made.longest = 0xffffffffu;
    return made;
  }

  /**
   * Holds what a launch made of sequences with `least` to `most` tokens against a plain loop; the others are
   * untouched.
   */
  void expect(double bound, uint32_t least = 0, uint32_t most = 0xffffffffu) {
    const std::string where = "wkv7, " + std::to_string(of.heads) + " heads of " + std::to_string(of.size);
    std::vector<bool> is_written(tokens, false);
    for (size_t s = 0; s < of.sequences.size(); s++) {
      const Sequence& sequence = of.sequences[s];
      const bool runs = sequence.tokens >= least && sequence.tokens <= most;
      std::vector<double> now(old.row(sequence.slot), old.row(sequence.slot) + width * of.size);
      for (uint32_t t = batch.starts[s]; runs && t < batch.starts[s + 1]; t++) {
        std::vector<double> expected;
        for (uint32_t h = 0; h < of.heads; h++) head(t, h * of.size, now.data() + h * of.size * of.size, expected);
        compare(out.row(t), expected, bound, where + ", token " + std::to_string(t));
      }
      compare(state.row(sequence.slot), now, runs ? bound : 0, where + ", state");
      for (uint32_t t = batch.starts[s]; !runs && t < batch.starts[s + 1]; t++) {
        check(rwkv::bitsOf(out.row(t)[0]) == kUntouched, where + " writes rows of a sequence it leaves alone");
      }
    }
    check(out.intact(tokens), where + " writes beside its rows");
    check(state.intact(kSlots), where + " writes beside its states");
    const bool kept = memcmp(state.row(1), old.row(1), 4 * width * of.size) == 0;
    check(kept, where + " touches the state of a slot without a sequence");
  }

  const Wkv7Case of;
  const uint32_t width;
  Batch batch;
  const size_t tokens;
  Numbers state, out;

 private:
  /** One token of one head: `now` is its state. */
  void head(uint32_t t, uint32_t start, double* now, std::vector<double>& expected) {
    const uint32_t size = of.size;
    std::vector<double> key(size), value(size), as(size), bs(size), y(size);
    double squares = 0, own = 0;
    for (uint32_t n = 0; n < size; n++) squares += std::pow(double{k.row(t)[start + n]} * removal.row(0)[start + n], 2);
    for (uint32_t n = 0; n < size; n++) {
      const uint32_t c = start + n;
      key[n] = k.row(t)[c];
      value[n] = v.row(t)[c];
      as[n] = a.row(t)[c];
      bs[n] = b.row(t)[c];
      if (of.has_residual) value[n] += (double{first.row(t)[c]} - value[n]) * amount.row(t)[c];
      if (of.prepares) {
        const double direction = key[n] * removal.row(0)[c] / std::fmax(std::sqrt(squares), 1e-12);
        as[n] = -direction;
        bs[n] = direction * rate.row(t)[c];
        key[n] *= 1 + (rate.row(t)[c] - 1.0) * replacement.row(0)[c];
      }
      own += key[n] * r.row(t)[c] * by.row(0)[c];
    }
    for (uint32_t i = 0; i < size; i++) {
      double* line = now + i * size;
      double z = 0;
      for (uint32_t j = 0; j < size; j++) z += line[j] * as[j];
      for (uint32_t j = 0; j < size; j++) {
        line[j] = line[j] * w.row(t)[start + j] + z * bs[j] + value[i] * key[j];
        y[i] += line[j] * r.row(t)[start + j];
      }
    }
    if (of.has_tail) finish(t, start, own, value, y);
    expected.insert(expected.end(), y.begin(), y.end());
  }

  void finish(uint32_t t, uint32_t start, double own, const std::vector<double>& value, std::vector<double>& y) {
    double sum = 0, squares = 0;
    for (double one : y) sum += one;
    const double mean = sum / of.size;
    for (double one : y) squares += (one - mean) * (one - mean);
    for (uint32_t n = 0; n < of.size; n++) {
      const double normed = (y[n] - mean) / std::sqrt(squares / of.size + 64e-5f);
      y[n] = (normed * weight.row(0)[start + n] + bias.row(0)[start + n] + own * value[n]) * gate.row(t)[start + n];
    }
  }

  Numbers old{1, 1};
  Numbers r{tokens, width}, w{tokens, width, 0}, k{tokens, width}, v{tokens, width, 1}, a{tokens, width};
  Numbers b{tokens, width}, rate{tokens, width}, first{tokens, width, 7}, amount{tokens, width}, gate{tokens, width};
  Numbers removal{1, width}, replacement{1, width}, by{1, width}, weight{1, width}, bias{1, width};
};

}  // namespace harness
