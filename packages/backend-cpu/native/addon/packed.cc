#include "packed.h"

#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "handles.h"

namespace rwkv::addon {

namespace {

class MapJob final : public EngineJob {
 public:
  MapJob(Napi::Env env, std::shared_ptr<EngineHandle> engine, std::string path)
      : EngineJob(env, std::move(engine)), path_(std::move(path)) {}

  void work(Engine&) override {
    switch (mapping_->open(path_.c_str())) {
      case FileMapping::Status::ok: return;
      case FileMapping::Status::not_found: return fail("ENOENT", "there is no such file");
      case FileMapping::Status::denied: return fail("EACCES", "it may not be read");
      case FileMapping::Status::not_a_file: return fail("NOT_A_FILE", "it is not a file");
      case FileMapping::Status::empty: return fail("EMPTY", "it is empty");
      case FileMapping::Status::out_of_memory: return fail("OUT_OF_MEMORY", "the system has no addresses for the file");
      case FileMapping::Status::failed: return fail("FAILED", "the system does not map it");
    }
  }
  /** { mapping, bytes } */
  Napi::Value result(Napi::Env env) override {
    return object_of(env, {{"bytes", Napi::Number::New(env, static_cast<double>(mapping_->bytes()))},
                           {"mapping", wrap(env, mapping_)}});
  }

 private:
  const std::string path_;
  const std::shared_ptr<FileMapping> mapping_ = std::make_shared<FileMapping>();
};

/** mapFile(engine, path): resolves to the mapping. */
Napi::Value map_file(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto engine = unwrap<EngineHandle>(info[0]);
  if (!engine) return env.Undefined();
  auto job = std::make_unique<MapJob>(env, engine, text(info, 1));
  return engine->enqueue(env, std::move(job));
}

/** readMapping(mapping, offset, length): a copy. */
Napi::Value read_mapping(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto mapping = unwrap<FileMapping>(info[0]);
  if (!mapping) return env.Undefined();
  size_t offset, length;
  if (!whole(info[1], offset) || !whole(info[2], length) || length > mapping->bytes() ||
      offset > mapping->bytes() - length) {
    return type_error(env, "outside the file");
  }
  return copy_of(env, mapping->data() + offset, length);
}

Napi::Value unmap_file(const Napi::CallbackInfo& info) {
  if (const auto mapping = unwrap<FileMapping>(info[0])) mapping->close();
  return info.Env().Undefined();
}

/**
 * mapWeights(mapping, table: Float64Array): weights that lie in the file, which they take over. A tensor is six numbers:
 * format, rows, columns, 1 for a vector, layout, offset.
 */
Napi::Value map_weights(const Napi::CallbackInfo& info) {
  constexpr size_t kFields = 6;
  const Napi::Env env = info.Env();
  const auto mapping = unwrap<FileMapping>(info[0]);
  if (!mapping) return env.Undefined();
  if (!is_array<double>(info[1])) return type_error(env, "bad table");
  const auto table = info[1].As<Napi::Float64Array>();
  std::vector<FileTensor> tensors(table.ElementLength() / kFields);
  for (size_t i = 0; i < tensors.size(); i++) {
    const double* fields = table.Data() + i * kFields;
    FileTensor& tensor = tensors[i];
    if (!whole(fields[0], tensor.format) || !whole(fields[1], tensor.rows) || !whole(fields[2], tensor.columns) ||
        !whole(fields[4], tensor.layout) || !whole(fields[5], tensor.offset)) {
      return type_error(env, "bad tensor");
    }
    tensor.is_vector = fields[3] != 0;
  }
  auto store = std::make_shared<WeightStore>();
  if (!store->adopt(*mapping, tensors)) return type_error(env, "a tensor does not lie in the file");
  return wrap(env, std::move(store));
}

class ReadPackedJob final : public EngineJob {
 public:
  ReadPackedJob(Napi::Env env, std::shared_ptr<EngineHandle> engine, std::shared_ptr<WeightStore> store,
                Napi::Uint8Array bytes)
      : EngineJob(env, std::move(engine)), store_(std::move(store)), out_(bytes.Data()), length_(bytes.ByteLength()) {
    reference_ = Napi::Persistent(static_cast<const Napi::Object&>(bytes));
  }

  void work(Engine&) override {
    if (index >= store_->size()) return fail("RELEASED", "the weights were released");
    const Tensor& tensor = store_->tensor(index);
    const PackedMatrix& matrix = tensor.matrix;
    const size_t bytes =
        WeightStore::bytes_for(matrix.format, matrix.rows, matrix.columns, tensor.is_vector, matrix.layout);
    if (length_ > bytes || offset > bytes - length_) return fail("INTERNAL", "outside the weight");
    if (length_ > 0) memcpy(out_, matrix.data + offset, length_);
  }
  Napi::Value result(Napi::Env) override { return reference_.Value(); }

  size_t index = 0, offset = 0;

 private:
  const std::shared_ptr<WeightStore> store_;
  uint8_t* const out_;
  const size_t length_;
  Napi::ObjectReference reference_;
};

/** readPacked(engine, weights, index, offset, bytes): fills `bytes` with what is there of the packed weight. */
Napi::Value read_packed(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto engine = unwrap<EngineHandle>(info[0]);
  const auto store = engine ? unwrap<WeightStore>(info[1]) : nullptr;
  if (!store) return env.Undefined();
  if (!is_array<uint8_t>(info[4])) return type_error(env, "bad bytes");
  auto job = std::make_unique<ReadPackedJob>(env, engine, store, info[4].As<Napi::Uint8Array>());
  if (!whole(info[2], job->index) || !whole(info[3], job->offset)) return type_error(env, "bad weight");
  return engine->enqueue(env, std::move(job));
}

}  // namespace

void add_packed_functions(Napi::Env env, Napi::Object exports) {
  exports.Set("packedVersion", Napi::Number::New(env, kPackedVersion));
  add<map_file>(env, exports, "mapFile");
  add<read_mapping>(env, exports, "readMapping");
  add<unmap_file>(env, exports, "unmapFile");
  add<map_weights>(env, exports, "mapWeights");
  add<read_packed>(env, exports, "readPacked");
}

}  // namespace rwkv::addon
