/**
 * What training is made of: instructions over memory, in nodes that threads share out, sent by encode-training.ts.
 *
 * A node is one instruction that is cut in its own way (a product, a recurrence), or a chain of instructions on rows,
 * of which a task takes a block of rows through all: what one writes the next finds in the cache.
 */
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "../kernels/types.h"

namespace rwkv::training {

/** The order of `instructionNames` in src/training/native-training.ts. */
enum class Code : int32_t {
  embed,
  select_rows,
  norm,
  l2_norm,
  shift,
  lerp,
  row_matmul,
  add,
  mul,
  scale,
  activate,
  copy,
  bonus7,
  parameter,
  commit_shift,
  product,
  wkv4,
  wkv6,
  wkv7,
  cross_entropy,
  embed_backward,
  select_rows_backward,
  norm_backward,
  l2_norm_backward,
  shift_backward,
  lerp_backward,
  row_matmul_backward,
  add_backward,
  mul_backward,
  scale_backward,
  activate_backward,
  slice_backward,
  bonus7_backward,
  parameter_backward,
  commit_shift_backward,
  wkv4_backward,
  wkv6_backward,
  wkv7_backward,
};
constexpr size_t kCodes = 38;

/** Where an argument lies. The order is that of `bases` in src/training/native-training.ts. */
enum class Base : uint8_t { absent, arena, local, weight, gradient, state, state_gradient };

/** How many rows an argument has. The order is that of `extents` in src/training/native-training.ts. */
enum class Extent : uint8_t { one, tokens, wanted, sequences, token_blocks, wanted_blocks, records };

/** Rows of `width` numbers, `stride` apart, from `offset` of its base on. */
struct View {
  Base base = Base::absent;
  Extent extent = Extent::one;
  /** Which weight, trainable or state; of blocks, the rows in one. */
  uint32_t index = 0;
  size_t offset = 0;
  size_t stride = 0;
  size_t width = 0;

  explicit operator bool() const { return base != Base::absent; }
};

constexpr size_t kMostViews = 16;
constexpr size_t kMostNumbers = 12;

struct Instruction {
  Code code = Code::copy;
  View views[kMostViews];
  double numbers[kMostNumbers] = {};
};

/** What a node's units are. */
enum class Units : uint8_t { row_blocks, product, sequence_parts, sequences, rows, column_blocks, one };

enum class Part : uint8_t { forward, loss, backward };

struct Node {
  uint32_t level = 0;
  Part part = Part::forward;
  Units units = Units::one;
  /** Whether rows are wanted ones rather than tokens. */
  bool wanted = false;
  /** Rows that a task takes through a chain at a time. */
  uint32_t block_rows = 0;
  /** About how long a row takes, or a unit, in nanoseconds. */
  double nanoseconds = 0;
  std::vector<Instruction> instructions;
};

}  // namespace rwkv::training
