/** DESCRIBE(Arguments, field, …): the layout of a struct of arguments, told by name. Included by kernels/step.h. */
#pragma once

#include <type_traits>

#include "emulation/machine.h"

namespace rwkv::emulation {

template <class Type>
constexpr const char* kind_of() {
  if constexpr (std::is_same_v<Type, Rows> || std::is_same_v<Type, ConstRows>) return "rows";
  else if constexpr (std::is_pointer_v<Type>) return "pointer";
  else if constexpr (std::is_same_v<Type, uint32_t> || std::is_same_v<Type, int32_t>) return "count";
  else if constexpr (std::is_same_v<Type, float>) return "number";
  else return "bytes";
}

}  // namespace rwkv::emulation

#define RWKV_PARENS ()
#define RWKV_EXPAND(...) RWKV_EXPAND3(RWKV_EXPAND3(RWKV_EXPAND3(RWKV_EXPAND3(__VA_ARGS__))))
#define RWKV_EXPAND3(...) RWKV_EXPAND2(RWKV_EXPAND2(RWKV_EXPAND2(RWKV_EXPAND2(__VA_ARGS__))))
#define RWKV_EXPAND2(...) RWKV_EXPAND1(RWKV_EXPAND1(RWKV_EXPAND1(RWKV_EXPAND1(__VA_ARGS__))))
#define RWKV_EXPAND1(...) __VA_ARGS__
#define RWKV_EACH(Struct, field, ...) \
  RWKV_FIELD(Struct, field) __VA_OPT__(, RWKV_EACH_AGAIN RWKV_PARENS(Struct, __VA_ARGS__))
#define RWKV_EACH_AGAIN() RWKV_EACH
#define RWKV_FIELD(Struct, field)                                                                       \
  ::rwkv::emulation::Field {                                                                            \
    #field, ::rwkv::emulation::kind_of<decltype(Struct::field)>(), offsetof(Struct, field), sizeof(Struct::field) \
  }
#define DESCRIBE(Struct, ...)                                            \
  static const ::rwkv::emulation::Described rwkv_described_##Struct {    \
    #Struct, sizeof(Struct), { RWKV_EXPAND(RWKV_EACH(Struct, __VA_ARGS__)) } \
  }
