#include "training-functions.h"

#include <cstring>
#include <utility>
#include <vector>

#include "../training/training.h"

namespace rwkv::addon {

using training::Training;

template <>
struct TypeTag<Training> {
  static constexpr napi_type_tag value = {0x7277b76b63707531, 0x6};
};

namespace {

/** A job on a training that is still there when its turn comes. */
class TrainingJob : public EngineJob {
 public:
  TrainingJob(Napi::Env env, std::shared_ptr<EngineHandle> engine, std::shared_ptr<Training> training)
      : EngineJob(env, std::move(engine)), training_(std::move(training)) {}

  void work(Engine& engine) final {
    if (training_->released()) return fail("RELEASED", "the training has no memory");
    work_on(*training_, engine);
  }

 protected:
  virtual void work_on(Training& training, Engine& engine) = 0;

 private:
  std::shared_ptr<Training> training_;
};

class CreateTrainingJob final : public EngineJob {
 public:
  CreateTrainingJob(Napi::Env env, std::shared_ptr<EngineHandle> engine, Training::Parts parts,
                    training::EncodedTraining encoded, const Napi::Float64Array& words)
      : EngineJob(env, std::move(engine)), parts_(std::move(parts)), encoded_(encoded), words_(words) {}

  void work(Engine& engine) override {
    if (!parts_.states->allocated() || !parts_.state_gradients->allocated()) {
      return fail("RELEASED", "the states have no memory");
    }
    encoded_.words = words_.data();
    encoded_.count = words_.length();
    training_ = std::make_shared<Training>(std::move(parts_));
    switch (training_->decode(encoded_, engine.pool().threads())) {
      case Training::Status::ok: return;
      case Training::Status::out_of_memory:
        training_->release();
        return fail("OUT_OF_MEMORY", "the system has no memory for the training");
      case Training::Status::malformed:
        training_->release();
        return fail("INTERNAL", "the encoded training is malformed: a mistake of @rwkv-ts/backend-cpu");
    }
  }
  Napi::Value result(Napi::Env env) override { return wrap(env, training_); }

 private:
  Training::Parts parts_;
  training::EncodedTraining encoded_;
  Pinned<Napi::Float64Array> words_;
  std::shared_ptr<Training> training_;
};

/**
 * createTraining(engine, weights, states, stateGradients, words: Float64Array, arenaFloats, localFloats, tokens, sequences,
 * wanted)
 */
Napi::Value create_training(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto engine = unwrap<EngineHandle>(info[0]);
  Training::Parts parts;
  if (engine) parts.weights = unwrap<WeightStore>(info[1]);
  if (parts.weights) parts.states = unwrap<StateStore>(info[2]);
  if (parts.states) parts.state_gradients = unwrap<StateStore>(info[3]);
  if (!parts.state_gradients) return env.Undefined();
  if (!is_array<double>(info[4])) return type_error(env, "bad training");
  parts.kernels = &engine->engine().kernels();
  parts.training = training_kernels(parts.kernels->name);
  if (!parts.training) return type_error(env, "these instructions do not train");
  training::EncodedTraining encoded{};
  encoded.arena_floats = size(info, 5);
  encoded.local_floats = size(info, 6);
  encoded.limits = {small(info, 7), small(info, 8), small(info, 9)};
  auto job = std::make_unique<CreateTrainingJob>(env, engine, std::move(parts), encoded,
                                                 info[4].As<Napi::Float64Array>());
  return engine->enqueue(env, std::move(job));
}

class LessonJob final : public TrainingJob {
 public:
  using TrainingJob::TrainingJob;

  training::Lesson lesson() const {
    training::Lesson lesson = options;
    lesson.step.tokens = static_cast<uint32_t>(tokens.size());
    lesson.step.sequences = static_cast<uint32_t>(slots.size());
    lesson.step.wanted = static_cast<uint32_t>(wanted.size());
    lesson.step.token_ids = tokens.data();
    lesson.step.starts = starts.data();
    lesson.step.slots = slots.data();
    lesson.step.wanted_rows = wanted.data();
    lesson.targets = targets.data();
    lesson.weights = weights.empty() ? nullptr : weights.data();
    return lesson;
  }
  Napi::Value result(Napi::Env env) override { return Napi::Number::New(env, loss_); }

