/** The functions of src/training/native-training.ts. */
#pragma once

#include "handles.h"

namespace rwkv::addon {

void add_training_functions(Napi::Env env, Napi::Object exports);

}  // namespace rwkv::addon
