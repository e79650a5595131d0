/**
 * A job queue as JavaScript sees it: jobs have promises, and the process lives while jobs are pending.
 *
 * An Engine is what the jobs of one backend work on: a thread pool, a device. Jobs alone touch it, on the queue's thread,
 * but for what it says itself is safe elsewhere. It has `void stop()`, which is called once on JavaScript's thread, when the
 * queue's thread has ended and no job is left; objects that JavaScript holds may outlive that.
 */
#pragma once

#include <cstddef>
#include <memory>
#include <new>
#include <string>
#include <utility>

#include "functions.h"
#include "job-queue.h"
#include "tagged.h"

namespace rwkv::addon {

template <class Engine>
class AddonJob;

/** An engine with its queue, and the way back from the queue's thread to JavaScript's. Only that one calls it. */
template <class Engine>
class QueueHandle : public std::enable_shared_from_this<QueueHandle<Engine>> {
 public:
  struct Options {
    /** For debuggers. */
    const char* name;
    unsigned spin_microseconds = 0;
  };

  /** Null when the system gives no thread, or the environment goes down. */
  static std::shared_ptr<QueueHandle> create(Napi::Env env, std::shared_ptr<Engine> engine, const Options& options);
  ~QueueHandle() { stop(); }

  /** Queues a job; the process stays alive until it has been settled. Returns its promise. */
  Napi::Value enqueue(Napi::Env env, std::unique_ptr<AddonJob<Engine>> job);
  /** Waits for the job under way and drops the others, whose promises stay as they are. */
  void stop();
  Engine& engine() { return *engine_; }
  /** True from the beginning of `stop`: a long job then ends early, whatever its result. */
  const std::atomic<bool>& stopping() const { return queue_->stopping(); }

 private:
  QueueHandle() = default;
  static void on_exit(void* self);
  static void settle(Napi::Env env, Napi::Function, std::nullptr_t*, AddonJob<Engine>* raw);
  void end_thread();
  using Channel = Napi::TypedThreadSafeFunction<std::nullptr_t, AddonJob<Engine>, settle>;

  napi_env env_ = nullptr;
  std::shared_ptr<Engine> engine_;
  std::unique_ptr<JobQueue> queue_;
  Channel channel_;
  /** Jobs under way. */
  size_t pending_ = 0;
  bool stopped_ = true;
};

/** A job with a promise. Constructed, settled and destroyed on JavaScript's thread. */
template <class Engine>
class AddonJob : public Job {
 public:
  AddonJob(Napi::Env env, std::shared_ptr<QueueHandle<Engine>> queue);

  /** On the queue's thread. May throw std::bad_alloc, and nothing else. */
  virtual void work(Engine& engine) = 0;
  /** What the promise resolves to. */
  virtual Napi::Value result(Napi::Env env) { return env.Undefined(); }

  /** The promise will reject with an error of this code. Called on the queue's thread, or before the job is queued. */
  void fail(std::string code, std::string message) {
    code_ = std::move(code);
    message_ = std::move(message);
    outcome_ = Outcome::failed;
  }
  /** Whether `work` should end early, because nobody waits for it any more. */
  const std::atomic<bool>& stopping() const { return queue_->stopping(); }

  void run() final;

 private:
  friend class QueueHandle<Engine>;
  enum class Outcome { done, failed, out_of_memory };

  void settle(Napi::Env env);