  std::vector<uint32_t> tokens, starts, slots, wanted, targets;
  std::vector<float> weights;
  training::Lesson options;

 protected:
  void work_on(Training& training, Engine& engine) override {
    if (!training.run(engine.pool(), lesson(), stopping(), loss_)) fail("INTERNAL", "the pool has grown");
  }

 private:
  double loss_ = 0;
};

template <class Number>
bool copy(const Napi::Value& value, std::vector<Number>& out) {
  Numbers<Number> numbers;
  if (!read_array(value, numbers)) return value.IsUndefined();
  out.assign(numbers.data, numbers.data + numbers.count);
  return true;
}

/** learn(engine, training, tokens, starts, slots, wanted, targets, weights | undefined, backward, scale, penalty) */
Napi::Value learn(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto engine = unwrap<EngineHandle>(info[0]);
  const auto training = engine ? unwrap<Training>(info[1]) : nullptr;
  if (!training) return env.Undefined();
  auto job = std::make_unique<LessonJob>(env, engine, training);
  if (!copy(info[2], job->tokens) || !copy(info[3], job->starts) || !copy(info[4], job->slots) ||
      !copy(info[5], job->wanted) || !copy(info[6], job->targets) || !copy(info[7], job->weights)) {
    return type_error(env, "a batch must be a Uint32Array of each, its weights a Float32Array");
  }
  job->options.backward = flag(info, 8);
  job->options.scale = number(info, 9);
  job->options.penalty = number(info, 10);
  const bool lengths = job->starts.size() == job->slots.size() + 1 && job->targets.size() == job->wanted.size() &&
                       (job->weights.empty() || job->weights.size() == job->wanted.size());
  if (!lengths || !training->accepts(job->lesson())) return type_error(env, "the batch does not fit the training");
  return engine->enqueue(env, std::move(job));
}

class UpdateJob final : public TrainingJob {
 public:
  using TrainingJob::TrainingJob;
  Napi::Value result(Napi::Env env) override {
    const double numbers[] = {result_.norm, result_.applied ? 1.0 : 0.0};
    return copy_of(env, numbers, 2);
  }
  training::Update update{};

 protected:
  void work_on(Training& training, Engine& engine) override { result_ = training.update(engine.pool(), update); }

 private:
  training::UpdateResult result_;
};

/**
 * updateTraining(engine, training, [step, learning rate, weight decay, β₁, β₂, epsilon, norm limit]): resolves to
 * [norm, applied].
 */
Napi::Value update_training(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto engine = unwrap<EngineHandle>(info[0]);
  const auto training = engine ? unwrap<Training>(info[1]) : nullptr;
  if (!training) return env.Undefined();
  Numbers<double> numbers;
  if (!read_array(info[2], numbers) || numbers.count != 7) return type_error(env, "bad update");
  auto job = std::make_unique<UpdateJob>(env, engine, training);
  const double* from = numbers.data;
  job->update = {from[0], from[1], from[2], from[3], from[4], from[5], from[6]};
  return engine->enqueue(env, std::move(job));
}

enum class SlotChange { reset, collect };

class SlotJob final : public TrainingJob {
 public:
  using TrainingJob::TrainingJob;
  SlotChange change = SlotChange::reset;
  size_t slot = 0;

