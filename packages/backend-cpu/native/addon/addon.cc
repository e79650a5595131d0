/**
 * Over 400 lines because it is the whole surface of the addon, in the order of src/native.ts.
 *
 * The functions that src/native.ts declares. Arguments were checked there; here only what memory safety needs is.
 */
#include <cmath>
#include <cstring>
#include <utility>

#include "handles.h"
#include "packed.h"

#ifndef RWKV_CPU_VERSION
#define RWKV_CPU_VERSION "0.0.0"
#endif

namespace rwkv::addon {
namespace {

Napi::Value type_error(Napi::Env env, const char* message) {
  Napi::TypeError::New(env, message).ThrowAsJavaScriptException();
  return env.Undefined();
}

Napi::Value out_of_memory(Napi::Env env, const char* message) {
  Napi::Error error = Napi::Error::New(env, message);
  error.Set("code", Napi::String::New(env, "OUT_OF_MEMORY"));
  error.ThrowAsJavaScriptException();
  return env.Undefined();
}

double number(const Napi::CallbackInfo& info, size_t index) {
  return info[index].IsNumber() ? info[index].As<Napi::Number>().DoubleValue() : 0;
}

/** A whole number from 0; anything else is 0. */
size_t size(const Napi::CallbackInfo& info, size_t index) {
  const double value = number(info, index);
  return value >= 1 && value <= 9007199254740991.0 ? static_cast<size_t>(value) : 0;
}

bool valid_format(size_t format) { return format < static_cast<size_t>(kFormats); }
bool valid_layout(size_t layout) { return layout < static_cast<size_t>(kLayouts); }

/** A typed array that stays where it is until the job has been settled. */
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

// ---- The machine ------------------------------------------------------------------------------------------------

Napi::Value instructions(const Napi::CallbackInfo& info) {
  Napi::Array names = Napi::Array::New(info.Env());
  uint32_t count = 0;
  for (size_t i = 0; i < kKernelChoiceCount; i++) {
    if (kKernelChoices[i].runs_here()) names.Set(count++, kKernelChoices[i].name);
  }
  return names;
}

/** packedBytes(format, rows, columns, isVector, layout) */
Napi::Value packed_bytes_of(const Napi::CallbackInfo& info) {
  const size_t format = size(info, 0), rows = size(info, 1), columns = size(info, 2), layout = size(info, 4);
  if (!valid_format(format) || !valid_layout(layout) || rows > UINT32_MAX || columns > UINT32_MAX) {
    return type_error(info.Env(), "bad matrix");
  }
  const bool is_vector = info[3].ToBoolean();
  const size_t bytes = WeightStore::bytes_for(static_cast<Format>(format), static_cast<uint32_t>(rows),
                                              static_cast<uint32_t>(columns), is_vector, static_cast<Layout>(layout));
  return Napi::Number::New(info.Env(), static_cast<double>(bytes));
}

/** adjustMemory(change): tells V8 of bytes outside its heap; returns all that it was told of. */
Napi::Value adjust_memory(const Napi::CallbackInfo& info) {
  // V8 aborts when told of more than any machine has.
  constexpr double kMost = 1e15;
  const double change = number(info, 0);
  const int64_t bytes = change >= -kMost && change <= kMost ? static_cast<int64_t>(change) : 0;
  return Napi::Number::New(info.Env(), static_cast<double>(Napi::MemoryManagement::AdjustExternalMemory(info.Env(), bytes)));
}

// ---- Engine -----------------------------------------------------------------------------------------------------

/** createEngine(instructions, threads, pin, spinMicroseconds) */
Napi::Value create_engine(const Napi::CallbackInfo& info) {
  Engine::Options options;
  const std::string wanted = info[0].ToString();
  for (size_t i = 0; i < kKernelChoiceCount; i++) {
    const KernelChoice& choice = kKernelChoices[i];
    if (wanted == choice.name && choice.runs_here()) options.kernels = choice.table();
  }
  if (!options.kernels) return type_error(info.Env(), "these instructions are not available here");
  options.pool.threads = static_cast<unsigned>(size(info, 1));
  options.pool.pin = info[2].ToBoolean();
  options.pool.spin_microseconds = static_cast<unsigned>(size(info, 3));
  auto handle = EngineHandle::create(info.Env(), options);
  if (!handle) return out_of_memory(info.Env(), "the system gives no more threads");
  return wrap(info.Env(), std::move(handle));
}

/** Resolves when everything queued before has been done. */
class BarrierJob final : public AddonJob {
 public:
  using AddonJob::AddonJob;
  void run(Engine&) override {}
};

Napi::Value drain_engine(const Napi::CallbackInfo& info) {
  const auto engine = unwrap<EngineHandle>(info[0]);
  if (!engine) return info.Env().Undefined();
  auto job = std::make_unique<BarrierJob>(info.Env(), engine);
  const Napi::Promise promise = job->promise();
  engine->enqueue(info.Env(), std::move(job));
  return promise;
}

Napi::Value stop_engine(const Napi::CallbackInfo& info) {
  const auto engine = unwrap<EngineHandle>(info[0]);
  if (engine) engine->stop();
  return info.Env().Undefined();
}

// ---- Weights ----------------------------------------------------------------------------------------------------

class PackJob final : public AddonJob {
 public:
  PackJob(Napi::Env env, std::shared_ptr<EngineHandle> engine, std::shared_ptr<WeightStore> store, size_t index,
          Format format, const Napi::Uint8Array& bytes)
      : AddonJob(env, std::move(engine)),
        store_(std::move(store)),
        index_(index),
        tensor_(store_->tensor(index)),
        packed_(store_->writable(index)),
        format_(format),
        bytes_(bytes) {}