  napi_deferred deferred_ = nullptr;
  /** For the call that made the job; empty where the environment goes down. */
  Napi::Value promise_;
  const std::shared_ptr<QueueHandle<Engine>> queue_;
  Outcome outcome_ = Outcome::done;
  std::string code_, message_;
};

template <class Engine>
std::shared_ptr<QueueHandle<Engine>> QueueHandle<Engine>::create(Napi::Env env, std::shared_ptr<Engine> engine,
                                                                 const Options& options) {
  std::shared_ptr<QueueHandle> handle(new QueueHandle());
  handle->env_ = env;
  handle->engine_ = std::move(engine);
  handle->channel_ = Channel::New(env, options.name, 0, 1);
  if (static_cast<napi_threadsafe_function>(handle->channel_) == nullptr) return nullptr;
  handle->channel_.Unref(env);
  // The channel outlives the queue's thread: `stop` joins it first.
  const auto finished = [channel = handle->channel_](std::unique_ptr<Job> job) mutable {
    channel.NonBlockingCall(static_cast<AddonJob<Engine>*>(job.release()));
  };
  handle->queue_ = JobQueue::create({options.spin_microseconds, finished});
  if (!handle->queue_) {
    handle->channel_.Release();
    return nullptr;
  }
  handle->stopped_ = false;
  // Hooks run last in, first out, so this one runs before the channel's own.
  napi_add_env_cleanup_hook(env, on_exit, handle.get());
  return handle;
}

template <class Engine>
void QueueHandle<Engine>::on_exit(void* self) {
  // Jobs still queued may be all that holds the handle; `end_thread` drops them.
  const auto handle = static_cast<QueueHandle*>(self)->shared_from_this();
  // The environment removes the hook itself.
  if (handle->stopped_) return;
  handle->stopped_ = true;
  handle->end_thread();
}

template <class Engine>
void QueueHandle<Engine>::stop() {
  if (stopped_) return;
  stopped_ = true;
  napi_remove_env_cleanup_hook(env_, on_exit, this);
  end_thread();
  channel_.Release();
}

template <class Engine>
void QueueHandle<Engine>::end_thread() {
  queue_->stop();
  engine_->stop();
}

template <class Engine>
Napi::Value QueueHandle<Engine>::enqueue(Napi::Env env, std::unique_ptr<AddonJob<Engine>> job) {
  const Napi::Value promise = job->promise_;
  if (stopped_) {
    job->fail("STOPPED", "the engine was stopped");
    job->settle(env);
    return promise;
  }
  // An environment that is being terminated makes no promises, and nobody waits for the job.
  if (promise.IsEmpty()) return env.Undefined();
  // A job that the queue has no memory for is not pending. No other can be settled before this returns.
  queue_->enqueue(std::move(job));
  if (pending_++ == 0) channel_.Ref(env_);
  return promise;
}

template <class Engine>
void QueueHandle<Engine>::settle(Napi::Env env, Napi::Function, std::nullptr_t*, AddonJob<Engine>* raw) {
  std::unique_ptr<AddonJob<Engine>> job(raw);
  // Null while the environment goes down; what the job holds must not touch it then.
  if (env == nullptr) return;
  QueueHandle& handle = *job->queue_;
  if (--handle.pending_ == 0) handle.channel_.Unref(env);
  Napi::HandleScope scope(env);
  job->settle(env);
}

template <class Engine>
AddonJob<Engine>::AddonJob(Napi::Env env, std::shared_ptr<QueueHandle<Engine>> queue) : queue_(std::move(queue)) {
  napi_value promise = nullptr;
  if (napi_create_promise(env, &deferred_, &promise) == napi_ok) promise_ = Napi::Value(env, promise);
  else deferred_ = nullptr;
}

template <class Engine>
void AddonJob<Engine>::run() {
  try {
    work(queue_->engine());
  } catch (const std::bad_alloc&) {
    outcome_ = Outcome::out_of_memory;
  }
}

template <class Engine>
void AddonJob<Engine>::settle(Napi::Env env) {
  if (deferred_ == nullptr) return;
  napi_value value = nullptr;
  try {
    if (outcome_ == Outcome::done) value = result(env);
  } catch (const std::bad_alloc&) {
    outcome_ = Outcome::out_of_memory;
  }
  // Both fail where the environment goes down, and nobody waits for the promise then.
  switch (outcome_) {
    case Outcome::done: napi_resolve_deferred(env, deferred_, value); break;
    case Outcome::failed:
      napi_reject_deferred(env, deferred_, make_error(env, code_.c_str(), message_.c_str()));
      break;
    case Outcome::out_of_memory:
      napi_reject_deferred(env, deferred_,
                           make_error(env, "OUT_OF_MEMORY", "the system has no memory for the work"));
      break;
  }
}

/** Does nothing: its promise resolves when everything queued before has been done. */
template <class Engine>
class BarrierJob final : public AddonJob<Engine> {
 public:
  using AddonJob<Engine>::AddonJob;
  void work(Engine&) override {}
};

/** Calls `release` of an object that jobs use, after everything queued before. */
template <class Engine, class Object>
class ReleaseJob final : public AddonJob<Engine> {
 public:
  ReleaseJob(Napi::Env env, std::shared_ptr<QueueHandle<Engine>> queue, std::shared_ptr<Object> object)
      : AddonJob<Engine>(env, std::move(queue)), object_(std::move(object)) {}
  void work(Engine&) override { object_->release(); }

 private:
  std::shared_ptr<Object> object_;
};

/** drainEngine(engine) */
template <class Engine>
Napi::Value drain_engine(const Napi::CallbackInfo& info) {
  const auto queue = unwrap<QueueHandle<Engine>>(info[0]);
  if (!queue) return info.Env().Undefined();
  return queue->enqueue(info.Env(), std::make_unique<BarrierJob<Engine>>(info.Env(), queue));
}

/** stopEngine(engine) */
template <class Engine>
Napi::Value stop_engine(const Napi::CallbackInfo& info) {
  if (const auto queue = unwrap<QueueHandle<Engine>>(info[0])) queue->stop();
  return info.Env().Undefined();
}

/** releaseWeights(engine, weights), releaseStates(engine, states), … */
template <class Engine, class Object>
Napi::Value release(const Napi::CallbackInfo& info) {
  const auto queue = unwrap<QueueHandle<Engine>>(info[0]);
  const auto object = queue ? unwrap<Object>(info[1]) : nullptr;
  if (!object) return info.Env().Undefined();
  return queue->enqueue(info.Env(), std::make_unique<ReleaseJob<Engine, Object>>(info.Env(), queue, object));
}

}  // namespace rwkv::addon
