/** One backend's threads: a queue of jobs done in order by a thread of its own, which leads the pool. */
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

#include "../kernels/kernels.h"
#include "thread-pool.h"

namespace rwkv {

class Engine;

/** Work for the engine's thread. */
class Job {
 public:
  virtual ~Job() = default;
  /** Throws nothing: nobody catches it. */
  virtual void run(Engine& engine) = 0;
};

class Engine {
 public:
  struct Options {
    ThreadPool::Options pool;
    const Kernels* kernels = nullptr;
    /** Called on the engine's thread for each job that has run, in order. */
    std::function<void(std::unique_ptr<Job>)> finished;
  };

  /** Null when the system gives no threads, or no memory for them. */
  static std::unique_ptr<Engine> create(const Options& options);
  /** Stops between two phases of a running step, drops what is queued, and waits for the threads. */
  ~Engine();

  void enqueue(std::unique_ptr<Job> job);
  /** What the destructor does, for when the runtime goes down before the handles do. */
  void stop();

  ThreadPool& pool() { return *pool_; }
  const Kernels& kernels() const { return *options_.kernels; }
  const std::atomic<bool>& stopping() const { return stop_; }

 private:
  explicit Engine(const Options& options) : options_(options) {}
  void loop();

  const Options options_;
  std::unique_ptr<ThreadPool> pool_;
  std::thread leader_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::unique_ptr<Job>> jobs_;
  std::atomic<size_t> queued_{0};
  std::atomic<bool> stop_{false};
  bool sleeping_ = false;
};

}  // namespace rwkv
