/**
 * Over 400 lines because it is the whole surface of the addon, in the order of src/native.ts.
 *
 * The functions that src/native.ts declares. Arguments were checked there; here only what memory safety needs is. Arrays
 * that a job reads or fills (outputs, words, snapshots) are made by this package alone, and the bytes of a weight belong to
 * whom they were handed to, so that nobody transfers or resizes them meanwhile.
 */
#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>

#include "handles.h"
#include "packed.h"
#include "training-functions.h"

#ifndef RWKV_CPU_VERSION
#define RWKV_CPU_VERSION "0.0.0"
#endif

namespace rwkv::addon {
namespace {

bool valid_format(size_t format) { return format < static_cast<size_t>(kFormats); }
bool valid_layout(size_t layout) { return layout < static_cast<size_t>(kLayouts); }

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
  const bool is_vector = flag(info, 3);
  const size_t bytes = WeightStore::bytes_for(static_cast<Format>(format), static_cast<uint32_t>(rows),
                                              static_cast<uint32_t>(columns), is_vector, static_cast<Layout>(layout));
  return Napi::Number::New(info.Env(), static_cast<double>(bytes));
}

// ---- Engine -----------------------------------------------------------------------------------------------------

/** createEngine(instructions, threads, pin, spinMicroseconds) */
Napi::Value create_engine(const Napi::CallbackInfo& info) {
  Engine::Options options;
  const std::string wanted = text(info, 0);
  for (size_t i = 0; i < kKernelChoiceCount; i++) {
    const KernelChoice& choice = kKernelChoices[i];
    if (wanted == choice.name && choice.runs_here()) options.kernels = choice.table();
  }
  if (!options.kernels) return type_error(info.Env(), "these instructions are not available here");
  options.pool.threads = static_cast<unsigned>(size(info, 1));
  options.pool.pin = flag(info, 2);
  options.pool.spin_microseconds = static_cast<unsigned>(size(info, 3));
  const EngineHandle::Options queue{"rwkv-cpu", options.pool.spin_microseconds};
  auto engine = Engine::create(options);
  auto handle = engine ? EngineHandle::create(info.Env(), std::move(engine), queue) : nullptr;
  if (!handle) return out_of_memory(info.Env(), "the system gives no more threads");
  return wrap(info.Env(), std::move(handle));
}

// ---- Weights ----------------------------------------------------------------------------------------------------

class PackJob final : public EngineJob {
 public:
  PackJob(Napi::Env env, std::shared_ptr<EngineHandle> engine, std::shared_ptr<WeightStore> store, size_t index,
          Format format, const Napi::Uint8Array& bytes)
      : EngineJob(env, std::move(engine)),
        store_(std::move(store)),
        index_(index),
        tensor_(store_->tensor(index)),
        packed_(store_->writable(index)),
        format_(format),
        bytes_(bytes) {}

