/** Threads that work through the stretches of a step together, and sleep when there is nothing to do. */
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
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

/** Work in stretches: tasks of a stretch are independent of each other, and a stretch begins when the one before is done. */
class Stretches {
 public:
  virtual ~Stretches() = default;
  /**
   * Goes on to the next stretch: its tasks are 0 up to spans[threads], of which thread t does spans[t] up to
   * spans[t + 1] first. Null after the last one. Called by one thread at a time, when no task runs.
   */
  virtual const uint32_t* next() = 0;
  virtual void task(uint32_t task, unsigned thread) = 0;
};

/**
 * `processors`, ascending, in the order in which threads should have them: one of each core, then each core's second, and
 * so on. `siblings` has for each the processors of its core as Linux lists them, "0-1" or "0,64".
 */
std::vector<unsigned> one_per_core_first(const std::vector<unsigned>& processors,
                                         const std::vector<std::string>& siblings);

/** A stretch has fewer tasks than this. */
constexpr uint32_t kMostTasks = 1u << 20;

/**
 * A team of `threads` threads, the caller of `run` being number 0.
 *
 * Nobody waits for a thread, only for tasks: a stretch is done when its tasks are, and whoever finished the last one
 * begins the next. A thread that the system has taken off its processor holds nothing up unless it was inside a task; the
 * others do its span. Between two runs the threads first spin, then sleep, so that a decode loop pays no wake-up per
 * token and an idle process costs nothing.
 */
class ThreadPool {
 public:
  struct Options {
    unsigned threads = 1;
    /**
     * Binds each thread to a processor that this process may use: the first ones to a core of their own each, the rest to
     * the cores' other hardware threads. Number 0 is bound when it first runs.
     */
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

  /** Does all stretches, made for `threads()` spans. */
  void run(Stretches& work);
  /** Does all stretches on the calling thread, for work too short to be shared. */
  void run_alone(Stretches& work);
  /** Calls part(i) for every i below `parts`. */
  void run_parts(uint32_t parts, const std::function<void(uint32_t part)>& part);

 private:
  /**
   * Tasks of a span that nobody has taken: the first, and the end. The tag differs from stretch to stretch, so that a
   * thread which looked at an earlier one takes nothing from a later one.
   */
  struct alignas(64) Span {
    std::atomic<uint64_t> word{0};
  };

  void loop(unsigned thread);
  /** Ends the threads there are. */
  void join();
  void pin_caller();
  /** Binds the calling thread, which is number `thread`, where the system can. */
  void pin(unsigned thread) const;
  /** Does one task that somebody has to do, if there is one. */
  bool do_task(unsigned thread);
  /** Begins the next stretch with more than one task, doing shorter ones on the spot; or ends the run. */
  void advance(unsigned thread);

  const unsigned threads_;
  const unsigned spin_microseconds_;
  /** To bind threads to, in this order; none for threads that run where the system likes. */
  const std::vector<unsigned> processors_;
  bool caller_pinned_ = false;
  std::vector<std::thread> workers_;
  std::unique_ptr<Span[]> spans_;
  Stretches* work_ = nullptr;
  uint64_t tag_ = 0;

  alignas(64) std::atomic<uint32_t> remaining_{0};
  /** A run is under way: idle threads look for tasks and do not sleep. */
  alignas(64) std::atomic<bool> running_{false};
  alignas(64) std::atomic<uint32_t> sleepers_{0};
  std::atomic<bool> stop_{false};
  std::mutex mutex_;
  std::condition_variable wake_;
};

}  // namespace rwkv
