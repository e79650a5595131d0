/** What one backend's jobs compute on: kernels, and threads that the jobs' own thread leads. */
#pragma once

#include <memory>

#include "../kernels/kernels.h"
#include "thread-pool.h"

namespace rwkv {

class Engine {
 public:
  struct Options {
    ThreadPool::Options pool;
    const Kernels* kernels = nullptr;
  };

  /** Null when the system gives no threads, or no memory for them. */
  static std::unique_ptr<Engine> create(const Options& options);

  /** Ends the threads; nothing may be computed any more. */
  void stop();

  ThreadPool& pool() { return *pool_; }
  const Kernels& kernels() const { return *kernels_; }

 private:
  explicit Engine(const Options& options);

  const Kernels* const kernels_;
  std::unique_ptr<ThreadPool> pool_;
};

}  // namespace rwkv
