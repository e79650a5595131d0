/** RWKV-5's and RWKV-6's attention in double precision, with what its kernels may fuse; and numbers to try it with. */
#pragma once

#include "kernels/ops/wkv6-tokens.cuh"
#include "test/harness.h"

namespace harness {

struct Wkv6Case {
  uint32_t heads, size;
  bool decay_is_shared, has_norm, has_gate;
  std::vector<Sequence> sequences;
};

class Wkv6Model {
 public:
  static constexpr uint32_t kSlots = 5;

  explicit Wkv6Model(const Wkv6Case& of)
      : of(of), width(of.heads * of.size), batch(of.sequences), tokens(batch.tokens.size()),
        state(kSlots, width * of.size, 0, kAlignedGuard), out(tokens + 2, width) {
    Random random(of.size + of.heads + tokens);
    for (Numbers* one : {&r, &k, &v, &gate, &first}) one->fill([&] { return random.normal(); });
    weight.fill([&] { return random.uniform(0.5, 1.2); });
    bias.fill([&] { return 0.3 * random.normal(); });
    const double decays[] = {0, 1e-30, 1e-4, 0.1, 0.6, 0.9, 0.99, 0.999, 1};
    decay.fill([&] { return decays[random.below(9)] * random.uniform(0.99, 1); });
    state.fill([&] { return random.normal(); });
    old = state;
  }

  rwkv::Wkv6Arguments arguments() {
    rwkv::Wkv6Arguments made{};
    made.r = r.read();
    made.k = k.read();
    made.v = v.read();
    made.decay = of.decay_is_shared ? decay.shared() : decay.read();
    made.first = first.shared();
    if (of.has_norm) {
      made.weight = weight.shared();
      made.bias = bias.shared();
      made.eps = 64e-5f;
    }
    if (of.has_gate) made.gate = gate.read();
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
    const std::string where = "wkv6, " + std::to_string(of.heads) + " heads of " + std::to_string(of.size);
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

  const Wkv6Case of;
  const uint32_t width;
  Batch batch;
  const size_t tokens;
  Numbers state, out;

 private:
  /** One token of one head: `now` is its state. */
  void head(uint32_t t, uint32_t start, double* now, std::vector<double>& expected) {
    const uint32_t size = of.size;
    std::vector<double> y(size, 0);
    for (uint32_t i = 0; i < size; i++) {
      const double rate = decay.row(of.decay_is_shared ? 0 : t)[start + i];
      for (uint32_t j = 0; j < size; j++) {
        const double kv = double{k.row(t)[start + i]} * v.row(t)[start + j];
        y[j] += r.row(t)[start + i] * (first.row(0)[start + i] * kv + now[i * size + j]);
        now[i * size + j] = kv + rate * now[i * size + j];
      }
    }
    double sum = 0, squares = 0;
    for (double one : y) sum += one;
    const double mean = sum / size;
    for (double one : y) squares += (one - mean) * (one - mean);
    for (uint32_t n = 0; n < size; n++) {
      if (of.has_norm) {
        y[n] = (y[n] - mean) / std::sqrt(squares / size + 64e-5f) * weight.row(0)[start + n] + bias.row(0)[start + n];
      }
      if (of.has_gate) y[n] *= gate.row(t)[start + n];
      expected.push_back(y[n]);
    }
  }

  Numbers old{1, 1};
  Numbers r{tokens, width}, k{tokens, width, 0}, v{tokens, width, 1}, decay{tokens, width}, gate{tokens, width, 7};
  Numbers first{1, width}, weight{1, width}, bias{1, width};
};

}  // namespace harness
