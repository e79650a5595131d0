/** What JavaScript holds: externals around the engine and what it keeps. */
#pragma once

#include <rwkv/addon/queue-handle.h>

#include "../engine/engine.h"
#include "../engine/file-mapping.h"
#include "../engine/program.h"
#include "../engine/stores.h"

namespace rwkv::addon {

using EngineHandle = QueueHandle<Engine>;
using EngineJob = AddonJob<Engine>;

template <>
struct TypeTag<EngineHandle> {
  static constexpr napi_type_tag value = {0x7277b76b63707531, 0x1};
};
template <>
struct TypeTag<WeightStore> {
  static constexpr napi_type_tag value = {0x7277b76b63707531, 0x2};
};
template <>
struct TypeTag<StateStore> {
  static constexpr napi_type_tag value = {0x7277b76b63707531, 0x3};
};
template <>
struct TypeTag<CompiledProgram> {
  static constexpr napi_type_tag value = {0x7277b76b63707531, 0x4};
};
template <>
struct TypeTag<FileMapping> {
  static constexpr napi_type_tag value = {0x7277b76b63707531, 0x5};
};

}  // namespace rwkv::addon