  void run(Engine& engine) override {
    const uint8_t* source = bytes_.data();
    const PackedMatrix& matrix = tensor_.matrix;
    if (tensor_.is_vector) {
      unpack_numbers(format_, tensor_.count(), source, matrix.columns, reinterpret_cast<float*>(packed_));
      return;
    }
    const uint32_t threads = engine.pool().threads();
    engine.pool().run_parts(threads, [&](uint32_t index) {
      const Range own = part(pack_parts(matrix.rows, matrix.layout), index, threads);
      if (own.begin < own.end) pack(matrix, source, packed_, own);
    });
  }
  Napi::Value result(Napi::Env env) override { return Napi::Number::New(env, static_cast<double>(index_)); }

 private:
  /** Rows of a file, as plain f32, through the packed form of one row at a time. */
  static void unpack_numbers(Format format, size_t count, const uint8_t* source, uint32_t columns, float* out) {
    if (format == Format::f32) {
      memcpy(out, source, count * sizeof(float));
      return;
    }
    std::vector<uint8_t> packed(packed_bytes(format, 1, columns) + 64);
    uint8_t* start = reinterpret_cast<uint8_t*>((reinterpret_cast<uintptr_t>(packed.data()) + 63) & ~uintptr_t{63});
    const size_t rows = columns == 0 ? 0 : count / columns;
    for (size_t row = 0; row < rows; row++) {
      pack_panels(format, 1, columns, source + row * file_row_bytes(format, columns), start, {0, 1});
      unpack_row({format, 1, columns, start}, 0, out + row * columns);
    }
  }

  /** Keeps the memory alive. */
  std::shared_ptr<WeightStore> store_;
  size_t index_;
  Tensor tensor_;
  uint8_t* packed_;
  Format format_;
  Pinned<Napi::Uint8Array> bytes_;
};

Napi::Value create_weights(const Napi::CallbackInfo& info) {
  return wrap(info.Env(), std::make_shared<WeightStore>());
}

/** addWeight(engine, weights, format, rows, columns, isVector, layout, bytes): resolves to the tensor's index. */
Napi::Value add_weight(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto engine = unwrap<EngineHandle>(info[0]);
  const auto store = engine ? unwrap<WeightStore>(info[1]) : nullptr;
  if (!store) return env.Undefined();
  const size_t format_index = size(info, 2), rows = size(info, 3), columns = size(info, 4);
  const bool is_vector = info[5].ToBoolean();
  const size_t layout = size(info, 6);
  if (!valid_format(format_index) || !valid_layout(layout) || rows == 0 || columns == 0 || rows > UINT32_MAX ||
      columns > UINT32_MAX || !info[7].IsTypedArray()) {
    return type_error(env, "bad weight");
  }
  const Format format = static_cast<Format>(format_index);
  const auto bytes = info[7].As<Napi::Uint8Array>();
  if (bytes.ByteLength() != rows * file_row_bytes(format, static_cast<uint32_t>(columns))) {
    return type_error(env, "a weight's bytes do not fit its shape");
  }
  const int64_t index = store->reserve(format, static_cast<uint32_t>(rows), static_cast<uint32_t>(columns), is_vector,
                                       is_vector ? Layout::panels : static_cast<Layout>(layout));
  if (index < 0) return out_of_memory(env, "the system has no memory for the weight");
  auto job = std::make_unique<PackJob>(env, engine, store, static_cast<size_t>(index), format, bytes);
  const Napi::Promise promise = job->promise();
  engine->enqueue(env, std::move(job));
  return promise;
}

/** Frees a store after everything queued before. */
template <class Store>
class ReleaseJob final : public AddonJob {
 public:
  ReleaseJob(Napi::Env env, std::shared_ptr<EngineHandle> engine, std::shared_ptr<Store> store)
      : AddonJob(env, std::move(engine)), store_(std::move(store)) {}
  void run(Engine&) override { store_->release(); }