  void work(Engine& engine) override {
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
  /** Rows of a file, as plain f32, through the packed form of a piece at a time: packed, one row takes the room of 16. */
  static void unpack_numbers(Format format, size_t count, const uint8_t* source, uint32_t columns, float* out) {
    if (format == Format::f32) {
      memcpy(out, source, count * sizeof(float));
      return;
    }
    // Whole blocks of every format.
    constexpr uint32_t kPiece = 4096;
    std::vector<uint8_t> packed(packed_bytes(format, 1, std::min(columns, kPiece)) + 64);
    uint8_t* start = reinterpret_cast<uint8_t*>((reinterpret_cast<uintptr_t>(packed.data()) + 63) & ~uintptr_t{63});
    const size_t rows = columns == 0 ? 0 : count / columns;
    for (size_t row = 0; row < rows; row++) {
      for (uint32_t left = columns; left > 0;) {
        const uint32_t piece = std::min(left, kPiece);
        pack_panels(format, 1, piece, source, start, {0, 1});
        unpack_row({format, 1, piece, start}, 0, out);
        source += file_row_bytes(format, piece);
        out += piece;
        left -= piece;
      }
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
  const bool is_vector = flag(info, 5);
  const size_t layout = size(info, 6);
  if (!valid_format(format_index) || !valid_layout(layout) || rows == 0 || columns == 0 || rows > UINT32_MAX ||
      columns > UINT32_MAX || !is_array<uint8_t>(info[7])) {
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
  return engine->enqueue(env, std::move(job));
}

// ---- States -----------------------------------------------------------------------------------------------------

/** createStates(sizes: Float64Array, initial: Float32Array, slots, repeats: Float64Array | undefined) */
Napi::Value create_states(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const bool repeated = !info[3].IsUndefined();
  if (!is_array<double>(info[0]) || !is_array<float>(info[1]) || (repeated && !is_array<double>(info[3]))) {
    return type_error(env, "bad states");
  }
  const auto sizes = info[0].As<Napi::Float64Array>();
  const auto initial = info[1].As<Napi::Float32Array>();
  const auto repeats = info[repeated ? 3 : 0].As<Napi::Float64Array>();
  const size_t values = initial.ElementLength();
  if (repeated && repeats.ElementLength() != values) return type_error(env, "bad states");
  std::vector<size_t> counts(sizes.ElementLength());
  for (size_t i = 0; i < counts.size(); i++) {
    if (!whole(sizes.Data()[i], counts[i])) return type_error(env, "bad states");
  }
  InitialNumbers numbers;
  for (size_t i = 0; i < values; i++) {
    size_t count = 1;
    if ((repeated && !whole(repeats.Data()[i], count)) || !numbers.add(initial.Data()[i], count)) {
      return type_error(env, "bad states");
    }
  }
  auto store = std::make_shared<StateStore>();
  switch (store->define(std::move(counts), std::move(numbers), size(info, 2))) {
    case StateStore::Status::ok: return wrap(env, std::move(store));
    case StateStore::Status::out_of_memory: return out_of_memory(env, "no system has memory for the states");
    case StateStore::Status::malformed: return type_error(env, "bad states");
  }
  return env.Undefined();
}

class AllocateStatesJob final : public EngineJob {
 public:
  AllocateStatesJob(Napi::Env env, std::shared_ptr<EngineHandle> engine, std::shared_ptr<StateStore> store)
      : EngineJob(env, std::move(engine)), store_(std::move(store)) {}

  void work(Engine&) override {
    // Programs may point into the memory that is there.
    if (store_->allocated()) return fail("INTERNAL", "the states have their memory");
    if (!store_->allocate(stopping())) fail("OUT_OF_MEMORY", "the system has no memory for the states");
  }

 private:
  std::shared_ptr<StateStore> store_;
};

/** allocateStates(engine, states): resolves when all slots are as at first. */
Napi::Value allocate_states(const Napi::CallbackInfo& info) {
  const auto engine = unwrap<EngineHandle>(info[0]);
  const auto store = engine ? unwrap<StateStore>(info[1]) : nullptr;
  if (!store) return info.Env().Undefined();
  auto job = std::make_unique<AllocateStatesJob>(info.Env(), engine, store);
  return engine->enqueue(info.Env(), std::move(job));
}

enum class StateChange { reset, copy, write, read };

class StateJob final : public EngineJob {
 public:
  StateJob(Napi::Env env, std::shared_ptr<EngineHandle> engine, std::shared_ptr<StateStore> store, StateChange change,
           size_t slot, size_t to)
      : EngineJob(env, std::move(engine)), store_(std::move(store)), change_(change), slot_(slot), to_(to) {}

  void work(Engine&) override {
    if (!store_->allocated()) return fail("RELEASED", "the states have no memory");
    switch (change_) {
      case StateChange::reset: return store_->reset(slot_);
      case StateChange::copy: return store_->copy(slot_, to_);
      case StateChange::write: return store_->write(slot_, bytes->data());
      case StateChange::read: return store_->read(slot_, bytes->data());
    }
  }
  Napi::Value result(Napi::Env env) override { return change_ == StateChange::read ? bytes->value() : env.Undefined(); }

  /** A snapshot, to write or to fill. */
  std::optional<Pinned<Napi::Uint8Array>> bytes;

 private:
  std::shared_ptr<StateStore> store_;
  StateChange change_;
  size_t slot_, to_;
};

/** resetState(engine, states, slot), copyState(…, from, to), writeState(…, slot, bytes), readState(…, slot, bytes) */
template <StateChange change>
Napi::Value change_state(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto engine = unwrap<EngineHandle>(info[0]);
  const auto store = engine ? unwrap<StateStore>(info[1]) : nullptr;
  if (!store) return env.Undefined();
  const size_t slot = size(info, 2), to = change == StateChange::copy ? size(info, 3) : 0;
  if (slot >= store->slots() || to >= store->slots()) return type_error(env, "no such slot");
  auto job = std::make_unique<StateJob>(env, engine, store, change, slot, to);
  if (change == StateChange::write || change == StateChange::read) {
    if (!is_array<uint8_t>(info[3])) return type_error(env, "bad snapshot");
    job->bytes.emplace(info[3].As<Napi::Uint8Array>());
    if (job->bytes->length() != store->slot_size() * sizeof(float)) return type_error(env, "bad snapshot");
  }
  return engine->enqueue(env, std::move(job));
}

// ---- Programs ---------------------------------------------------------------------------------------------------

/** compile(engine, weights, states, words: Float64Array, arenaFloats, parameterFloats, tokens, sequences, wanted) */
class CompileJob final : public EngineJob {
 public:
  CompileJob(Napi::Env env, std::shared_ptr<EngineHandle> engine, std::shared_ptr<CompiledProgram> program,
             std::shared_ptr<StateStore> states, EncodedProgram encoded, const Napi::Float64Array& words)
      : EngineJob(env, std::move(engine)),
        program_(std::move(program)),
        states_(std::move(states)),
        encoded_(encoded),
        words_(words) {}

  void work(Engine& engine) override {
    if (!states_->allocated()) return fail("RELEASED", "the states have no memory");
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
    return object_of(env, {{"program", wrap(env, program_)},
                           {"workingBytes", Napi::Number::New(env, static_cast<double>(working_bytes_))}});
  }

 private:
  std::shared_ptr<CompiledProgram> program_;
  std::shared_ptr<StateStore> states_;
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
  if (!is_array<double>(info[3])) return type_error(env, "bad program");
  EncodedProgram encoded{};
  encoded.arena_floats = size(info, 4);
  encoded.parameter_floats = size(info, 5);
  encoded.limits = {small(info, 6), small(info, 7), small(info, 8)};
  auto program = std::make_shared<CompiledProgram>(engine->engine().kernels(), weights, states);
  auto job = std::make_unique<CompileJob>(env, engine, std::move(program), states, encoded,
                                          info[3].As<Napi::Float64Array>());
  return engine->enqueue(env, std::move(job));
}

class RunJob final : public EngineJob {
 public:
  RunJob(Napi::Env env, std::shared_ptr<EngineHandle> engine, std::shared_ptr<CompiledProgram> program,
         const Napi::Float32Array& output)
      : EngineJob(env, std::move(engine)), program_(std::move(program)), output_(output) {}

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
    step.candidates = candidates;
    return step;
  }
  size_t output_length() const { return output_.length(); }
  void work(Engine& engine) override {
    if (program_->run(engine.pool(), step(), output_.data(), stopping())) return;
    fail("OUT_OF_MEMORY", "the system has no memory for the step");
  }
  Napi::Value result(Napi::Env) override { return output_.value(); }

  std::vector<uint32_t> tokens, starts, slots, wanted, embedding_at;
  std::vector<float> embedding_vectors;
  bool candidates = false;

 private:
  std::shared_ptr<CompiledProgram> program_;
  Pinned<Napi::Float32Array> output_;
};

class OutputRowJob final : public EngineJob {
 public:
  OutputRowJob(Napi::Env env, std::shared_ptr<EngineHandle> engine, std::shared_ptr<CompiledProgram> program,
               uint32_t row, const Napi::Float32Array& output)
      : EngineJob(env, std::move(engine)), program_(std::move(program)), row_(row), output_(output) {}
  void work(Engine&) override {
    if (!program_->output_row(row_, output_.data(), output_.length())) fail("NO_SUCH_ROW", "the last step kept no such row");
  }
  Napi::Value result(Napi::Env) override { return output_.value(); }

 private:
  std::shared_ptr<CompiledProgram> program_;
  uint32_t row_;
  Pinned<Napi::Float32Array> output_;
};

/** Nothing for undefined; false for what is no array of such numbers. */
template <class Number>
bool copy(const Napi::Value& value, std::vector<Number>& out) {
  Numbers<Number> numbers;
  if (!read_array(value, numbers)) return value.IsUndefined();
  out.assign(numbers.data, numbers.data + numbers.count);
  return true;
}

/**
 * run(engine, program, tokens, starts, slots, wanted, at | undefined, vectors | undefined, output, candidates): resolves
 * to output.
 */
Napi::Value run(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto engine = unwrap<EngineHandle>(info[0]);
  const auto program = engine ? unwrap<CompiledProgram>(info[1]) : nullptr;
  if (!program) return env.Undefined();
  if (!is_array<float>(info[8])) return type_error(env, "the output must be a Float32Array");
  auto job = std::make_unique<RunJob>(env, engine, program, info[8].As<Napi::Float32Array>());
  if (!copy(info[2], job->tokens) || !copy(info[3], job->starts) || !copy(info[4], job->slots) ||
      !copy(info[5], job->wanted) || !copy(info[6], job->embedding_at) || !copy(info[7], job->embedding_vectors)) {
    return type_error(env, "a batch must be a Uint32Array of each, its vectors a Float32Array");
  }
  job->candidates = flag(info, 9);
  if (job->starts.size() != job->slots.size() + 1 ||
      !program->accepts(job->step(), job->embedding_vectors.size(), job->output_length())) {
    return type_error(env, "the batch does not fit the program");
  }
  return engine->enqueue(env, std::move(job));
}

/** outputRow(engine, program, row, output): resolves to output. */
Napi::Value output_row(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto engine = unwrap<EngineHandle>(info[0]);
  const auto program = engine ? unwrap<CompiledProgram>(info[1]) : nullptr;
  if (!program) return env.Undefined();
  if (!is_array<float>(info[3])) return type_error(env, "the output must be a Float32Array");
  auto job = std::make_unique<OutputRowJob>(env, engine, program, small(info, 2), info[3].As<Napi::Float32Array>());
  return engine->enqueue(env, std::move(job));
}

class ProfileJob final : public EngineJob {
 public:
  ProfileJob(Napi::Env env, std::shared_ptr<EngineHandle> engine, std::shared_ptr<CompiledProgram> program, bool on)
      : EngineJob(env, std::move(engine)), program_(std::move(program)), on_(on) {}
  void work(Engine&) override {
    profile_ = program_->profile();
    program_->set_profiling(on_);
  }
  /** [steps, milliseconds of the steps, of preparing inputs, then of each op code]; but for the first two, summed over threads. */
  Napi::Value result(Napi::Env env) override {
    double numbers[3 + kOpCodes] = {static_cast<double>(profile_.step_count), profile_.steps, profile_.prepare};
    std::copy_n(profile_.operations, kOpCodes, numbers + 3);
    return copy_of(env, numbers, 3 + kOpCodes);
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
  auto job = std::make_unique<ProfileJob>(info.Env(), engine, program, flag(info, 2));
  return engine->enqueue(info.Env(), std::move(job));
}

Napi::Object initialise(Napi::Env env, Napi::Object exports) {
  add_common_functions(env, exports, RWKV_CPU_VERSION);
  add<instructions>(env, exports, "instructions");
  add<packed_bytes_of>(env, exports, "packedBytes");
  add<create_engine>(env, exports, "createEngine");
  add<drain_engine<Engine>>(env, exports, "drainEngine");
  add<stop_engine<Engine>>(env, exports, "stopEngine");
  add<create_weights>(env, exports, "createWeights");
  add<add_weight>(env, exports, "addWeight");
  add<release<Engine, WeightStore>>(env, exports, "releaseWeights");
  add<create_states>(env, exports, "createStates");
  add<allocate_states>(env, exports, "allocateStates");
  add<change_state<StateChange::reset>>(env, exports, "resetState");
  add<change_state<StateChange::copy>>(env, exports, "copyState");
  add<change_state<StateChange::write>>(env, exports, "writeState");
  add<change_state<StateChange::read>>(env, exports, "readState");
  add<release<Engine, StateStore>>(env, exports, "releaseStates");
  add<compile>(env, exports, "compile");
  add<run>(env, exports, "run");
  add<output_row>(env, exports, "outputRow");
  add<profile>(env, exports, "profile");
  add<release<Engine, CompiledProgram>>(env, exports, "releaseProgram");
  add_packed_functions(env, exports);
  add_training_functions(env, exports);
  return exports;
}

}  // namespace

NODE_API_MODULE(rwkv_cpu, initialise)

}  // namespace rwkv::addon
