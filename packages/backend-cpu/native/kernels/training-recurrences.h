/**
 * The recurrences for training: arguments, memory and the table of functions; the formulas of their gradients are in
 * ops/wkv4.training.h, wkv6.training.h and wkv7.training.h.
 *
 * One call is one unit of work: one sequence and one head, or for RWKV-4 one sequence and any number of neighbouring
 * channels. Calls are independent of each other, and the same call gives the same bits on the same instruction set.
 * Row 0 of all rows is the sequence's first token, column 0 the head's or block's first number.
 *
 * A forward pass records the state before every kCheckpointTokens-th token in memory that the caller keeps for the
 * backward pass of the same inputs. That walks those stretches from the last to the first: it computes a stretch's
 * states again, then goes backward through its tokens. So memory grows with tokens / kCheckpointTokens states, and no
 * state is ever computed by undoing an update.
 *
 * Gradients of rows are each optional (no data: not wanted), and assigned or added to. A token's are written
 * one after the other in the order of the op's inputs as the contract has them, so that where an op reads one value
 * twice, both may go to the same memory, the first assigned and the second added. They lie in no memory that is read.
 * Sums over all tokens (`…_total`, optional) are always assigned: the caller adds those of its sequences in an order
 * of its own. No tokens: states and their gradients stay, totals are 0.
 *
 * All memory of floats may have any alignment that floats may have; 64 bytes is best. Kernels neither allocate nor
 * fail.
 */
#pragma once

#include "types.h"

namespace rwkv {

/** Tokens from one recorded state to the next. At N = 64 RWKV-7's states of as many are 256 KiB: in a second cache. */
constexpr size_t kCheckpointTokens = 16;

/** Numbers that a row of N takes in records and scratch, where rows have no tails. */
RWKV_INLINE size_t padded_row(size_t width) { return (width + 15) / 16 * 16; }
RWKV_INLINE size_t checkpoint_count(size_t tokens) { return (tokens + kCheckpointTokens - 1) / kCheckpointTokens; }

/** Where the gradient of an operand goes. */
struct Gradient {
  Rows rows;
  /** To be added to what is there. */
  bool add = false;

  RWKV_INLINE explicit operator bool() const { return rows.data != nullptr; }
};

// ---- RWKV-7; state [N(value), N(key)] ---------------------------------------------------------------------------

struct Wkv7TrainingArgs {
  size_t tokens, head_size;
  /** [tokens, N] each, at strides of their own. */
  Rows r, w, k, v, a, b;
  Rows out;
  /** [N, N]: in, the state before the first token; out, after the last. */
  float* state;
  /** wkv7_record_floats numbers for the backward pass, or null where there is none. */
  float* record;
};

struct Wkv7BackwardArgs {
  size_t tokens, head_size;
  Rows r, w, k, v, a, b;
  /** Absent where the loss depends on the state only. */
  Rows out_gradient;
  /** As the forward pass of the same inputs wrote it. */
  const float* record;
  Gradient r_gradient, w_gradient, k_gradient, v_gradient, a_gradient, b_gradient;
  /** [N, N]: in, with respect to the state after the last token; out, to the state before the first. */
  float* state_gradient;
};

/** States, and a row for each token: S a. */
RWKV_INLINE size_t wkv7_record_floats(size_t tokens, size_t head_size) {
  return (checkpoint_count(tokens) * head_size + tokens) * padded_row(head_size);
}

/** Of either pass, aligned to 64. */
RWKV_INLINE size_t wkv7_training_scratch_bytes(size_t head_size) {
  const size_t rows = (kCheckpointTokens + 1) * head_size + 8 * kCheckpointTokens + 16;
  return rows * padded_row(head_size) * sizeof(float);
}

// ---- RWKV-5 and RWKV-6; state [N(key), N(value)] ----------------------------------------------------------------

struct Wkv6TrainingArgs {
  size_t tokens, head_size;
  /** [tokens, N] each; a decay that is a parameter has stride 0. */
  Rows r, k, v, decay;
  /** [N], as `decay` a parameter of one number per head is spread to N. */
  const float* first;
  Rows out;
  /** [N, N]: in, the state before the first token; out, after the last. */
  float* state;
  /** wkv6_record_floats numbers for the backward pass, or null where there is none. */
  float* record;
};

struct Wkv6BackwardArgs {
  size_t tokens, head_size;
  Rows r, k, v, decay;
  const float* first;
  /** Absent where the loss depends on the state only. */
  Rows out_gradient;
  /** As the forward pass of the same inputs wrote it. */
  const float* record;
  /** `decay_gradient` of a decay that is a value, `decay_total` [N] of one that is a parameter. */
  Gradient r_gradient, k_gradient, v_gradient, decay_gradient;
  float* decay_total;
  /** [N] */
  float* first_total;
  /** [N, N]: in, with respect to the state after the last token; out, to the state before the first. */
  float* state_gradient;
};

RWKV_INLINE size_t wkv6_record_floats(size_t tokens, size_t head_size) {
  return checkpoint_count(tokens) * head_size * padded_row(head_size);
}

/** Of either pass, aligned to 64. */
RWKV_INLINE size_t wkv6_training_scratch_bytes(size_t head_size) {
  return (head_size + 17 * kCheckpointTokens + 16) * padded_row(head_size) * sizeof(float);
}

// ---- RWKV-4; state [3, C]: a, b, p -------------------------------------------------------------------------------

struct Wkv4TrainingArgs {
  size_t tokens, channels;
  /** [tokens, channels] each, at strides of their own. */
  Rows k, v;
  /** [channels] */
  const float* decay;
  const float* first;
  Rows out;
  /** [3, channels], a row every `state_stride` numbers: in, the state before the first token; out, after the last. */
  float* state;
  size_t state_stride;
  /** wkv4_record_floats numbers for the backward pass, or null where there is none. */
  float* record;
};

struct Wkv4BackwardArgs {
  size_t tokens, channels;
  Rows k, v;
  const float* decay;
  const float* first;
  /** Absent where the loss depends on the state only. */
  Rows out_gradient;
  /** As the forward pass of the same inputs wrote it. */
  const float* record;
  Gradient k_gradient, v_gradient;
  /** [channels] each. */
  float* decay_total;
  float* first_total;
  /**
   * [3, channels], a row every `state_stride` numbers: in, with respect to each of a, b and p after the last token;
   * out, before the first.
   */
  float* state_gradient;
  size_t state_stride;
};

RWKV_INLINE size_t wkv4_record_floats(size_t tokens, size_t channels) {
  return checkpoint_count(tokens) * 3 * padded_row(channels);
}

/** Of the backward pass, aligned to 64, for any number of channels; the forward pass needs none. */
constexpr size_t kWkv4TrainingScratch = 64u << 10;

// ---- The table --------------------------------------------------------------------------------------------------

struct RecurrenceTraining {
  void (*wkv4)(const Wkv4TrainingArgs&);
  void (*wkv4_backward)(const Wkv4BackwardArgs&, uint8_t* scratch);
  void (*wkv6)(const Wkv6TrainingArgs&, uint8_t* scratch);
  void (*wkv6_backward)(const Wkv6BackwardArgs&, uint8_t* scratch);
  void (*wkv7)(const Wkv7TrainingArgs&, uint8_t* scratch);
  void (*wkv7_backward)(const Wkv7BackwardArgs&, uint8_t* scratch);
};

}  // namespace rwkv