 private:
  std::shared_ptr<Store> store_;
};

template <class Store>
Napi::Value release(const Napi::CallbackInfo& info) {
  const auto engine = unwrap<EngineHandle>(info[0]);
  const auto store = engine ? unwrap<Store>(info[1]) : nullptr;
  if (!store) return info.Env().Undefined();
  auto job = std::make_unique<ReleaseJob<Store>>(info.Env(), engine, store);
  const Napi::Promise promise = job->promise();
  engine->enqueue(info.Env(), std::move(job));
  return promise;
}

// ---- States -----------------------------------------------------------------------------------------------------

/** createStates(sizes: Float64Array, initial: Float32Array, slots) */
Napi::Value create_states(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto sizes = info[0].As<Napi::Float64Array>();
  const auto initial = info[1].As<Napi::Float32Array>();
  std::vector<size_t> counts(sizes.ElementLength());
  size_t total = 0;
  for (size_t i = 0; i < counts.size(); i++) total += counts[i] = static_cast<size_t>(sizes[i]);
  if (total != initial.ElementLength()) return type_error(env, "bad states");
  auto store = std::make_shared<StateStore>();
  std::vector<float> numbers(initial.Data(), initial.Data() + total);
  if (!store->allocate(std::move(counts), std::move(numbers), size(info, 2))) {
    return out_of_memory(env, "the system has no memory for the states");
  }
  return wrap(env, std::move(store));
}

class StateJob final : public AddonJob {
 public:
  enum class Kind { reset, copy, write, read };
  StateJob(Napi::Env env, std::shared_ptr<EngineHandle> engine, std::shared_ptr<StateStore> store, Kind kind,
           size_t slot)
      : AddonJob(env, std::move(engine)), store_(std::move(store)), kind_(kind), slot_(slot) {}

  void run(Engine&) override {
    switch (kind_) {
      case Kind::reset: return store_->reset(slot_);
      case Kind::copy: return store_->copy(slot_, to);
      case Kind::write: return store_->write(slot_, numbers.data());
      case Kind::read:
        numbers.resize(store_->slot_size());
        return store_->read(slot_, numbers.data());
    }
  }
  Napi::Value result(Napi::Env env) override {
    if (kind_ != Kind::read) return env.Undefined();
    auto bytes = Napi::Uint8Array::New(env, numbers.size() * sizeof(float));
    if (!numbers.empty()) memcpy(bytes.Data(), numbers.data(), bytes.ByteLength());
    return bytes;
  }

  size_t to = 0;
  std::vector<float> numbers;

