#include "engine.h"

#include <chrono>
#include <new>
#include <system_error>
#include <utility>

namespace rwkv {

std::unique_ptr<Engine> Engine::create(const Options& options) {
  try {
    std::unique_ptr<Engine> engine(new Engine(options));
    engine->pool_ = std::make_unique<ThreadPool>(options.pool);
    engine->leader_ = std::thread([raw = engine.get()] { raw->loop(); });
    return engine;
  } catch (const std::system_error&) {
    return nullptr;
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

Engine::~Engine() { stop(); }

void Engine::enqueue(std::unique_ptr<Job> job) {
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

void Engine::stop() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stop_.store(true, std::memory_order_release);
  }
  wake_.notify_one();
  if (leader_.joinable()) leader_.join();
  pool_.reset();
  jobs_.clear();
}

void Engine::loop() {
  using Clock = std::chrono::steady_clock;
  const auto limit = std::chrono::microseconds(options_.pool.spin_microseconds);
  for (;;) {
    const auto idle_since = Clock::now();
    while (queued_.load(std::memory_order_acquire) == 0 && !stop_.load(std::memory_order_acquire) &&
           Clock::now() - idle_since < limit) {
      for (unsigned i = 0; i < 20; i++) pause();
    }
    std::unique_ptr<Job> job;
    {
      std::unique_lock<std::mutex> lock(mutex_);
      sleeping_ = true;
      wake_.wait(lock, [this] { return !jobs_.empty() || stop_.load(std::memory_order_relaxed); });
      sleeping_ = false;
      if (stop_.load(std::memory_order_relaxed)) return;
      job = std::move(jobs_.front());
      jobs_.pop_front();
      queued_.store(jobs_.size(), std::memory_order_release);
    }
    job->run(*this);
    options_.finished(std::move(job));
  }
}

}  // namespace rwkv
