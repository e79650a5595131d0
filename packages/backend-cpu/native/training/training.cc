#include "training.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <utility>

#include "training-decoder.h"
#include "execute.h"

namespace rwkv::training {
namespace {

/** Numbers of a trainable that the optimiser takes at a time. */
constexpr size_t kChunk = 1u << 15;

using Clock = std::chrono::steady_clock;

/** Of the recurrences among the nodes, the most that one needs. */
size_t recurrence_scratch(const std::vector<Node>& nodes) {
  size_t most = 0;
  for (const Node& node : nodes) {
    const Instruction& own = node.instructions[0];
    switch (own.code) {
      case Code::wkv4:
      case Code::wkv4_backward: most = std::max(most, kWkv4TrainingScratch); break;
      case Code::wkv6:
      case Code::wkv6_backward:
        most = std::max(most, wkv6_training_scratch_bytes(static_cast<size_t>(own.numbers[1])));
        break;
      case Code::wkv7:
      case Code::wkv7_backward:
        most = std::max(most, wkv7_training_scratch_bytes(static_cast<size_t>(own.numbers[1])));
        break;
      default: break;
    }
  }
  return most;
}

}  // namespace

/** One lesson's stretches, for the pool. */
class Training::Run final : public Stretches {
 public:
  Run(Training& training, const Plan& plan, const Lesson& lesson, const std::atomic<bool>& stop)
      : training_(training),
        plan_(plan),
        lesson_(lesson),
        stop_(stop),
        count_(lesson.backward ? plan.stretches.size() : plan.forward_stretches) {}

  const uint32_t* next() override {
    if (begun_ == count_ || stop_.load(std::memory_order_relaxed)) return nullptr;
    stretch_ = &plan_.stretches[begun_++];
    return stretch_->spans.data();
  }
  void task(uint32_t task, unsigned thread) override {
    PerThread& own = training_.per_thread_[thread];
    const Task& what = stretch_->tasks[task];
    Executor executor(training_, lesson_, own.scratch.data(), own.local.floats(),
                      training_.profiling_ ? &own.profile : nullptr);
    executor.run(training_.nodes_[what.node], what.units, what.columns);
  }

