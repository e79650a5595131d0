/**
 * What tests of kernels share: a step, rows between guards, launches by name in all orders of threads, and comparison
 * with numbers in double precision. A test is a plain program: `return harness::finish();` at the end of main.
 */
#pragma once

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "emulation/machine.h"
#include "kernels/step.h"

namespace harness {

inline int failures = 0;

inline void fail(const std::string& what) {
  if (++failures <= 20) fprintf(stderr, "%s\n", what.c_str());
}
inline void check(bool holds, const std::string& what) {
  if (!holds) fail(what);
}
inline int finish() {
  if (failures > 0) fprintf(stderr, "%d failures\n", failures);
  return failures > 0;
}

/** The same numbers on every machine. */
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed * 2654435769u + 1) {}
  uint32_t bits() {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return static_cast<uint32_t>(state_ >> 33) ^ static_cast<uint32_t>(state_ >> 20);
  }
  uint32_t below(uint32_t limit) { return bits() % limit; }
  double uniform(double from, double to) { return from + (to - from) * (bits() / 4294967296.0); }
  /** Near enough to normal. */
  double normal() {
    double sum = 0;
    for (int i = 0; i < 6; i++) sum += uniform(-1, 1);
    return sum * 0.70710678;
  }

 private:
  uint64_t state_;
};

/** Bits that no kernel computes. */
constexpr uint32_t kUntouched = 0x7fc5a5a5u;

/**
 * Numbers before and after rows: with the first the rows begin at a multiple of 16 bytes, with the second at no more
 * than 4.
 */
constexpr size_t kAlignedGuard = 64, kGuard = 67;

/** Rows of `width` numbers that are `stride` apart, with guards before, between and after. */
class Numbers {
 public:
  Numbers(size_t rows, size_t width, size_t gap = 3, size_t guard = kGuard)
      : rows_(rows), width_(width), stride_(width + gap), guard_(guard) {
    bits_.assign(guard_ + rows * stride_ + guard_, kUntouched);
  }
  void fill(const std::function<double()>& draw) {
    for (size_t r = 0; r < rows_; r++) {
      for (size_t c = 0; c < width_; c++) row(r)[c] = static_cast<float>(draw());
    }
  }
  void clear() { bits_.assign(bits_.size(), kUntouched); }
  float* row(size_t r) { return reinterpret_cast<float*>(bits_.data()) + guard_ + r * stride_; }
  const float* row(size_t r) const { return const_cast<Numbers*>(this)->row(r); }
  rwkv::Rows rows() { return {row(0), static_cast<uint32_t>(stride_), 0}; }
  rwkv::ConstRows read() const { return {row(0), static_cast<uint32_t>(stride_), 0}; }
  /** As a parameter that all rows share. */
  rwkv::ConstRows shared() const { return {row(0), 0, 0}; }
  size_t width() const { return width_; }
  /** Whether nothing but columns [0, width) of the first `written` rows was touched. */
  bool intact(size_t written) const {
    for (size_t i = 0; i < bits_.size(); i++) {
      const bool inside = i >= guard_ && i - guard_ < written * stride_ && (i - guard_) % stride_ < width_;
      if (!inside && bits_[i] != kUntouched) return false;
    }
    return true;
  }

 private:
  size_t rows_, width_, stride_, guard_;
  std::vector<uint32_t> bits_;
};

struct Sequence {
  uint32_t slot, tokens;
};

/**
 * A batch as writeStepHeader of @rwkv-ts/program lays it out. Tokens are 0, 1, 2 … unless told; the last token of
 * every sequence is wanted.
 */
class Batch {
 public:
  explicit Batch(std::vector<Sequence> sequences) : sequences_(std::move(sequences)) {
    for (const Sequence& sequence : sequences_) {
      starts.push_back(static_cast<uint32_t>(tokens.size()));
      for (uint32_t t = 0; t < sequence.tokens; t++) tokens.push_back(static_cast<uint32_t>(tokens.size()));
      wanted.push_back(static_cast<uint32_t>(tokens.size()) - 1);
    }
    starts.push_back(static_cast<uint32_t>(tokens.size()));
    embedding.assign(tokens.size(), 0);
  }
  const std::vector<Sequence>& sequences() const { return sequences_; }

