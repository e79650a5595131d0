/** Functions of an addon: how they are added, and those that every backend's has. */
#pragma once

#include <new>

#include "values.h"

namespace rwkv::addon {

using Function = Napi::Value (*)(const Napi::CallbackInfo&);

/** C++ says by an exception that the system has no memory; one that nobody catches ends the process. */
template <Function function>
Napi::Value guarded(const Napi::CallbackInfo& info) {
  try {
    return function(info);
  } catch (const std::bad_alloc&) {
    return out_of_memory(info.Env(), "the system has no memory for the call");
  }
}

template <Function function>
void add(Napi::Env env, Napi::Object exports, const char* name) {
  exports.Set(name, Napi::Function::New<guarded<function>>(env, name));
}

/** adjustMemory(change): tells V8 of bytes outside its heap; returns all that it was told of. */
inline Napi::Value adjust_memory(const Napi::CallbackInfo& info) {
  // V8 aborts when told of more than any machine has.
  constexpr double kMost = 1e15;
  const double change = number(info, 0);
  const int64_t bytes = change >= -kMost && change <= kMost ? static_cast<int64_t>(change) : 0;
  const int64_t told = Napi::MemoryManagement::AdjustExternalMemory(info.Env(), bytes);
  return Napi::Number::New(info.Env(), static_cast<double>(told));
}

/** `version`, by which the loader knows the addon as its package's own, and `adjustMemory`. */
inline void add_common_functions(Napi::Env env, Napi::Object exports, const char* version) {
  exports.Set("version", Napi::String::New(env, version));
  add<adjust_memory>(env, exports, "adjustMemory");
}

}  // namespace rwkv::addon
