#include "thread-pool.h"

#include <chrono>

#if defined(__linux__)
#include <pthread.h>
#include <sched.h>
#endif

namespace rwkv {
namespace {

using Clock = std::chrono::steady_clock;

/** Spins until `done()`. On a machine with more threads than processors the one waited for may need this processor. */
template <class Done>
void spin_until(const Done& done) {
  for (unsigned round = 0;; round++) {
    for (unsigned i = 0; i < 1000; i++) {
      if (done()) return;
      pause();
    }
    if (round >= 2) std::this_thread::yield();
  }
}

}  // namespace

ThreadPool::ThreadPool(const Options& options)
    : threads_(options.threads < 1 ? 1 : options.threads),
      spin_microseconds_(options.spin_microseconds),
      pin_(options.pin) {
  workers_.reserve(threads_ - 1);
  try {
    for (unsigned thread = 1; thread < threads_; thread++) {
      workers_.emplace_back([this, thread] { loop(thread); });
    }
  } catch (...) {
    // The destructor does not run for what was never constructed, and threads that nobody joins end the process.
    join();
    throw;
  }
}

ThreadPool::~ThreadPool() { join(); }

void ThreadPool::join() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stop_.store(true, std::memory_order_release);
    generation_.fetch_add(1, std::memory_order_release);
  }
  wake_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::run(const std::function<void(unsigned thread)>& work) {
  if (pin_ && !caller_pinned_) {
    pin(0);
    caller_pinned_ = true;
  }
  if (threads_ == 1) {
    work(0);
    return;
  }
  work_ = &work;
  unfinished_.store(threads_ - 1, std::memory_order_relaxed);
  // Sequentially consistent with the sleepers' count: either they see the new generation, or we see them asleep.
  generation_.fetch_add(1, std::memory_order_seq_cst);
  if (sleepers_.load(std::memory_order_seq_cst) > 0) {
    { std::lock_guard<std::mutex> lock(mutex_); }
    wake_.notify_all();
  }
  work(0);
  spin_until([this] { return unfinished_.load(std::memory_order_acquire) == 0; });
}

void ThreadPool::barrier() {
  if (threads_ == 1) return;
  const uint32_t generation = barrier_generation_.load(std::memory_order_relaxed);
  if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == threads_) {
    arrived_.store(0, std::memory_order_relaxed);
    barrier_generation_.store(generation + 1, std::memory_order_release);
    return;
  }
  spin_until([&] { return barrier_generation_.load(std::memory_order_acquire) != generation; });
}

void ThreadPool::loop(unsigned thread) {
  if (pin_) pin(thread);
  uint32_t seen = 0;
  for (;;) {
    const auto changed = [&] { return generation_.load(std::memory_order_seq_cst) != seen; };
    const auto start = Clock::now();
    const auto limit = std::chrono::microseconds(spin_microseconds_);
    while (!changed()) {
      for (unsigned i = 0; i < 100 && !changed(); i++) pause();
      if (Clock::now() - start < limit) continue;
      std::unique_lock<std::mutex> lock(mutex_);
      sleepers_.fetch_add(1, std::memory_order_seq_cst);
      wake_.wait(lock, changed);
      sleepers_.fetch_sub(1, std::memory_order_seq_cst);
    }
    seen = generation_.load(std::memory_order_acquire);
    if (stop_.load(std::memory_order_acquire)) return;
    (*work_)(thread);
    unfinished_.fetch_sub(1, std::memory_order_release);
  }
}

void ThreadPool::pin(unsigned index) {
#if defined(__linux__)
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return;
  const unsigned count = static_cast<unsigned>(CPU_COUNT(&allowed));
  if (count == 0) return;
  unsigned left = index % count;
  for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
    if (!CPU_ISSET(cpu, &allowed) || left-- > 0) continue;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    pthread_setaffinity_np(pthread_self(), sizeof one, &one);
    return;
  }
#else
  (void)index;
#endif
}

}  // namespace rwkv
