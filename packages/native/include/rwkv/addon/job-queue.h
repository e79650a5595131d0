/** Jobs done in order by a thread of their own. Knows nothing of Node. */
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <new>
#include <system_error>
#include <thread>
#include <utility>
#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#endif

namespace rwkv::addon {

/** Work for the queue's thread. */
class Job {
 public:
  virtual ~Job() = default;
  /** Throws nothing: nobody catches it. */
  virtual void run() = 0;
};

class JobQueue {
 public:
  struct Options {
    /** How long the idle thread spins before it sleeps. */
    unsigned spin_microseconds = 0;
    /** Called on the queue's thread for each job that has run, in order. */
    std::function<void(std::unique_ptr<Job>)> finished;
  };

  /** Null when the system gives no thread, or no memory for it. */
  static std::unique_ptr<JobQueue> create(Options options) {
    try {
      std::unique_ptr<JobQueue> queue(new JobQueue(std::move(options)));
      queue->thread_ = std::thread([raw = queue.get()] { raw->loop(); });
      return queue;
    } catch (const std::system_error&) {
      return nullptr;
    } catch (const std::bad_alloc&) {
      return nullptr;
    }
  }

  ~JobQueue() { stop(); }

  void enqueue(std::unique_ptr<Job> job) {
    bool wake;
    {
      std::lock_guard<std::mutex> lock(mutex_);
      if (stop_.load(std::memory_order_relaxed)) return;
      jobs_.push_back(std::move(job));
      queued_.store(jobs_.size(), std::memory_order_release);
      wake = sleeping_;
    }
    if (wake) wake_.notify_one();
  }

  /** Waits for the job under way, which may look at `stopping` to end soon, and drops what is queued. */
  void stop() {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      stop_.store(true, std::memory_order_release);
    }
    wake_.notify_one();
    if (thread_.joinable()) thread_.join();
    jobs_.clear();
  }

  const std::atomic<bool>& stopping() const { return stop_; }

 private:
  explicit JobQueue(Options options) : options_(std::move(options)) {}

  void loop() {
    while (auto job = next()) {
      job->run();
      options_.finished(std::move(job));
    }
  }

  /** Null when the queue stops. */
  std::unique_ptr<Job> next() {
    spin();
    std::unique_lock<std::mutex> lock(mutex_);
    sleeping_ = true;
    wake_.wait(lock, [this] { return !jobs_.empty() || stop_.load(std::memory_order_relaxed); });
    sleeping_ = false;
    if (stop_.load(std::memory_order_relaxed)) return nullptr;
    auto job = std::move(jobs_.front());
    jobs_.pop_front();
    queued_.store(jobs_.size(), std::memory_order_release);
    return job;
  }

  /** Waits for a job without sleeping, for as long as the options say. */
  void spin() const {
    using Clock = std::chrono::steady_clock;
    const auto limit = std::chrono::microseconds(options_.spin_microseconds);
    const auto idle_since = Clock::now();
    while (queued_.load(std::memory_order_acquire) == 0 && !stop_.load(std::memory_order_acquire) &&
           Clock::now() - idle_since < limit) {
      for (unsigned i = 0; i < 20; i++) pause();
    }
  }

  /** Lets the processor's other hardware thread have the wait. */
  static void pause() {
#if defined(__x86_64__) || defined(_M_X64)
    _mm_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
  }

  const Options options_;
  std::thread thread_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::unique_ptr<Job>> jobs_;
  std::atomic<size_t> queued_{0};
  std::atomic<bool> stop_{false};
  bool sleeping_ = false;
};

}  // namespace rwkv::addon
