#include "training-decoder.h"

#include <cmath>
#include <cstdint>
#include <utility>

namespace rwkv::training {
namespace {

/** Rows of an argument in the largest step. */
size_t rows_of(const View& view, const Limits& limits) {
  const auto blocks = [&](uint32_t rows) { return (rows + size_t{view.index} - 1) / view.index; };
  switch (view.extent) {
    case Extent::one:
    case Extent::records: return 1;
    case Extent::tokens: return limits.tokens;
    case Extent::wanted: return limits.wanted;
    case Extent::sequences: return limits.sequences;
    case Extent::token_blocks: return blocks(limits.tokens);
    case Extent::wanted_blocks: return blocks(limits.wanted);
  }
  return 0;
}

}  // namespace

double TrainingDecoder::word() {
  if (at_ < encoded_.count) return encoded_.words[at_++];
  ok_ = false;
  return 0;
}

size_t TrainingDecoder::count(size_t most) {
  const double value = word();
  if (value >= 0 && value <= static_cast<double>(most) && value == std::floor(value)) return static_cast<size_t>(value);
  ok_ = false;
  return 0;
}

Training::Status TrainingDecoder::decode() {
  training_.limits_ = encoded_.limits;
  const size_t trainables = count();
  for (size_t i = 0; i < trainables && ok_; i++) trainable();
  if (!ok_) return Training::Status::malformed;
  if (!training_.arena_.allocate(encoded_.arena_floats * sizeof(float)) || !training_.allocate_trainables()) {
    return Training::Status::out_of_memory;
  }
  uint32_t level = 0;
  Part part = Part::forward;
  while (ok_ && at_ < encoded_.count) {
    node();
    if (!ok_) break;
    const Node& own = training_.nodes_.back();
    if (own.level < level || own.part < part || training_.nodes_.size() >= kMostTasks / 4) ok_ = false;
    level = own.level;
    part = own.part;
  }
  return ok_ ? Training::Status::ok : Training::Status::malformed;
}

void TrainingDecoder::trainable() {
  Trainable own;
  own.is_state = count(1) == 1;
  own.index = small();
  own.learning_rate_factor = static_cast<float>(word());
  own.weight_decay_factor = static_cast<float>(word());
  if (!ok_) return;
  if (own.index >= (own.is_state ? training_.states_->specs() : training_.weights_->size())) {
    ok_ = false;
    return;
  }
  if (own.is_state) {
    own.count = training_.states_->state(own.index).size;
  } else {
    const Tensor& tensor = training_.weights_->tensor(own.index);
    if (!tensor.is_vector || training_.weights_->is_mapped()) ok_ = false;
    own.count = tensor.count();
    own.values = reinterpret_cast<float*>(training_.weights_->writable(own.index));
  }
  training_.trainables_.push_back(own);
}

void TrainingDecoder::node() {
  TokenBounds bounds{training_.vocabulary_, training_.output_width_};
  Node own;
  own.level = small();
  own.part = static_cast<Part>(count(2));
  own.units = static_cast<Units>(count(static_cast<size_t>(Units::one)));
  own.wanted = count(1) == 1;
  own.block_rows = small();
  own.nanoseconds = word();
  if (!(own.nanoseconds >= 0 && own.nanoseconds <= 1e12)) ok_ = false;
  const size_t instructions = count(1u << 16);
  if (instructions == 0 || (own.units == Units::row_blocks) != (own.block_rows > 0)) ok_ = false;
  if (own.units != Units::row_blocks && instructions > 1) ok_ = false;
  for (size_t i = 0; i < instructions && ok_; i++) {
    own.instructions.push_back(instruction());
    if (ok_ && !fits(own.instructions.back(), own, training_.limits_, bounds)) ok_ = false;
    if (!ok_) return;
    // Rows of a block lie in memory of the thread that works on it.
    for (const View& each : own.instructions.back().views) {
      if (each.base != Base::local) continue;
      const size_t end = each.offset + (own.block_rows - size_t{1}) * each.stride + each.width;
      if (own.units != Units::row_blocks || end > encoded_.local_floats) ok_ = false;
    }
  }
  training_.vocabulary_ = bounds.tokens;
  training_.output_width_ = bounds.targets;
  if (ok_) training_.nodes_.push_back(std::move(own));
}

Instruction TrainingDecoder::instruction() {
  Instruction own;
  own.code = static_cast<Code>(count(kCodes - 1));
  const size_t views = count(kMostViews);
  for (size_t i = 0; i < views && ok_; i++) own.views[i] = view();
  const size_t numbers = count(kMostNumbers);
  for (size_t i = 0; i < numbers && ok_; i++) own.numbers[i] = word();
  return own;
}

View TrainingDecoder::view() {
  View own;
  own.base = static_cast<Base>(count(static_cast<size_t>(Base::state_gradient)));
  own.extent = static_cast<Extent>(count(static_cast<size_t>(Extent::records)));
  own.index = small();
  own.offset = count();
  // So that products with 32 bits, and sums with an offset, do not wrap around.
  own.stride = count(INT32_MAX);
  own.width = count(size_t{1} << 40);
  if ((own.extent == Extent::token_blocks || own.extent == Extent::wanted_blocks) && own.index == 0) ok_ = false;
  if (!ok_) return own;
  size_t floats = 0;
  switch (own.base) {
    case Base::absent:
    case Base::local: return own;
    case Base::arena: floats = encoded_.arena_floats; break;
    case Base::weight:
      if (own.index < training_.weights_->size()) floats = training_.weights_->tensor(own.index).count();
      break;
    case Base::gradient:
      if (own.index < training_.trainables_.size()) floats = training_.trainables_[own.index].count;
      break;
    case Base::state:
    case Base::state_gradient:
      // A slot's numbers; the slot is known when a step runs.
      if (own.index < training_.states_->specs()) floats = training_.states_->state(own.index).size;
      if (own.offset != 0 || own.width != floats || own.extent != Extent::one) ok_ = false;
      return own;
  }
  const size_t rows = rows_of(own, training_.limits_);
  // Of no rows nothing is touched.
  if (rows > 0 && own.offset + (rows - 1) * own.stride + own.width > floats) ok_ = false;
  return own;
}

}  // namespace rwkv::training
