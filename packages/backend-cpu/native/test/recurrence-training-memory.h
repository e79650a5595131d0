/** What the tests of the recurrences for training speak of: a recurrence, and the memory of its passes, with guards. */
#pragma once

#include "ops-harness.h"
#include "training.h"

#include <memory>

namespace rwkv {

struct Shape {
  size_t tokens, size;
};

/** A range that an input's random numbers are from. */
struct Input {
  std::string name;
  double low, high;
};

enum class Use { absent, assign, add };

/** All arguments of both passes, with guards around each. */
struct Memory {
  Shape shape;
  /** [tokens, size] each, in the order of the contract, and their gradients. */
  std::vector<std::unique_ptr<Block>> rows;
  std::vector<std::shared_ptr<Block>> row_gradients;
  /** [size] each, and their gradients. */
  std::vector<std::unique_ptr<Block>> parameters, totals;
  std::vector<Use> uses;
  bool out_matters = true, totals_matter = true, records = true;
  std::unique_ptr<Block> out, out_gradient, state, state_gradient, record, scratch;

  Gradient gradient(size_t input) const {
    if (uses[input] == Use::absent) return {};
    return {row_gradients[input]->view(), uses[input] == Use::add};
  }
  float* total(size_t parameter) const { return totals_matter ? totals[parameter]->data() : nullptr; }
  Rows given_out_gradient() const { return out_matters ? out_gradient->view() : Rows{}; }
  float* kept() const { return records ? record->data() : nullptr; }
  /** Scratch whose content is lost, as it is between calls. */
  uint8_t* fresh_scratch() const {
    scratch->fill(guard);
    return reinterpret_cast<uint8_t*>(scratch->data());
  }
};

/** Numbers of a plain pass, in one list: rows after rows, then parameters, then the state. */
using Numbers = std::vector<double>;

struct Recurrence {
  std::string name;
  std::vector<Input> rows, parameters;
  std::vector<size_t> sizes;
  /** The state is [state_rows, state_width]. */
  std::function<size_t(size_t size)> state_rows, state_width;
  /** Lies in rows of a stride of their own. */
  bool state_has_gaps = false;
  /** The number of the initial state at a place. */
  std::function<float(size_t row, size_t column)> initial;
  std::function<size_t(Shape)> record_floats, scratch_bytes;
  /** out [tokens, size], then the state after. */
  std::function<Numbers(Shape, const Numbers&)> forward;
  /** From the gradients of what `forward` gives, those of what it is given. */
  std::function<Numbers(Shape, const Numbers&, const Numbers&)> backward;
  std::function<void(const RecurrenceTraining&, const Memory&)> run_forward, run_backward;
  /** In units of the largest number of a gradient. */
  double tolerance;
};

inline void append(Numbers& list, const Block& block) {
  for (size_t t = 0; t < block.rows; t++) {
    for (size_t c = 0; c < block.width; c++) list.push_back(block.at(t, c));
  }
}

inline Numbers given(const Memory& memory) {
  Numbers list;
  for (const auto& block : memory.rows) append(list, *block);
  for (const auto& block : memory.parameters) append(list, *block);
  append(list, *memory.state);
  return list;
}

/** Random numbers for `shape`; gradients hold random numbers too, which show whether they were added to. */
inline Memory make_memory(const Recurrence& recurrence, Shape shape) {
  Memory memory;
  memory.shape = shape;
  size_t gap = 1;
  const auto block = [&](size_t rows, size_t width, double low, double high) {
    auto made = std::make_unique<Block>(rows, width, gap++ % 5);
    made->random(static_cast<float>(low), static_cast<float>(high));
    return made;
  };
  for (const Input& input : recurrence.rows) {
    memory.rows.push_back(block(shape.tokens, shape.size, input.low, input.high));
    memory.row_gradients.push_back(block(shape.tokens, shape.size, -1, 1));
    memory.uses.push_back(Use::assign);
  }
  for (const Input& input : recurrence.parameters) {
    memory.parameters.push_back(block(1, shape.size, input.low, input.high));
    memory.totals.push_back(block(1, shape.size, -1, 1));
  }
  memory.out = block(shape.tokens, shape.size, -1, 1);
  memory.out_gradient = block(shape.tokens, shape.size, -1, 1);
  const size_t state_rows = recurrence.state_rows(shape.size);
  const size_t state_width = recurrence.state_width(shape.size);
  const size_t state_gap = recurrence.state_has_gaps ? 3 : 0;
  memory.state = std::make_unique<Block>(state_rows, state_width, state_gap);
  for (size_t row = 0; row < state_rows; row++) {
    for (size_t c = 0; c < state_width; c++) memory.state->row(row)[c] = recurrence.initial(row, c);
  }
  memory.state_gradient = std::make_unique<Block>(state_rows, state_width, state_gap);
  memory.state_gradient->random();
  memory.record = std::make_unique<Block>(1, recurrence.record_floats(shape));
  memory.scratch = std::make_unique<Block>(1, recurrence.scratch_bytes(shape) / sizeof(float));
  return memory;
}

}  // namespace rwkv
