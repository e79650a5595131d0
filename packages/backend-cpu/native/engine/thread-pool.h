/** Threads that work through the phases of a step together, and sleep when there is nothing to do. */
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace rwkv {

/** Lets the processor's other hardware thread, and its power budget, have the wait. */
inline void pause() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

/**
 * A team of `threads` threads, the caller of `run` being number 0. Between two runs the others first spin, then sleep, so
 * that a decode loop pays no wake-up per token and an idle process costs nothing.
 */
class ThreadPool {
 public:
  struct Options {
    unsigned threads = 1;
    /** Binds thread i to the i-th processor this process may use. Number 0 is bound when it first runs. */
    bool pin = false;
    /** How long an idle thread spins before it sleeps. */
    unsigned spin_microseconds = 50;
  };

  /** @throws std::system_error when the system gives no more threads */
  explicit ThreadPool(const Options& options);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  unsigned threads() const { return threads_; }

  /** Calls work(thread) once on every thread, and returns when all have returned. */
  void run(const std::function<void(unsigned thread)>& work);

  /** All threads of a `run` wait here for each other. */
  void barrier();

  /** Binds the calling thread to the `index`-th processor this process may use, where the system can. */
  static void pin(unsigned index);

 private:
  void loop(unsigned thread);
  /** Ends the threads there are. */
  void join();

  const unsigned threads_;
  const unsigned spin_microseconds_;
  const bool pin_;
  bool caller_pinned_ = false;
  std::vector<std::thread> workers_;
  const std::function<void(unsigned)>* work_ = nullptr;

  alignas(64) std::atomic<uint32_t> generation_{0};
  alignas(64) std::atomic<uint32_t> unfinished_{0};
  alignas(64) std::atomic<uint32_t> arrived_{0};
  alignas(64) std::atomic<uint32_t> barrier_generation_{0};
  alignas(64) std::atomic<uint32_t> sleepers_{0};
  std::atomic<bool> stop_{false};
  std::mutex mutex_;
  std::condition_variable wake_;
};

}  // namespace rwkv
