/** The pool: every task once, stretches in order, whatever threads do; also for the thread sanitizer. */
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "../engine/thread-pool.h"

namespace {

int failures = 0;

void check(bool holds, const char* what) {
  if (holds) return;
  std::printf("failed: %s\n", what);
  failures++;
}

/** Stretches of random sizes; each task counts itself and looks whether the stretch before was done. */
class Counting final : public rwkv::Stretches {
 public:
  Counting(unsigned threads, unsigned seed, unsigned stretches) : threads_(threads) {
    std::srand(seed);
    for (unsigned i = 0; i < stretches; i++) {
      const unsigned kind = static_cast<unsigned>(std::rand()) % 4;
      const uint32_t tasks = kind == 0 ? 0 : kind == 1 ? 1 : static_cast<uint32_t>(std::rand()) % 40;
      std::vector<uint32_t> spans(threads + 1, tasks);
      spans[0] = 0;
      // Spans need not be even: some threads have none of their own.
      for (unsigned t = 1; t < threads; t++) {
        spans[t] = spans[t - 1] + static_cast<uint32_t>(std::rand()) % (tasks - spans[t - 1] + 1);
      }
      spans_.push_back(spans);
      counts_.emplace_back(tasks, 0u);
      total += tasks;
    }
  }

  const uint32_t* next() override {
    if (at_ >= 0) check(done_ == spans_[static_cast<size_t>(at_)][threads_], "a stretch begins before the last is done");
    done_ = 0;
    if (++at_ == static_cast<int>(spans_.size())) return nullptr;
    return spans_[static_cast<size_t>(at_)].data();
  }
  void task(uint32_t task, unsigned thread) override {
    check(thread < threads_, "thread out of range");
    counts_[static_cast<size_t>(at_)][task]++;
    volatile double sink = 0;
    for (unsigned i = 0; i < (task * 37) % 400; i++) sink = sink + i;
    done_.fetch_add(1, std::memory_order_relaxed);
  }
  bool all_once() const {
    for (const auto& counts : counts_) {
      for (const unsigned count : counts) {
        if (count != 1) return false;
      }
    }
    return true;
  }

  size_t total = 0;

 private:
  const unsigned threads_;
  std::vector<std::vector<uint32_t>> spans_;
  std::vector<std::vector<unsigned>> counts_;
  std::atomic<uint32_t> done_{0};
  int at_ = -1;
};

void runs(unsigned threads, unsigned spin_microseconds) {
  rwkv::ThreadPool pool({threads, false, spin_microseconds});
  check(pool.threads() == threads, "threads");
  for (unsigned round = 0; round < 60; round++) {
    Counting work(threads, round + threads * 1000, 30);
    if (round % 5 == 4) pool.run_alone(work);
    else pool.run(work);
    check(work.all_once(), "every task once");
    // Long enough to fall asleep, now and then.
    if (round % 20 == 19) std::this_thread::sleep_for(std::chrono::milliseconds(3));
  }
  std::vector<unsigned> counts(1000, 0);
  pool.run_parts(1000, [&](uint32_t part) { counts[part]++; });
  for (const unsigned count : counts) check(count == 1, "every part once");
  pool.run_parts(0, [&](uint32_t) { check(false, "no part"); });
}

void processors() {
  using List = std::vector<unsigned>;
  using Siblings = std::vector<std::string>;
  const auto order = rwkv::one_per_core_first;
  const Siblings pairs{"0-1", "0-1", "2-3", "2-3", "4-5", "4-5"};
  check(order({0, 1, 2, 3, 4, 5}, pairs) == List{0, 2, 4, 1, 3, 5}, "siblings side by side");
  const Siblings halves{"0,3", "1,4", "2,5", "0,3", "1,4", "2,5"};
  check(order({0, 1, 2, 3, 4, 5}, halves) == List{0, 1, 2, 3, 4, 5}, "siblings far apart");
  const Siblings fours{"0-1,8-9", "0-1,8-9", "2", "0-1,8-9", "0-1,8-9"};
  check(order({0, 1, 2, 8, 9}, fours) == List{0, 2, 1, 8, 9}, "four siblings");
  check(order({1, 2, 3}, {"0-1", "2-3", "2-3"}) == List{1, 2, 3}, "a sibling that this process may not use");
  check(order({4, 7, 9}, {"", "7", "what"}) == List{4, 7, 9}, "a system that does not tell");
  check(order({0, 1}, {"0-4294967295", "0-"}) == List{0, 1}, "odd lists");
  check(order({}, {}).empty(), "none");
}

}  // namespace

int main() {
  processors();
  for (const unsigned threads : {1u, 2u, 3u, 7u}) {
    for (const unsigned spin : {0u, 200u}) runs(threads, spin);
  }
  // Made and ended without ever running.
  for (unsigned i = 0; i < 20; i++) rwkv::ThreadPool pool({4, i % 2 == 0, 10});
  std::printf(failures == 0 ? "ok\n" : "%d failures\n", failures);
  return failures == 0 ? 0 : 1;
}