 protected:
  void work_on(Training& training, Engine&) override {
    if (change == SlotChange::reset) training.reset_slot(slot);
    else training.collect_initial_gradients(slot);
  }
};

/** resetTrainingSlot(engine, training, slot), collectInitialGradients(engine, training, slot) */
template <SlotChange change>
Napi::Value change_slot(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto engine = unwrap<EngineHandle>(info[0]);
  const auto training = engine ? unwrap<Training>(info[1]) : nullptr;
  if (!training) return env.Undefined();
  const size_t slot = size(info, 2);
  if (slot >= training->slots()) return type_error(env, "no such slot");
  auto job = std::make_unique<SlotJob>(env, engine, training);
  job->change = change;
  job->slot = slot;
  return engine->enqueue(env, std::move(job));
}

class TrainableJob final : public TrainingJob {
 public:
  TrainableJob(Napi::Env env, std::shared_ptr<EngineHandle> engine, std::shared_ptr<Training> training, size_t index,
               training::TrainablePart part, bool write, const Napi::Float32Array& numbers)
      : TrainingJob(env, std::move(engine), std::move(training)),
        index_(index),
        part_(part),
        write_(write),
        numbers_(numbers) {}
  Napi::Value result(Napi::Env env) override { return write_ ? env.Undefined() : numbers_.value(); }

 protected:
  void work_on(Training& training, Engine&) override {
    size_t count = 0;
    float* memory = training.part_of(index_, part_, count);
    if (!memory || count != numbers_.length()) return fail("INTERNAL", "numbers of another length");
    if (write_) memcpy(memory, numbers_.data(), count * sizeof(float));
    else memcpy(numbers_.data(), memory, count * sizeof(float));
  }

 private:
  const size_t index_;
  const training::TrainablePart part_;
  const bool write_;
  Pinned<Napi::Float32Array> numbers_;
};

/** readTrainable(engine, training, index, part, numbers): resolves to numbers; writeTrainable takes the same. */
template <bool write>
Napi::Value exchange(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto engine = unwrap<EngineHandle>(info[0]);
  const auto training = engine ? unwrap<Training>(info[1]) : nullptr;
  if (!training) return env.Undefined();
  const size_t part = size(info, 3);
  if (part > static_cast<size_t>(training::TrainablePart::second_moment) || !is_array<float>(info[4])) {
    return type_error(env, "bad trainable");
  }
  auto job = std::make_unique<TrainableJob>(env, engine, training, size(info, 2),
                                            static_cast<training::TrainablePart>(part), write,
                                            info[4].As<Napi::Float32Array>());
  return engine->enqueue(env, std::move(job));
}

class ProfileTrainingJob final : public TrainingJob {
 public:
  using TrainingJob::TrainingJob;
  bool on = false;
  Napi::Value result(Napi::Env env) override {
    std::vector<double> numbers = {static_cast<double>(profile_.run_count), profile_.runs, profile_.operations};
    numbers.insert(numbers.end(), profile_.codes, profile_.codes + training::kCodes);
    return copy_of(env, numbers.data(), numbers.size());
  }

 protected:
  void work_on(Training& training, Engine&) override {
    profile_ = training.profile();
    training.set_profiling(on);
  }

 private:
  training::TrainingProfile profile_;
};

/** profileTraining(engine, training, on): [runs, their milliseconds, operations of products, then ms of each code] */
Napi::Value profile_training(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto engine = unwrap<EngineHandle>(info[0]);
  const auto training = engine ? unwrap<Training>(info[1]) : nullptr;
  if (!training) return env.Undefined();
  auto job = std::make_unique<ProfileTrainingJob>(env, engine, training);
  job->on = flag(info, 2);
  return engine->enqueue(env, std::move(job));
}

}  // namespace

void add_training_functions(Napi::Env env, Napi::Object exports) {
  add<create_training>(env, exports, "createTraining");
  add<learn>(env, exports, "learn");
  add<update_training>(env, exports, "updateTraining");
  add<change_slot<SlotChange::reset>>(env, exports, "resetTrainingSlot");
  add<change_slot<SlotChange::collect>>(env, exports, "collectInitialGradients");
  add<exchange<false>>(env, exports, "readTrainable");
  add<exchange<true>>(env, exports, "writeTrainable");
  add<profile_training>(env, exports, "profileTraining");
  add<release<Engine, Training>>(env, exports, "releaseTraining");
}

}  // namespace rwkv::addon
