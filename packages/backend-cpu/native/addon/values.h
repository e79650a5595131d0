/**
 * Values of JavaScript, read and made.
 *
 * A worker may be terminated at any moment, and from then on most of Node-API fails, also in the middle of a call of ours.
 * What was to be made is null then, and node-addon-api ends the process when it is asked about such a value. So whatever
 * may fail that way goes through here, where a failure gives undefined: nobody is left to see it.
 */
#pragma once

#include <napi.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <new>
#include <string>
#include <utility>

namespace rwkv::addon {

/** Throws it, and returns undefined for the caller to return. */
Napi::Value type_error(Napi::Env env, const char* message);
Napi::Value out_of_memory(Napi::Env env, const char* message);
/** Null where the environment goes down. */
napi_value make_error(napi_env env, const char* code, const char* message);

/** 0 for what is no number. */
double number(const Napi::CallbackInfo& info, size_t index);
/** A whole number from 0; anything else is 0. */
size_t size(const Napi::CallbackInfo& info, size_t index);
/** The same; what 32 bits do not hold is the largest number that they do. */
uint32_t small(const Napi::CallbackInfo& info, size_t index);
/** False for what is no boolean. */
bool flag(const Napi::CallbackInfo& info, size_t index);
/** UTF-8; empty for what is no string. */
std::string text(const Napi::CallbackInfo& info, size_t index);
/** False for what is no whole number from 0 that a double holds exactly. */
bool whole(double value, size_t& out);
bool whole(const Napi::Value& value, size_t& out);

template <class Number>
constexpr napi_typedarray_type kArrayType = napi_uint8_array;
template <>
constexpr napi_typedarray_type kArrayType<uint32_t> = napi_uint32_array;
template <>
constexpr napi_typedarray_type kArrayType<float> = napi_float32_array;
template <>
constexpr napi_typedarray_type kArrayType<double> = napi_float64_array;

/** The elements of a typed array, for as long as JavaScript does not run. */
template <class Number>
struct Numbers {
  const Number* data = nullptr;
  size_t count = 0;
};

/** False for what is no typed array of such elements. One call, since every step reads several arrays. */
template <class Number>
bool read_array(const Napi::Value& value, Numbers<Number>& out) {
  napi_typedarray_type type;
  void* data = nullptr;
  if (napi_get_typedarray_info(value.Env(), value, &type, &out.count, &data, nullptr, nullptr) != napi_ok ||
      type != kArrayType<Number>) {
    return false;
  }
  out.data = static_cast<const Number*>(data);
  return true;
}

/** Whether the elements are such numbers: what class an array is of, any program can change. */
template <class Number>
bool is_array(const Napi::Value& value) {
  return value.IsTypedArray() && value.As<Napi::TypedArray>().TypedArrayType() == kArrayType<Number>;
}

/** A new typed array. */
template <class Number>
Napi::Value copy_of(Napi::Env env, const Number* numbers, size_t count) {
  void* data = nullptr;
  napi_value buffer = nullptr, array = nullptr;
  if (napi_create_arraybuffer(env, count * sizeof(Number), &data, &buffer) != napi_ok ||
      napi_create_typedarray(env, kArrayType<Number>, count, buffer, 0, &array) != napi_ok) {
    return env.Undefined();
  }
  if (count > 0) memcpy(data, numbers, count * sizeof(Number));
  return {env, array};
}

Napi::Value object_of(Napi::Env env, std::initializer_list<std::pair<const char*, Napi::Value>> properties);

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

}  // namespace rwkv::addon