 private:
  std::shared_ptr<StateStore> store_;
  Kind kind_;
  size_t slot_;
};

/** resetState(engine, states, slot), copyState(…, from, to), writeState(…, slot, bytes), readState(…, slot) */
template <StateJob::Kind kind>
Napi::Value change_state(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto engine = unwrap<EngineHandle>(info[0]);
  const auto store = engine ? unwrap<StateStore>(info[1]) : nullptr;
  if (!store) return env.Undefined();
  const size_t slot = size(info, 2);
  auto job = std::make_unique<StateJob>(env, engine, store, kind, slot);
  if (kind == StateJob::Kind::copy) job->to = size(info, 3);
  if (slot >= store->slots() || job->to >= store->slots()) return type_error(env, "no such slot");
  if (kind == StateJob::Kind::write) {
    const auto bytes = info[3].As<Napi::Uint8Array>();
    if (bytes.ByteLength() != store->slot_size() * sizeof(float)) return type_error(env, "bad snapshot");
    job->numbers.resize(store->slot_size());
    if (bytes.ByteLength() > 0) memcpy(job->numbers.data(), bytes.Data(), bytes.ByteLength());
  }
  const Napi::Promise promise = job->promise();
  engine->enqueue(env, std::move(job));
  return promise;
}

// ---- Programs ---------------------------------------------------------------------------------------------------

/** compile(engine, weights, states, words: Float64Array, arenaFloats, parameterFloats, tokens, sequences, wanted) */
class CompileJob final : public AddonJob {
 public:
  CompileJob(Napi::Env env, std::shared_ptr<EngineHandle> engine, std::shared_ptr<CompiledProgram> program,
             EncodedProgram encoded, const Napi::Float64Array& words)
      : AddonJob(env, std::move(engine)), program_(std::move(program)), encoded_(encoded), words_(words) {}

  void run(Engine& engine) override {
    encoded_.words = words_.data();
    encoded_.count = words_.length();
    switch (program_->decode(encoded_)) {
      case CompiledProgram::Status::ok:
        working_bytes_ = program_->working_bytes(engine.pool().threads());
        return;
      case CompiledProgram::Status::out_of_memory:
        program_->release();
        return fail("OUT_OF_MEMORY", "the system has no memory for the program's activations");
      case CompiledProgram::Status::malformed:
        program_->release();
        return fail("INTERNAL", "the encoded program is malformed: a mistake of @rwkv-ts/backend-cpu");
    }
  }
  Napi::Value result(Napi::Env env) override {
    Napi::Object compiled = Napi::Object::New(env);
    compiled.Set("program", wrap(env, program_));
    compiled.Set("workingBytes", Napi::Number::New(env, static_cast<double>(working_bytes_)));
    return compiled;
  }

 private:
  std::shared_ptr<CompiledProgram> program_;
  EncodedProgram encoded_;
  Pinned<Napi::Float64Array> words_;
  size_t working_bytes_ = 0;
};

Napi::Value compile(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto engine = unwrap<EngineHandle>(info[0]);
  const auto weights = engine ? unwrap<WeightStore>(info[1]) : nullptr;
  const auto states = weights ? unwrap<StateStore>(info[2]) : nullptr;
  if (!states) return env.Undefined();
  EncodedProgram encoded{};
  encoded.arena_floats = size(info, 4);
  encoded.parameter_floats = size(info, 5);
  encoded.limits = {static_cast<uint32_t>(size(info, 6)), static_cast<uint32_t>(size(info, 7)),
                    static_cast<uint32_t>(size(info, 8))};
  auto program = std::make_shared<CompiledProgram>(engine->engine().kernels(), weights, states);
  auto job =
      std::make_unique<CompileJob>(env, engine, std::move(program), encoded, info[3].As<Napi::Float64Array>());
  const Napi::Promise promise = job->promise();
  engine->enqueue(env, std::move(job));
  return promise;
}

class RunJob final : public AddonJob {
 public:
  RunJob(Napi::Env env, std::shared_ptr<EngineHandle> engine, std::shared_ptr<CompiledProgram> program,
         const Napi::Float32Array& output)
      : AddonJob(env, std::move(engine)), program_(std::move(program)), output_(output) {}

  Step step() const {
    Step step;
    step.tokens = static_cast<uint32_t>(tokens.size());
    step.sequences = static_cast<uint32_t>(slots.size());
    step.wanted = static_cast<uint32_t>(wanted.size());
    step.token_ids = tokens.data();
    step.starts = starts.data();
    step.slots = slots.data();
    step.wanted_rows = wanted.data();
    step.embeddings = static_cast<uint32_t>(embedding_at.size());
    step.embedding_at = embedding_at.data();
    step.embedding_vectors = embedding_vectors.data();
    return step;
  }
  size_t output_length() const { return output_.length(); }
  void run(Engine& engine) override {
    if (program_->run(engine.pool(), step(), output_.data(), engine.stopping())) return;
    fail("OUT_OF_MEMORY", "the system has no memory for the step");
  }
  Napi::Value result(Napi::Env) override { return output_.value(); }

  std::vector<uint32_t> tokens, starts, slots, wanted, embedding_at;
  std::vector<float> embedding_vectors;