  /** Stands until the next call. */
  const rwkv::Step* step() {
    words_.assign(16, 0);
    auto* step = reinterpret_cast<rwkv::Step*>(words_.data());
    const auto tokenCount = static_cast<uint32_t>(tokens.size());
    step->counts[0] = tokenCount;
    step->counts[1] = static_cast<uint32_t>(wanted.size());
    step->counts[2] = static_cast<uint32_t>(sequences_.size());
    std::vector<uint32_t> first(tokenCount, 0), last(tokenCount, 0), slots;
    for (size_t s = 0; s < sequences_.size(); s++) {
      slots.push_back(sequences_[s].slot);
      first[starts[s]] = rwkv::kFirstToken | sequences_[s].slot;
      for (uint32_t t = starts[s]; t < starts[s + 1]; t++) last[t] = starts[s + 1] - 1;
    }
    uint32_t at[8];
    const std::vector<uint32_t>* lists[] = {&tokens, &first, &last, &starts, &slots, &wanted, &embedding};
    for (int i = 0; i < 7; i++) {
      at[i] = static_cast<uint32_t>(words_.size());
      words_.insert(words_.end(), lists[i]->begin(), lists[i]->end());
    }
    at[7] = static_cast<uint32_t>(words_.size());
    for (float number : vectors) words_.push_back(rwkv::bitsOf(number));
    step = reinterpret_cast<rwkv::Step*>(words_.data());
    memcpy(&step->tokensAt, at, sizeof at);
    for (uint32_t one : embedding) step->embeddings += one != 0;
    return step;
  }

  std::vector<uint32_t> tokens, starts, wanted, embedding;
  std::vector<float> vectors;

 private:
  std::vector<Sequence> sequences_;
  std::vector<uint32_t> words_;
};

using rwkv::emulation::Order;

struct Geometry {
  unsigned x = 1, y = 1, threads = 32;
  size_t shared = 0;
};

template <class Arguments>
void launch(const char* name, const Geometry& geometry, const rwkv::Step* step, const Arguments& arguments,
            Order order) {
  const std::string full = std::string("rwkv_") + name;
  for (const auto& kernel : rwkv::emulation::kernels()) {
    if (full != kernel.name) continue;
    if (kernel.argument_bytes != sizeof(Arguments)) return fail(full + " takes other arguments");
    const std::string error = rwkv::emulation::run(
        {&kernel, {geometry.x, geometry.y, 1}, geometry.threads, geometry.shared, step, &arguments}, order);
    check(error.empty(), error);
    return;
  }
  fail("no kernel is called " + full);
}

/** Runs the test in each order of a block's threads. */
inline void in_all_orders(const std::function<void(Order)>& test) {
  for (Order order : {Order::forward, Order::reverse, Order::shuffled}) test(order);
}

/** Each number within `bound` times the largest magnitude of what is expected; NaN and infinities alike. */
inline void compare(const float* got, const std::vector<double>& expected, double bound, const std::string& where) {
  double largest = 0;
  for (double one : expected) {
    if (std::isfinite(one)) largest = std::fmax(largest, std::fabs(one));
  }
  for (size_t i = 0; i < expected.size(); i++) {
    const double want = expected[i];
    if (std::isnan(want) ? std::isnan(got[i]) : got[i] == want) continue;
    if (std::isfinite(want) && std::fabs(got[i] - want) <= bound * largest) continue;
    char text[200];
    snprintf(text, sizeof text, "%s: number %zu is %.9g, expected %.9g (largest %.3g)", where.c_str(), i,
             static_cast<double>(got[i]), want, largest);
    return fail(text);
  }
}

}  // namespace harness
