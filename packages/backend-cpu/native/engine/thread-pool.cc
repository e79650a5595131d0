#include "thread-pool.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <utility>

#if defined(__linux__)
#include <pthread.h>
#include <sched.h>
#endif

namespace rwkv {
namespace {

using Clock = std::chrono::steady_clock;

constexpr unsigned kIndexBits = 20;
constexpr uint64_t kIndexMask = (uint64_t{1} << kIndexBits) - 1;
static_assert(kMostTasks <= kIndexMask + 1, "a task's index fits its bits");

uint64_t pack_span(uint64_t tag, uint32_t next, uint32_t end) {
  return tag << (2 * kIndexBits) | uint64_t{end} << kIndexBits | next;
}
uint32_t next_of(uint64_t word) { return static_cast<uint32_t>(word & kIndexMask); }
uint32_t end_of(uint64_t word) { return static_cast<uint32_t>(word >> kIndexBits & kIndexMask); }

/** Waits a moment; where it takes long, lets others run: the thread waited for may need this processor. */
class Patience {
 public:
  void wait() {
    // One pause can take 140 cycles, and what is waited for often comes within a microsecond.
    pause();
    if (++rounds_ > 1000) std::this_thread::yield();
  }
  void renew() { rounds_ = 0; }

 private:
  unsigned rounds_ = 0;
};

/** How many of `processors` come before `own` in a list like "0-3,8". */
size_t earlier_siblings(const std::string& list, unsigned own, const std::vector<unsigned>& processors) {
  size_t earlier = 0;
  const char* at = list.c_str();
  for (char* end; *at != 0; at = *end == ',' ? end + 1 : end) {
    const unsigned long first = std::strtoul(at, &end, 10);
    if (end == at) break;
    unsigned long last = first;
    if (*end == '-') last = std::strtoul(end + 1, &end, 10);
    for (const unsigned processor : processors) earlier += processor < own && processor >= first && processor <= last;
  }
  return earlier;
}

/** All that this process may use; empty where the system does not tell, or binds no threads. */
std::vector<unsigned> processors_to_pin() {
  std::vector<unsigned> processors;
  std::vector<std::string> siblings;
#if defined(__linux__)
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return {};
  for (unsigned processor = 0; processor < CPU_SETSIZE; processor++) {
    if (!CPU_ISSET(processor, &allowed)) continue;
    processors.push_back(processor);
    std::ifstream file("/sys/devices/system/cpu/cpu" + std::to_string(processor) + "/topology/thread_siblings_list");
    std::getline(file, siblings.emplace_back());
  }
#endif
  return one_per_core_first(processors, siblings);
}

}  // namespace

std::vector<unsigned> one_per_core_first(const std::vector<unsigned>& processors,
                                         const std::vector<std::string>& siblings) {
  std::vector<std::pair<size_t, unsigned>> ranked;
  for (size_t i = 0; i < processors.size(); i++) {
    ranked.emplace_back(earlier_siblings(siblings[i], processors[i], processors), processors[i]);
  }
  std::sort(ranked.begin(), ranked.end());
  std::vector<unsigned> order;
  for (const auto& [rank, processor] : ranked) order.push_back(processor);
  return order;
}

ThreadPool::ThreadPool(const Options& options)
    : threads_(options.threads < 1 ? 1 : options.threads),
      spin_microseconds_(options.spin_microseconds),
      processors_(options.pin ? processors_to_pin() : std::vector<unsigned>()),
      spans_(new Span[threads_]) {
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
  }
  wake_.notify_all();
  for (std::thread& worker : workers_) worker.join();
  workers_.clear();
}

void ThreadPool::pin_caller() {
  if (caller_pinned_) return;
  pin(0);
  caller_pinned_ = true;
}

void ThreadPool::run_alone(Stretches& work) {
  pin_caller();
  while (const uint32_t* spans = work.next()) {
    for (uint32_t task = 0; task < spans[threads_]; task++) work.task(task, 0);
  }
}

