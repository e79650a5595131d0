/**
 * What the tests of the ops share: memory with guards, steps of several sequences, running a kernel in every grouping
 * of its units, and comparing with numbers in double precision.
 */
#pragma once

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#if !defined(_WIN32)
#include <sys/mman.h>
#include <unistd.h>
#endif

#include "kernels.h"
#include "pack.h"

namespace rwkv {

inline int failures = 0;
inline std::string instructions;

inline void fail(const std::string& what) {
  if (++failures <= 20) printf("%s: %s\n", instructions.c_str(), what.c_str());
}

inline uint64_t random_state = 1;
/** In [-1, 1). */
inline float random_number() {
  random_state = random_state * 6364136223846793005ull + 1442695040888963407ull;
  return static_cast<float>(static_cast<double>(random_state >> 11) / 4503599627370496.0 - 1.0);
}
inline float random_between(float low, float high) { return low + (high - low) * (random_number() * 0.5f + 0.5f); }

inline uint32_t bits_of(float number) {
  uint32_t bits;
  memcpy(&bits, &number, sizeof bits);
  return bits;
}

/** NaN of a kind that no arithmetic makes: fills what nobody may write, and spoils a sum that reads it. */
inline float guard() {
  const uint32_t bits = 0x7fc12345u;
  float number;
  memcpy(&number, &bits, sizeof number);
  return number;
}

/** [rows, width] at a stride, the last row ending at memory that may not be touched where the system has such. */
class Block {
 public:
  Block(size_t rows, size_t width, size_t gap = 0)
      : rows(rows), width(width), stride(width + gap), count_(rows ? (rows - 1) * stride + width : 0) {
    const size_t bytes = (count_ + kBefore) * sizeof(float);
#if defined(_WIN32)
    size_ = bytes;
    memory_ = static_cast<uint8_t*>(malloc(size_));
    data_ = reinterpret_cast<float*>(memory_) + kBefore;
#else
    const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    size_ = (bytes + page - 1) / page * page;
    memory_ = static_cast<uint8_t*>(
        mmap(nullptr, size_ + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    mprotect(memory_ + size_, page, PROT_NONE);
    size_ += page;
    data_ = reinterpret_cast<float*>(memory_ + size_ - page) - count_;
#endif
    for (size_t i = 0; i < count_ + kBefore; i++) (data_ - kBefore)[i] = guard();
  }
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;
  ~Block() {
#if defined(_WIN32)
    free(memory_);
#else
    munmap(memory_, size_);
#endif
  }

  const size_t rows, width, stride;

  Block& fill(const std::function<float()>& next) {
    for (size_t t = 0; t < rows; t++) {
      for (size_t c = 0; c < width; c++) row(t)[c] = next();
    }
    return *this;
  }
  Block& random(float low = -1, float high = 1) {
    return fill([=] { return random_between(low, high); });
  }
  float* row(size_t t) const { return data_ + t * stride; }
  double at(size_t t, size_t c) const { return row(t)[c]; }
  Rows view() const { return {data_, stride}; }
  /** The same row for every token. */
  Operand shared() const { return {data_, 0}; }
  float* data() const { return data_; }

  std::vector<float> copy() const { return std::vector<float>(data_ - kBefore, data_ + count_); }
  void restore(const std::vector<float>& numbers) {
    memcpy(data_ - kBefore, numbers.data(), numbers.size() * sizeof(float));
  }
  bool same_bits(const std::vector<float>& numbers) const {
    return memcmp(data_ - kBefore, numbers.data(), numbers.size() * sizeof(float)) == 0;
  }
  bool gaps_are_untouched() const {
    for (size_t i = 0; i < kBefore; i++) {
      if (bits_of((data_ - kBefore)[i]) != bits_of(guard())) return false;
    }
    for (size_t t = 0; t + 1 < rows; t++) {
      for (size_t c = width; c < stride; c++) {
        if (bits_of(row(t)[c]) != bits_of(guard())) return false;
      }
    }
    return true;
  }

 private:
  static constexpr size_t kBefore = 16;
  size_t count_;
  size_t size_;
  uint8_t* memory_;
  float* data_;
};

/** Sequences of the given numbers of tokens, in slots of their own out of twice as many. */
struct Tokens {
  explicit Tokens(const std::vector<uint32_t>& counts) {
    starts.push_back(0);
    for (size_t s = 0; s < counts.size(); s++) {
      starts.push_back(starts.back() + counts[s]);
      slots.push_back(static_cast<uint32_t>(2 * (counts.size() - 1 - s) + s % 2));
    }
    slot_count = 2 * counts.size();
    step.tokens = starts.back();
    step.sequences = static_cast<uint32_t>(counts.size());
    step.starts = starts.data();
    step.slots = slots.data();
  }
  Tokens(const Tokens&) = delete;

  std::vector<uint32_t> starts, slots;
  size_t slot_count;
  Step step;

  std::string text() const { return "T " + std::to_string(step.tokens) + " S " + std::to_string(step.sequences); }
};

inline const std::vector<std::vector<uint32_t>>& sequence_counts() {
  static const std::vector<std::vector<uint32_t>> counts = {{1}, {2}, {1, 1}, {33}, {1, 0, 20, 12}};
  return counts;
}

inline uint8_t* scratch() {
  static std::vector<uint8_t> memory(kThreadScratch + 64);
  return memory.data() + (64 - reinterpret_cast<uintptr_t>(memory.data()) % 64) % 64;
}

/** Runs all units at once, then in other groupings and orders, which must give the same bits; guards must survive. */
template <class Args>
void run(Kernel<Args> kernel, const Args& args, const Step& step, size_t units, const std::vector<Block*>& touched,
         const std::string& what) {
  std::vector<std::vector<float>> before, after;
  for (const Block* block : touched) before.push_back(block->copy());
  memset(scratch(), 0xff, kThreadScratch);
  kernel(args, step, {0, units}, scratch());
  for (const Block* block : touched) {
    after.push_back(block->copy());
    if (!block->gaps_are_untouched()) fail(what + ": wrote outside its rows");
  }
  for (const size_t tasks : {units, size_t{2}, size_t{3}}) {
    for (size_t i = 0; i < touched.size(); i++) touched[i]->restore(before[i]);
    for (size_t task = tasks; task-- > 0;) kernel(args, step, part(units, task, tasks), scratch());
    for (size_t i = 0; i < touched.size(); i++) {
      if (!touched[i]->same_bits(after[i])) {
        fail(what + ": other bits in " + std::to_string(tasks) + " tasks");
        return;
      }
    }
  }
}

/**
 * At most `units` of 2⁻²⁴ of the row's largest magnitude away; NaN and infinity only where expected. `magnitude` is
 * that of the terms, where a narrow row may happen to hold nothing but differences that nearly cancel.
 */
template <class Expected>
void expect(const Block& out, Expected expected, double units, const std::string& what, double magnitude = 0) {
  for (size_t t = 0; t < out.rows; t++) {
    double largest = magnitude;
    for (size_t c = 0; c < out.width; c++) {
      const double wanted = expected(t, c);
      if (std::isfinite(wanted)) largest = std::max(largest, std::fabs(wanted));
    }
    const double allowed = units * largest * 0x1p-24 + 0x1p-126;
    for (size_t c = 0; c < out.width; c++) {
      const double wanted = expected(t, c);
      const double found = out.at(t, c);
      const bool good = std::isfinite(wanted) ? std::fabs(found - wanted) <= allowed
                                              : std::isnan(wanted) ? std::isnan(found) : found == wanted;
      if (good) continue;
      char numbers[128];
      snprintf(numbers, sizeof numbers, " row %zu column %zu: %.9g instead of %.9g, %.1f units", t, c, found, wanted,
               std::fabs(found - wanted) / (largest * 0x1p-24));
      fail(what + numbers);
      return;
    }
  }
}

/** Runs `test` for every instruction set of this machine, or the one that the first argument names. */
inline int run_tests(int count, char** arguments, const std::function<void(const Kernels&)>& test) {
  bool found = false;
  for (size_t i = 0; i < kKernelChoiceCount; i++) {
    const KernelChoice& choice = kKernelChoices[i];
    if (count > 1 && strcmp(choice.name, arguments[1]) != 0) continue;
    if (!choice.runs_here()) {
      printf("%s: does not run here\n", choice.name);
      continue;
    }
    found = true;
    instructions = choice.name;
    const int earlier = failures;
    test(*choice.table());
    if (failures == earlier) printf("%s: good\n", choice.name);
  }
  if (!found) printf("no such instruction set here\n");
  if (failures > 0) printf("%d failures\n", failures);
  return found && failures == 0 ? 0 : 1;
}

}  // namespace rwkv
