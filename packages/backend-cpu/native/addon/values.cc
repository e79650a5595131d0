#include "values.h"

#include <algorithm>
#include <cmath>

namespace rwkv::addon {

Napi::Value type_error(Napi::Env env, const char* message) {
  napi_throw_type_error(env, nullptr, message);
  return env.Undefined();
}

Napi::Value out_of_memory(Napi::Env env, const char* message) {
  napi_throw_error(env, "OUT_OF_MEMORY", message);
  return env.Undefined();
}

napi_value make_error(napi_env env, const char* code, const char* message) {
  napi_value code_string = nullptr, message_string = nullptr, error = nullptr;
  napi_create_string_utf8(env, code, NAPI_AUTO_LENGTH, &code_string);
  napi_create_string_utf8(env, message, NAPI_AUTO_LENGTH, &message_string);
  return napi_create_error(env, code_string, message_string, &error) == napi_ok ? error : nullptr;
}

double number(const Napi::CallbackInfo& info, size_t index) {
  return info[index].IsNumber() ? info[index].As<Napi::Number>().DoubleValue() : 0;
}

size_t size(const Napi::CallbackInfo& info, size_t index) {
  const double value = number(info, index);
  return value >= 1 && value <= 9007199254740991.0 ? static_cast<size_t>(value) : 0;
}

uint32_t small(const Napi::CallbackInfo& info, size_t index) {
  return static_cast<uint32_t>(std::min<size_t>(size(info, index), UINT32_MAX));
}

bool flag(const Napi::CallbackInfo& info, size_t index) {
  bool value = false;
  return napi_get_value_bool(info.Env(), info[index], &value) == napi_ok && value;
}

std::string text(const Napi::CallbackInfo& info, size_t index) {
  return info[index].IsString() ? info[index].As<Napi::String>().Utf8Value() : std::string();
}

bool whole(double value, size_t& out) {
  if (!(value >= 0 && value <= 9007199254740991.0) || std::floor(value) != value) return false;
  out = static_cast<size_t>(value);
  return true;
}

bool whole(const Napi::Value& value, size_t& out) {
  return value.IsNumber() && whole(value.As<Napi::Number>().DoubleValue(), out);
}

Napi::Value object_of(Napi::Env env, std::initializer_list<std::pair<const char*, Napi::Value>> properties) {
  napi_value object = nullptr;
  if (napi_create_object(env, &object) != napi_ok) return env.Undefined();
  for (const auto& [name, value] : properties) {
    if (napi_set_named_property(env, object, name, value) != napi_ok) return env.Undefined();
  }
  return {env, object};
}

}  // namespace rwkv::addon