 private:
  Training& training_;
  const Plan& plan_;
  const Lesson& lesson_;
  const std::atomic<bool>& stop_;
  const size_t count_;
  const Stretch* stretch_ = nullptr;
  size_t begun_ = 0;
};

Training::Training(Parts parts)
    : kernels_(*parts.kernels),
      training_(*parts.training),
      weights_(std::move(parts.weights)),
      states_(std::move(parts.states)),
      state_gradients_(std::move(parts.state_gradients)),
      slots_(states_->slots()) {}

Training::Status Training::decode(const EncodedTraining& encoded, unsigned threads) {
  if (states_->specs() != state_gradients_->specs() || slots_ != state_gradients_->slots()) return Status::malformed;
  for (size_t spec = 0; spec < states_->specs(); spec++) {
    if (states_->state(spec).size != state_gradients_->state(spec).size) return Status::malformed;
  }
  const Status status = TrainingDecoder(*this, encoded).decode();
  if (status != Status::ok) return status;
  losses_.resize(limits_.wanted);
  const size_t scratch = std::max({kThreadScratch, training_.product_scratch, recurrence_scratch(nodes_)});
  per_thread_.resize(threads);
  for (PerThread& own : per_thread_) {
    if (!own.scratch.allocate(scratch) || !own.local.allocate(encoded.local_floats * sizeof(float))) {
      return Status::out_of_memory;
    }
  }
  return Status::ok;
}

bool Training::allocate_trainables() {
  size_t total = 0, initial = 0;
  for (Trainable& own : trainables_) {
    own.offset = total;
    total += aligned(own.count * sizeof(float)) / sizeof(float);
    if (own.is_state) initial += aligned(own.count * sizeof(float)) / sizeof(float);
  }
  for (Block* block : {&gradients_, &first_moments_, &second_moments_}) {
    if (!block->allocate(total * sizeof(float))) return false;
  }
  if (!initial_.allocate(initial * sizeof(float))) return false;
  initial = 0;
  for (uint32_t i = 0; i < trainables_.size(); i++) {
    Trainable& own = trainables_[i];
    if (own.is_state) {
      own.values = initial_.floats() + initial;
      initial += aligned(own.count * sizeof(float)) / sizeof(float);
      // All slots are as at first.
      memcpy(own.values, states_->state(own.index).slot(0), own.count * sizeof(float));
    }
    for (size_t begin = 0; begin < own.count; begin += kChunk) {
      chunks_.push_back({i, begin, std::min(kChunk, own.count - begin)});
    }
  }
  chunk_squares_.resize(chunks_.size());
  return true;
}

bool Training::accepts(const Lesson& lesson) const {
  const Step& step = lesson.step;
  if (step.tokens > limits_.tokens || step.sequences > limits_.sequences || step.wanted > limits_.wanted) return false;
  if (step.starts[0] != 0 || step.starts[step.sequences] != step.tokens) return false;
  for (uint32_t i = 0; i < step.sequences; i++) {
    if (step.starts[i + 1] <= step.starts[i] || step.slots[i] >= slots_) return false;
  }
  // Two sequences on one slot would write the same states at once.
  std::vector<uint32_t> slots(step.slots, step.slots + step.sequences);
  std::sort(slots.begin(), slots.end());
  if (std::adjacent_find(slots.begin(), slots.end()) != slots.end()) return false;
  for (uint32_t i = 0; i < step.tokens; i++) {
    if (step.token_ids[i] >= vocabulary_) return false;
  }
  for (uint32_t i = 0; i < step.wanted; i++) {
    if (step.wanted_rows[i] >= step.tokens || (i > 0 && step.wanted_rows[i] <= step.wanted_rows[i - 1])) return false;
    if (lesson.targets[i] >= output_width_) return false;
  }
  return true;
}

bool Training::run(ThreadPool& pool, const Lesson& lesson, const std::atomic<bool>& stop, double& loss) {
  loss = 0;
  if (lesson.step.tokens == 0) return true;
  if (pool.threads() > per_thread_.size()) return false;
  const auto start = Clock::now();
  const Plan& plan = plan_for(lesson.step, pool.threads());
  runs_++;
  Run work(*this, plan, lesson, stop);
  pool.run(work);
  for (uint32_t row = 0; row < lesson.step.wanted; row++) loss += losses_[row];
  if (!profiling_) return true;
  for (PerThread& own : per_thread_) {
    for (size_t code = 0; code < kCodes; code++) profile_.codes[code] += own.profile.codes[code];
    profile_.operations += own.profile.operations;
    own.profile = {};
  }
  profile_.runs += std::chrono::duration<double, std::milli>(Clock::now() - start).count();
  profile_.run_count++;
  return true;
}

double Training::gradient_norm(ThreadPool& pool) {
  pool.run_parts(static_cast<uint32_t>(chunks_.size()), [&](uint32_t index) {
    const Chunk& chunk = chunks_[index];
    const float* gradient = gradients_.floats() + trainables_[chunk.trainable].offset + chunk.begin;
    chunk_squares_[index] = training_.squares(gradient, chunk.count);
  });
  double total = 0;
  for (const double part : chunk_squares_) total += part;
  return std::sqrt(total);
}

UpdateResult Training::update(ThreadPool& pool, const Update& update) {
  const double norm = gradient_norm(pool);
  if (!std::isfinite(norm)) {
    memset(gradients_.data(), 0, gradients_.bytes());
    return {norm, false};
  }
  const double factor = norm > update.norm_limit ? update.norm_limit / norm : 1;
  pool.run_parts(static_cast<uint32_t>(chunks_.size()), [&](uint32_t index) {
    const Chunk& chunk = chunks_[index];
    const Trainable& own = trainables_[chunk.trainable];
    const size_t at = own.offset + chunk.begin;
    const double rate = update.learning_rate * own.learning_rate_factor;
    AdamArgs args{};
    args.values = own.values + chunk.begin;
    args.gradients = gradients_.floats() + at;
    args.first_moments = first_moments_.floats() + at;
    args.second_moments = second_moments_.floats() + at;
    args.gradient_factor = static_cast<float>(factor);
    args.beta1 = static_cast<float>(update.beta1);
    args.rest1 = static_cast<float>(1 - update.beta1);
    args.beta2 = static_cast<float>(update.beta2);
    args.rest2 = static_cast<float>(1 - update.beta2);
    args.decay = static_cast<float>(rate * update.weight_decay * own.weight_decay_factor);
    args.rate = static_cast<float>(rate / (1 - std::pow(update.beta1, update.step)));
    args.root_factor = static_cast<float>(1 / std::sqrt(1 - std::pow(update.beta2, update.step)));
    args.epsilon = static_cast<float>(update.epsilon);
    training_.adam(args, chunk.count);
  });
  return {norm, true};
}

void Training::reset_slot(size_t slot) {
  states_->reset(slot);
  state_gradients_->reset(slot);
  for (const Trainable& own : trainables_) {
    if (own.is_state) memcpy(states_->state(own.index).slot(slot), own.values, own.count * sizeof(float));
  }
}

void Training::collect_initial_gradients(size_t slot) {
  for (const Trainable& own : trainables_) {
    if (!own.is_state) continue;
    const float* from = state_gradients_->state(own.index).slot(slot);
    float* to = gradients_.floats() + own.offset;
    for (size_t i = 0; i < own.count; i++) to[i] += from[i];
  }
  state_gradients_->reset(slot);
}

float* Training::part_of(size_t trainable, TrainablePart part, size_t& count) const {
  if (trainable >= trainables_.size()) return nullptr;
  const Trainable& own = trainables_[trainable];
  count = own.count;
  switch (part) {
    case TrainablePart::value: return own.values;
    case TrainablePart::gradient: return gradients_.floats() + own.offset;
    case TrainablePart::first_moment: return first_moments_.floats() + own.offset;
    case TrainablePart::second_moment: return second_moments_.floats() + own.offset;
  }
  return nullptr;
}

void Training::set_profiling(bool on) {
  profiling_ = on;
  if (on) profile_ = {};
}

void Training::release() {
  nodes_.clear();
  plans_.clear();
  trainables_.clear();
  chunks_.clear();
  per_thread_.clear();
  losses_.clear();
  for (Block* block : {&arena_, &gradients_, &first_moments_, &second_moments_, &initial_}) block->release();
  weights_.reset();
  states_.reset();
  state_gradients_.reset();
}

}  // namespace rwkv::training
