/**
 * Values of JavaScript, read and made.
 *
 * A worker may be terminated at any moment, and from then on most of Node-API fails, also in the middle of a call of ours.
 * What was to be made is null then, and node-addon-api ends the process when it is asked about such a value. So whatever
 * may fail that way goes through here, where a failure gives undefined: nobody is left to see it.
 */
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <string>
#include <utility>

#include "node-api.h"

namespace rwkv::addon {

/** Throws it, and returns undefined for the caller to return. */
inline Napi::Value type_error(Napi::Env env, const char* message) {
  napi_throw_type_error(env, nullptr, message);
  return env.Undefined();
}

inline Napi::Value out_of_memory(Napi::Env env, const char* message) {
  napi_throw_error(env, "OUT_OF_MEMORY", message);
  return env.Undefined();
}

/** Null where the environment goes down. */
inline napi_value make_error(napi_env env, const char* code, const char* message) {
  napi_value code_string = nullptr, message_string = nullptr, error = nullptr;
  napi_create_string_utf8(env, code, NAPI_AUTO_LENGTH, &code_string);
  napi_create_string_utf8(env, message, NAPI_AUTO_LENGTH, &message_string);
  return napi_create_error(env, code_string, message_string, &error) == napi_ok ? error : nullptr;
}

/** 0 for what is no number. */
inline double number(const Napi::CallbackInfo& info, size_t index) {
  return info[index].IsNumber() ? info[index].As<Napi::Number>().DoubleValue() : 0;
}

/** A whole number from 0; anything else is 0. */
inline size_t size(const Napi::CallbackInfo& info, size_t index) {
  const double value = number(info, index);
  return value >= 1 && value <= 9007199254740991.0 ? static_cast<size_t>(value) : 0;
}

/** The same; what 32 bits do not hold is the largest number that they do. */
inline uint32_t small(const Napi::CallbackInfo& info, size_t index) {
  return static_cast<uint32_t>(std::min<size_t>(size(info, index), UINT32_MAX));
}

/** False for what is no boolean. */
inline bool flag(const Napi::CallbackInfo& info, size_t index) {
  bool value = false;
  return napi_get_value_bool(info.Env(), info[index], &value) == napi_ok && value;
}

/** UTF-8; empty for what is no string. */
inline std::string text(const Napi::CallbackInfo& info, size_t index) {
  return info[index].IsString() ? info[index].As<Napi::String>().Utf8Value() : std::string();
}

/** False for what is no whole number from 0 that a double holds exactly. */
inline bool whole(double value, size_t& out) {
  if (!(value >= 0 && value <= 9007199254740991.0) || std::floor(value) != value) return false;
  out = static_cast<size_t>(value);
  return true;
}

inline bool whole(const Napi::Value& value, size_t& out) {
  return value.IsNumber() && whole(value.As<Napi::Number>().DoubleValue(), out);
}

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

inline Napi::Value object_of(Napi::Env env, std::initializer_list<std::pair<const char*, Napi::Value>> properties) {
  napi_value object = nullptr;
  if (napi_create_object(env, &object) != napi_ok) return env.Undefined();
  for (const auto& [name, value] : properties) {
    if (napi_set_named_property(env, object, name, value) != napi_ok) return env.Undefined();
  }
  return {env, object};
}

/**
 * A typed array that lives as long as this does, which a job that reads or fills it has as a member. That keeps its memory
 * only as long as nobody transfers or resizes its buffer. Made and destroyed on JavaScript's thread.
 */
template <class Array>
class Pinned {
 public:
  explicit Pinned(Array array) : data_(array.Data()), length_(array.ElementLength()) {
    reference_ = Napi::Persistent(static_cast<const Napi::Object&>(array));
  }
  auto data() const { return data_; }
  size_t length() const { return length_; }
  Napi::Value value() const { return reference_.Value(); }

 private:
  decltype(std::declval<Array>().Data()) data_;
  size_t length_;
  Napi::ObjectReference reference_;
};

}  // namespace rwkv::addon
