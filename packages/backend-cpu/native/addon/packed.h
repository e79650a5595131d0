/** The functions of the addon for files of packed weights. */
#pragma once

#include <rwkv/addon/node-api.h>

namespace rwkv::addon {

void add_packed_functions(Napi::Env env, Napi::Object exports);

}  // namespace rwkv::addon
