/** The words of src/training/encode as nodes whose arguments are known to lie in memory. */
#pragma once

#include "training.h"

namespace rwkv::training {

/**
 * The encoder is ours, so a word out of place is a mistake of this package; it is `malformed` all the same, since what
 * would follow is a write to a wild address.
 */
class TrainingDecoder {
 public:
  TrainingDecoder(Training& training, const EncodedTraining& encoded) : training_(training), encoded_(encoded) {}

  Training::Status decode();

 private:
  double word();
  /** A whole number from 0, at most `most`. */
  size_t count(size_t most = size_t{1} << 48);
  uint32_t small(size_t most = UINT32_MAX) { return static_cast<uint32_t>(count(most)); }

  void trainable();
  void node();
  Instruction instruction();
  View view();

  Training& training_;
  const EncodedTraining& encoded_;
  size_t at_ = 0;
  bool ok_ = true;
};

/** Token ids, and targets, are below these, by what the instructions so far index with them. */
struct TokenBounds {
  uint32_t tokens;
  uint32_t targets;
};

/** Whether an instruction's arguments have the sizes that its kernel takes for granted. */
bool fits(const Instruction& instruction, const Node& node, const Limits& limits, TokenBounds& bounds);

}  // namespace rwkv::training
