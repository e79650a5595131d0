/** What JavaScript holds: externals around the engine and what it keeps. */
#pragma once

#include <napi.h>

#include <memory>
#include <string>
#include <vector>

#include "../engine/engine.h"
#include "../engine/program.h"
#include "../engine/stores.h"

namespace rwkv::addon {

/** An engine, and the way back from its thread to JavaScript's. */
class EngineHandle : public std::enable_shared_from_this<EngineHandle> {
 public:
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
  AddonJob(Napi::Env env, std::shared_ptr<EngineHandle> engine)
      : deferred_(Napi::Promise::Deferred::New(env)), engine_(std::move(engine)) {}

  Napi::Promise promise() const { return deferred_.Promise(); }
  EngineHandle& engine() { return *engine_; }
  /** What the promise resolves to. */
  virtual Napi::Value result(Napi::Env env) { return env.Undefined(); }
  void settle(Napi::Env env);
  /** The promise will reject with an error of this code. Called on the engine's thread, or before the job is queued. */
  void fail(const char* code, const char* message) {
    code_ = code;
    message_ = message;
  }

 private:
  Napi::Promise::Deferred deferred_;
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
  auto* holder = new Tagged<T>{std::move(object)};
  auto external = Napi::External<Tagged<T>>::New(env, holder, [](Napi::Env, Tagged<T>* gone) { delete gone; });
  external.TypeTag(&Tagged<T>::tag);
  return external;
}

/** Null, with a pending TypeError, when the value is something else. */
template <class T>
std::shared_ptr<T> unwrap(const Napi::Value& value) {
  if (value.IsExternal()) {
    auto external = value.As<Napi::External<Tagged<T>>>();
    if (external.CheckTypeTag(&Tagged<T>::tag)) return external.Data()->object;
  }
  Napi::TypeError::New(value.Env(), "expected a handle of this addon").ThrowAsJavaScriptException();
  return nullptr;
}

}  // namespace rwkv::addon