void ThreadPool::run(Stretches& work) {
  if (threads_ == 1) return run_alone(work);
  pin_caller();
  work_ = &work;
  // Sequentially consistent with the sleepers' count: either they see that a run began, or we see them asleep.
  running_.store(true, std::memory_order_seq_cst);
  if (sleepers_.load(std::memory_order_seq_cst) > 0) {
    { std::lock_guard<std::mutex> lock(mutex_); }
    wake_.notify_all();
  }
  advance(0);
  Patience patience;
  while (running_.load(std::memory_order_acquire)) {
    if (do_task(0)) patience.renew();
    else patience.wait();
  }
}

void ThreadPool::run_parts(uint32_t parts, const std::function<void(uint32_t part)>& part) {
  class Parts final : public Stretches {
   public:
    Parts(const std::function<void(uint32_t)>& part, std::vector<uint32_t> spans)
        : part_(part), spans_(std::move(spans)) {}
    const uint32_t* next() override { return begun_++ == 0 ? spans_.data() : nullptr; }
    void task(uint32_t task, unsigned) override { part_(task); }

   private:
    const std::function<void(uint32_t)>& part_;
    const std::vector<uint32_t> spans_;
    unsigned begun_ = 0;
  };
  std::vector<uint32_t> spans(threads_ + 1);
  for (unsigned t = 0; t <= threads_; t++) spans[t] = static_cast<uint32_t>(uint64_t{parts} * t / threads_);
  Parts work(part, std::move(spans));
  run(work);
}

void ThreadPool::advance(unsigned thread) {
  while (const uint32_t* spans = work_->next()) {
    const uint32_t tasks = spans[threads_];
    if (tasks == 0) continue;
    if (tasks == 1) {
      // Handing it to somebody would take about as long as most such tasks do.
      work_->task(0, thread);
      continue;
    }
    tag_++;
    // One more than there are, for the handing out itself: the others may be done with what they see before it ends.
    remaining_.store(tasks + 1, std::memory_order_relaxed);
    for (unsigned t = 0; t < threads_; t++) {
      spans_[t].word.store(pack_span(tag_, spans[t], spans[t + 1]), std::memory_order_release);
    }
    if (remaining_.fetch_sub(1, std::memory_order_acq_rel) > 1) return;
  }
  running_.store(false, std::memory_order_release);
}

bool ThreadPool::do_task(unsigned thread) {
  for (unsigned turn = 0; turn < threads_; turn++) {
    std::atomic<uint64_t>& span = spans_[(thread + turn) % threads_].word;
    uint64_t word = span.load(std::memory_order_relaxed);
    while (next_of(word) < end_of(word)) {
      if (!span.compare_exchange_weak(word, word + 1, std::memory_order_acquire, std::memory_order_relaxed)) continue;
      // The run cannot end before this task, so `work_` stays.
      work_->task(next_of(word), thread);
      if (remaining_.fetch_sub(1, std::memory_order_acq_rel) == 1) advance(thread);
      return true;
    }
  }
  return false;
}

void ThreadPool::loop(unsigned thread) {
  pin(thread);
  const auto limit = std::chrono::microseconds(spin_microseconds_);
  auto idle_since = Clock::now();
  Patience patience;
  while (!stop_.load(std::memory_order_acquire)) {
    if (do_task(thread)) {
      patience.renew();
      idle_since = Clock::now();
      continue;
    }
    patience.wait();
    if (running_.load(std::memory_order_relaxed) || Clock::now() - idle_since < limit) continue;
    std::unique_lock<std::mutex> lock(mutex_);
    sleepers_.fetch_add(1, std::memory_order_seq_cst);
    wake_.wait(lock, [this] {
      return running_.load(std::memory_order_seq_cst) || stop_.load(std::memory_order_relaxed);
    });
    sleepers_.fetch_sub(1, std::memory_order_seq_cst);
    patience.renew();
    idle_since = Clock::now();
  }
}

void ThreadPool::pin(unsigned thread) const {
#if defined(__linux__)
  if (processors_.empty()) return;
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(processors_[thread % processors_.size()], &one);
  pthread_setaffinity_np(pthread_self(), sizeof one, &one);
#else
  (void)thread;
#endif
}

}  // namespace rwkv
