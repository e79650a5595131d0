/** Doing units of nodes: arguments become addresses, and kernels are called. */
#pragma once

#include "training.h"

namespace rwkv::training {

/** One thread's view of a run. */
class Executor {
 public:
  /** `local`: rows of a block, where a chain keeps what nobody else needs. */
  Executor(Training& training, const Lesson& lesson, uint8_t* scratch, float* local, TrainingProfile* profile)
      : training_(training), lesson_(lesson), step_(lesson.step), scratch_(scratch), local_(local), profile_(profile) {}

  void run(const Node& node, Range units, Range columns);

 private:
  void chain(const Node& node, size_t block);
  void row_instruction(const Instruction& instruction, Range rows, size_t block);
  bool forward_rows(const Instruction& instruction, Range rows);
  void backward_rows(const Instruction& instruction, Range rows, size_t block);
  void product(const Node& node, const Instruction& instruction, Range rows, Range columns);
  void wkv4(const Instruction& instruction, Range units);
  void wkv4_backward(const Instruction& instruction, Range units);
  void wkv6(const Instruction& instruction, Range units);
  void wkv6_backward(const Instruction& instruction, Range units);
  void wkv7(const Instruction& instruction, Range units);
  void wkv7_backward(const Instruction& instruction, Range units);
  void single(const Instruction& instruction, Range units);
  void embed(const Instruction& instruction, Range rows);
  void commit_shift_backward(const Instruction& instruction, Range sequences);

  float* address(const View& view) const;
  Rows rows(const View& view) const;
  /** Rows of a sequence from its first token on, from a column on. */
  Rows part(const View& view, size_t token, size_t column) const;
  Gradient gradient(const View& view, double add) const { return {rows(view), add != 0}; }
  State state(const View& view) const;
  float* sums(const View& view, size_t block) const;

  Training& training_;
  const Lesson& lesson_;
  const Step& step_;
  uint8_t* const scratch_;
  float* const local_;
  TrainingProfile* const profile_;
  /** The first row of the block in work, where rows of a chain's own begin. */
  size_t block_begin_ = 0;
};

}  // namespace rwkv::training
