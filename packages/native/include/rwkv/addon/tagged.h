/** What JavaScript holds of an addon's objects: externals around shared pointers. */
#pragma once

#include <memory>
#include <utility>

#include "values.h"

namespace rwkv::addon {

/**
 * What tells externals of a T apart from all others. An addon specialises it for each of its types, with numbers that no
 * other addon has: a process may load several.
 *
 *   template <>
 *   struct TypeTag<WeightStore> {
 *     static constexpr napi_type_tag value = {0x…, 0x2};
 *   };
 */
template <class T>
struct TypeTag;

template <class T>
struct Tagged {
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
  napi_type_tag_object(env, external, &TypeTag<T>::value);
  return {env, external};
}

/** Null, with a pending TypeError, when the value is something else. */
template <class T>
std::shared_ptr<T> unwrap(const Napi::Value& value) {
  bool is_ours = false;
  if (value.IsExternal() &&
      napi_check_object_type_tag(value.Env(), value, &TypeTag<T>::value, &is_ours) == napi_ok && is_ours) {
    return value.As<Napi::External<Tagged<T>>>().Data()->object;
  }
  type_error(value.Env(), "expected a handle of this addon");
  return nullptr;
}

}  // namespace rwkv::addon
