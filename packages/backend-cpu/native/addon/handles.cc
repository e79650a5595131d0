#include "handles.h"

#include <utility>

namespace rwkv::addon {

template <>
const napi_type_tag Tagged<EngineHandle>::tag = {0x7277b76b63707531, 0x1};
template <>
const napi_type_tag Tagged<WeightStore>::tag = {0x7277b76b63707531, 0x2};
template <>
const napi_type_tag Tagged<StateStore>::tag = {0x7277b76b63707531, 0x3};
template <>
const napi_type_tag Tagged<CompiledProgram>::tag = {0x7277b76b63707531, 0x4};

std::shared_ptr<EngineHandle> EngineHandle::create(Napi::Env env, Engine::Options options) {
  std::shared_ptr<EngineHandle> handle(new EngineHandle());
  handle->env_ = env;
  handle->stopped_ = true;
  handle->channel_ = Channel::New(env, "rwkv-cpu", 0, 1);
  if (static_cast<napi_threadsafe_function>(handle->channel_) == nullptr) return nullptr;
  handle->channel_.Unref(env);
  // The channel outlives the engine's thread: `stop` joins it first.
  options.finished = [channel = handle->channel_](std::unique_ptr<Job> job) mutable {
    channel.NonBlockingCall(static_cast<AddonJob*>(job.release()));
  };
  handle->engine_ = Engine::create(options);
  if (!handle->engine_) {
    handle->channel_.Release();
    return nullptr;
  }
  handle->stopped_ = false;
  // Hooks run last in, first out, so this one runs before the channel's own.
  napi_add_env_cleanup_hook(env, on_exit, handle.get());
  return handle;
}

EngineHandle::~EngineHandle() { stop(); }

void EngineHandle::on_exit(void* self) {
  // Jobs still queued may be all that holds the handle; `stop` drops them.
  const auto handle = static_cast<EngineHandle*>(self)->shared_from_this();
  // The environment removes the hook itself.
  if (handle->stopped_) return;
  handle->stopped_ = true;
  handle->engine_->stop();
}

void EngineHandle::stop() {
  if (stopped_) return;
  stopped_ = true;
  napi_remove_env_cleanup_hook(env_, on_exit, this);
  engine_->stop();
  channel_.Release();
}

void EngineHandle::enqueue(Napi::Env env, std::unique_ptr<AddonJob> job) {
  if (stopped_) {
    job->fail("STOPPED", "the engine was stopped");
    return job->settle(env);
  }
  // An environment that is being terminated makes no promises, and nobody waits for the job.
  if (job->promise().IsEmpty()) return;
  // A job that the queue has no memory for is not pending. No other can be settled before this returns.
  engine_->enqueue(std::move(job));
  if (pending_++ == 0) channel_.Ref(env_);
}

void EngineHandle::settle(Napi::Env env, Napi::Function, std::nullptr_t*, AddonJob* raw) {
  std::unique_ptr<AddonJob> job(raw);
  // Null while the environment goes down; what the job holds must not touch it then.
  if (env == nullptr) return;
  EngineHandle& handle = job->engine();
  if (--handle.pending_ == 0) handle.channel_.Unref(env);
  Napi::HandleScope scope(env);
  job->settle(env);
}

AddonJob::AddonJob(Napi::Env env, std::shared_ptr<EngineHandle> engine) : engine_(std::move(engine)) {
  napi_value promise = nullptr;
  if (napi_create_promise(env, &deferred_, &promise) == napi_ok) promise_ = Napi::Value(env, promise);
  else deferred_ = nullptr;
}

void AddonJob::run(Engine& engine) {
  try {
    work(engine);
  } catch (const std::bad_alloc&) {
    fail_for_memory();
  }
}

void AddonJob::settle(Napi::Env env) {
  if (deferred_ == nullptr) return;
  napi_value value = nullptr;
  try {
    if (!code_) value = result(env);
  } catch (const std::bad_alloc&) {
    fail_for_memory();
  }
  // Both fail where the environment goes down, and nobody waits for the promise then.
  if (code_) napi_reject_deferred(env, deferred_, make_error(env, code_, message_));
  else napi_resolve_deferred(env, deferred_, value);
}

}  // namespace rwkv::addon