 private:
  std::shared_ptr<CompiledProgram> program_;
  Pinned<Napi::Float32Array> output_;
};

template <class Number>
std::vector<Number> copy(const Napi::Value& value) {
  if (!value.IsTypedArray()) return {};
  const auto array = value.As<Napi::TypedArrayOf<Number>>();
  return std::vector<Number>(array.Data(), array.Data() + array.ElementLength());
}

/** run(engine, program, tokens, starts, slots, wanted, at | undefined, vectors | undefined, output): resolves to output. */
Napi::Value run(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto engine = unwrap<EngineHandle>(info[0]);
  const auto program = engine ? unwrap<CompiledProgram>(info[1]) : nullptr;
  if (!program) return env.Undefined();
  auto job = std::make_unique<RunJob>(env, engine, program, info[8].As<Napi::Float32Array>());
  job->tokens = copy<uint32_t>(info[2]);
  job->starts = copy<uint32_t>(info[3]);
  job->slots = copy<uint32_t>(info[4]);
  job->wanted = copy<uint32_t>(info[5]);
  job->embedding_at = copy<uint32_t>(info[6]);
  job->embedding_vectors = copy<float>(info[7]);
  if (job->starts.size() != job->slots.size() + 1 ||
      !program->accepts(job->step(), job->embedding_vectors.size(), job->output_length())) {
    return type_error(env, "the batch does not fit the program");
  }
  const Napi::Promise promise = job->promise();
  engine->enqueue(env, std::move(job));
  return promise;
}

class ProfileJob final : public AddonJob {
 public:
  ProfileJob(Napi::Env env, std::shared_ptr<EngineHandle> engine, std::shared_ptr<CompiledProgram> program, bool on)
      : AddonJob(env, std::move(engine)), program_(std::move(program)), on_(on) {}
  void run(Engine&) override {
    profile_ = program_->profile();
    program_->set_profiling(on_);
  }
  /** [steps, milliseconds of the steps, of preparing inputs, then of each op code]; but for the first two, summed over threads. */
  Napi::Value result(Napi::Env env) override {
    auto numbers = Napi::Float64Array::New(env, 3 + kOpCodes);
    numbers[0] = static_cast<double>(profile_.step_count);
    numbers[1] = profile_.steps;
    numbers[2] = profile_.prepare;
    for (size_t code = 0; code < kOpCodes; code++) numbers[3 + code] = profile_.operations[code];
    return numbers;
  }

 private:
  std::shared_ptr<CompiledProgram> program_;
  bool on_;
  Profile profile_;
};

/** profile(engine, program, on): what was measured since it was switched on; starts anew, or stops. */
Napi::Value profile(const Napi::CallbackInfo& info) {
  const auto engine = unwrap<EngineHandle>(info[0]);
  const auto program = engine ? unwrap<CompiledProgram>(info[1]) : nullptr;
  if (!program) return info.Env().Undefined();
  auto job = std::make_unique<ProfileJob>(info.Env(), engine, program, info[2].ToBoolean());
  const Napi::Promise promise = job->promise();
  engine->enqueue(info.Env(), std::move(job));
  return promise;
}

Napi::Object initialise(Napi::Env env, Napi::Object exports) {
  exports.Set("version", Napi::String::New(env, RWKV_CPU_VERSION));
  const auto add = [&](const char* name, auto function) { exports.Set(name, Napi::Function::New(env, function, name)); };
  add("instructions", instructions);
  add("packedBytes", packed_bytes_of);
  add("adjustMemory", adjust_memory);
  add("createEngine", create_engine);
  add("drainEngine", drain_engine);
  add("stopEngine", stop_engine);
  add("createWeights", create_weights);
  add("addWeight", add_weight);
  add("releaseWeights", release<WeightStore>);
  add("createStates", create_states);
  add("resetState", change_state<StateJob::Kind::reset>);
  add("copyState", change_state<StateJob::Kind::copy>);
  add("writeState", change_state<StateJob::Kind::write>);
  add("readState", change_state<StateJob::Kind::read>);
  add("releaseStates", release<StateStore>);
  add("compile", compile);
  add("run", run);
  add("profile", profile);
  add("releaseProgram", release<CompiledProgram>);
  add_packed_functions(env, exports);
  return exports;
}

}  // namespace

NODE_API_MODULE(rwkv_cpu, initialise)

}  // namespace rwkv::addon
