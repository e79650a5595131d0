/** Where a block finds its sequence. A load takes hundreds of cycles: independent ones are made together. */
#pragma once

#include "kernels/step.h"

namespace rwkv {

/** Tokens [first, first + count) and the slot of a sequence; none where `count` is 0. */
struct SequenceTokens {
  uint32_t first, count, slot;
};

DEVICE SequenceTokens sequenceTokens(const Step* step, uint32_t sequence) {
  const uint32_t sequences = step->counts[kSequences], startsAt = step->startsAt, slotsAt = step->slotsAt;
  if (sequence >= sequences) return {0, 0, 0};
  const uint32_t* starts = step->words() + startsAt + sequence;
  const uint32_t first = starts[0], end = starts[1], slot = step->words()[slotsAt + sequence];
  return {first, end - first, slot};
}

}  // namespace rwkv
