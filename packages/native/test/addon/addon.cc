/** An addon without a backend: an engine that counts, and jobs that end in every way they can. */
#include <rwkv/addon/queue-handle.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <new>
#include <string>
#include <thread>
#include <utility>

namespace rwkv::addon {
namespace {

/** Of all environments of the process. */
std::atomic<int> stopped_engines{0};

struct Counter {
  double value = 0;
  void stop() { stopped_engines++; }
};

/** Something that jobs use and JavaScript holds. */
struct Box {
  bool released = false;
  void release() { released = true; }
};

using Handle = QueueHandle<Counter>;

}  // namespace

template <>
struct TypeTag<Handle> {
  static constexpr napi_type_tag value = {0x61d1c06f9a1b4a5e, 0x1};
};
template <>
struct TypeTag<Box> {
  static constexpr napi_type_tag value = {0x61d1c06f9a1b4a5e, 0x2};
};

namespace {

Napi::Value create_engine(const Napi::CallbackInfo& info) {
  auto handle = Handle::create(info.Env(), std::make_shared<Counter>(), {"rwkv-test", small(info, 0)});
  if (!handle) return out_of_memory(info.Env(), "no threads");
  return wrap(info.Env(), std::move(handle));
}

class AddJob final : public AddonJob<Counter> {
 public:
  AddJob(Napi::Env env, std::shared_ptr<Handle> queue, Napi::Float64Array numbers)
      : AddonJob(env, std::move(queue)), numbers_(numbers) {}
  void work(Counter& counter) override {
    for (size_t i = 0; i < numbers_.length(); i++) counter.value += numbers_.data()[i];
    numbers_.data()[0] = counter.value;
  }
  Napi::Value result(Napi::Env) override { return numbers_.value(); }

 private:
  Pinned<Napi::Float64Array> numbers_;
};

/** add(engine, numbers): resolves to the array, its first element the sum of all numbers so far. */
Napi::Value add_numbers(const Napi::CallbackInfo& info) {
  const auto queue = unwrap<Handle>(info[0]);
  if (!queue) return info.Env().Undefined();
  if (!is_array<double>(info[1])) return type_error(info.Env(), "bad numbers");
  return queue->enqueue(info.Env(),
                        std::make_unique<AddJob>(info.Env(), queue, info[1].As<Napi::Float64Array>()));
}

class FailJob final : public AddonJob<Counter> {
 public:
  FailJob(Napi::Env env, std::shared_ptr<Handle> queue, std::string code)
      : AddonJob(env, std::move(queue)), wanted_(std::move(code)) {}
  void work(Counter& counter) override {
    if (wanted_ == "bad_alloc") throw std::bad_alloc();
    if (wanted_ != "in result") fail(wanted_, "the count is " + std::to_string(counter.value));
  }
  Napi::Value result(Napi::Env) override { throw std::bad_alloc(); }

 private:
  const std::string wanted_;
};

/** fail(engine, code) */
Napi::Value fail_with(const Napi::CallbackInfo& info) {
  const auto queue = unwrap<Handle>(info[0]);
  if (!queue) return info.Env().Undefined();
  return queue->enqueue(info.Env(), std::make_unique<FailJob>(info.Env(), queue, text(info, 1)));
}

class WaitJob final : public AddonJob<Counter> {
 public:
  WaitJob(Napi::Env env, std::shared_ptr<Handle> queue, uint32_t milliseconds)
      : AddonJob(env, std::move(queue)), milliseconds_(milliseconds) {}
  void work(Counter&) override {
    using std::chrono::milliseconds;
    for (uint32_t i = 0; i < milliseconds_ && !stopping(); i++) std::this_thread::sleep_for(milliseconds(1));
  }

 private:
  const uint32_t milliseconds_;
};

/** wait(engine, milliseconds): less where the engine is stopped. */
Napi::Value wait(const Napi::CallbackInfo& info) {
  const auto queue = unwrap<Handle>(info[0]);
  if (!queue) return info.Env().Undefined();
  return queue->enqueue(info.Env(), std::make_unique<WaitJob>(info.Env(), queue, small(info, 1)));
}

Napi::Value create_box(const Napi::CallbackInfo& info) { return wrap(info.Env(), std::make_shared<Box>()); }

Napi::Value is_released(const Napi::CallbackInfo& info) {
  const auto box = unwrap<Box>(info[0]);
  if (!box) return info.Env().Undefined();
  return Napi::Boolean::New(info.Env(), box->released);
}

Napi::Value exhaust(const Napi::CallbackInfo&) { throw std::bad_alloc(); }

Napi::Value count_stopped(const Napi::CallbackInfo& info) { return Napi::Number::New(info.Env(), stopped_engines); }

/** arguments(number, size, small, flag, text, whole): as the functions of values.h read them. */
Napi::Value read_arguments(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  size_t exact = 0;
  const bool is_whole = whole(info[5], exact);
  const double numbers[] = {number(info, 0), static_cast<double>(size(info, 1)), static_cast<double>(small(info, 2))};
  return object_of(env, {{"numbers", copy_of(env, numbers, 3)},
                         {"flag", Napi::Boolean::New(env, flag(info, 3))},
                         {"text", Napi::String::New(env, text(info, 4))},
                         {"whole", is_whole ? Napi::Number::New(env, static_cast<double>(exact)) : env.Undefined()}});
}

Napi::Object initialise(Napi::Env env, Napi::Object exports) {
  add_common_functions(env, exports, VERSION);
  add<create_engine>(env, exports, "createEngine");
  add<drain_engine<Counter>>(env, exports, "drainEngine");
  add<stop_engine<Counter>>(env, exports, "stopEngine");
  add<add_numbers>(env, exports, "add");
  add<fail_with>(env, exports, "fail");
  add<wait>(env, exports, "wait");
  add<create_box>(env, exports, "createBox");
  add<is_released>(env, exports, "isReleased");
  add<release<Counter, Box>>(env, exports, "releaseBox");
  add<exhaust>(env, exports, "exhaust");
  add<count_stopped>(env, exports, "stoppedEngines");
  add<read_arguments>(env, exports, "arguments");
  return exports;
}

}  // namespace

NODE_API_MODULE(rwkv_test, initialise)

}  // namespace rwkv::addon
