/** What JavaScript holds: externals around the engine and what it keeps. */
#pragma once

#include <napi.h>

#include <memory>
#include <string>
#include <vector>

#include "../engine/engine.h"
#include "../engine/program.h"
#include "../engine/stores.h"
#include "values.h"

namespace rwkv::addon {

/** An engine, and the way back from its thread to JavaScript's. */
class EngineHandle : public std::enable_shared_from_this<EngineHandle> {
 public:
  /** Null when the system gives no threads. */
  static std::shared_ptr<EngineHandle> create(Napi::Env env, Engine::Options options);
  ~EngineHandle();

  /** Queues a job; the process stays alive until it has been settled. Called on JavaScript's thread. */
  void enqueue(Napi::Env env, std::unique_ptr<class AddonJob> job);
  void stop();
  Engine& engine() { return *engine_; }

 private:
  EngineHandle() = default;
  static void on_exit(void* self);
  static void settle(Napi::Env env, Napi::Function, std::nullptr_t*, class AddonJob* job);
  using Channel = Napi::TypedThreadSafeFunction<std::nullptr_t, class AddonJob, settle>;

  napi_env env_ = nullptr;
  std::unique_ptr<Engine> engine_;
  Channel channel_;
  /** Jobs under way; only JavaScript's thread looks at it. */
  size_t pending_ = 0;
  bool stopped_ = false;
};

/** A job with a promise. Constructed, settled and destroyed on JavaScript's thread. */
class AddonJob : public Job {
 public:
  AddonJob(Napi::Env env, std::shared_ptr<EngineHandle> engine);

  /** For the call that made the job; empty where the environment goes down. */
  Napi::Value promise() const { return promise_; }
  EngineHandle& engine() { return *engine_; }
  void run(Engine& engine) final;
  /** On the engine's thread. */
  virtual void work(Engine& engine) = 0;
  /** What the promise resolves to. */
  virtual Napi::Value result(Napi::Env env) { return env.Undefined(); }
  void settle(Napi::Env env);
  /** The promise will reject with an error of this code. Called on the engine's thread, or before the job is queued. */
  void fail(const char* code, const char* message) {
    code_ = code;
    message_ = message;
  }
  void fail_for_memory() { fail("OUT_OF_MEMORY", "the system has no memory for the work"); }

 private:
  napi_deferred deferred_ = nullptr;
  Napi::Value promise_;
  std::shared_ptr<EngineHandle> engine_;
  const char* code_ = nullptr;
  const char* message_ = nullptr;
};

/** A shared pointer as a JavaScript external, told apart from other externals by its tag. */
template <class T>
struct Tagged {
  static const napi_type_tag tag;
  std::shared_ptr<T> object;
};

template <class T>
Napi::Value wrap(Napi::Env env, std::shared_ptr<T> object) {
  auto holder = std::unique_ptr<Tagged<T>>(new Tagged<T>{std::move(object)});
  const auto finalize = [](napi_env, void* gone, void*) { delete static_cast<Tagged<T>*>(gone); };
  napi_value external = nullptr;
  if (napi_create_external(env, holder.get(), finalize, nullptr, &external) != napi_ok) return env.Undefined();
  holder.release();
  // Without its tag it is of no use, but nobody is left to use it.
  napi_type_tag_object(env, external, &Tagged<T>::tag);
  return {env, external};
}

/** Null, with a pending TypeError, when the value is something else. */
template <class T>
std::shared_ptr<T> unwrap(const Napi::Value& value) {
  bool is_ours = false;
  if (value.IsExternal() && napi_check_object_type_tag(value.Env(), value, &Tagged<T>::tag, &is_ours) == napi_ok &&
      is_ours) {
    return value.As<Napi::External<Tagged<T>>>().Data()->object;
  }
  type_error(value.Env(), "expected a handle of this addon");
  return nullptr;
}

}  // namespace rwkv::addon
