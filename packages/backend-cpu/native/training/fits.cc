/** What the arguments of each instruction must be, in the order that src/training/forward.ts and backward.ts have. */
#include <algorithm>
#include <cmath>

#include "../kernels/training-recurrences.h"
#include "training-decoder.h"

namespace rwkv::training {
namespace {

/** Reads the arguments of one instruction and remembers whether all were as they should be. */
class Arguments {
 public:
  Arguments(const Instruction& instruction, const Node& node) : instruction_(instruction), node_(node) {}

  bool ok() const { return ok_; }
  void require(bool condition) { ok_ = ok_ && condition; }

  /** A whole number from 1. */
  size_t size(size_t index) {
    const double value = instruction_.numbers[index];
    require(value >= 1 && value <= INT32_MAX && value == std::floor(value));
    return ok_ ? static_cast<size_t>(value) : 0;
  }
  void activation(size_t index) {
    const double value = instruction_.numbers[index];
    require(value >= 0 && value < kActivations && value == std::floor(value));
  }
  void groups(size_t width, size_t index) {
    const size_t groups = size(index);
    require(groups > 0 && width % groups == 0);
  }

  /** Rows of the node's own kind, or of another. */
  void rows(size_t index, size_t width) { rows(index, width, node_.wanted ? Extent::wanted : Extent::tokens); }
  void rows(size_t index, size_t width, Extent extent) {
    const View& view = instruction_.views[index];
    require(view && view.extent == extent && view.width >= width && view.stride >= width);
    require(view.base == Base::arena || view.base == Base::local);
  }
  void optional_rows(size_t index, size_t width) {
    if (instruction_.views[index]) rows(index, width);
  }
  /** Numbers that all rows share. */
  void shared(size_t index, size_t width) {
    const View& view = instruction_.views[index];
    require(view && view.extent == Extent::one && view.stride == 0 && view.width >= width);
    require(view.base == Base::arena || view.base == Base::weight);
  }
  void operand(size_t index, size_t width) {
    if (instruction_.views[index].extent == Extent::one) shared(index, width);
    else rows(index, width);
  }
  void gradient(size_t index, size_t width) {
    const View& view = instruction_.views[index];
    require(view.base == Base::gradient && view.extent == Extent::one && view.width >= width);
  }
  /** A sum for each of the node's blocks of rows. */
  void optional_sums(size_t index, size_t width) {
    const View& view = instruction_.views[index];
    if (!view) return;
    require(view.base == Base::arena && view.width >= width && view.stride >= width);
    require(view.extent == (node_.wanted ? Extent::wanted_blocks : Extent::token_blocks));
    require(view.index == node_.block_rows);
  }
  /** A row for each sequence. */
  void sequence_rows(size_t index, size_t width) {
    const View& view = instruction_.views[index];
    require(view.base == Base::arena && view.extent == Extent::sequences);
    require(view.width >= width && view.stride >= width);
  }
  void state(size_t index, size_t numbers, Base base) {
    require(instruction_.views[index].base == base && instruction_.views[index].width == numbers);
  }
  void record(size_t index, size_t numbers) {
    const View& view = instruction_.views[index];
    require(view.base == Base::arena && view.extent == Extent::records && view.width >= numbers);
  }
  void units(Units units) { require(node_.units == units); }
  bool has(size_t index) const { return static_cast<bool>(instruction_.views[index]); }

 private:
  const Instruction& instruction_;
  const Node& node_;
  bool ok_ = true;
};

void fit_product(Arguments& arguments, const Instruction& instruction) {
  arguments.units(Units::product);
  const double form = instruction.numbers[0];
  arguments.require(form == 0 || form == 1 || form == 2);
  const size_t inputs = arguments.size(2), outputs = arguments.size(3);
  const View& weight = instruction.views[form == 2 ? 2 : 1];
  arguments.require(weight.extent == Extent::one && weight.base == (form == 2 ? Base::gradient : Base::weight) &&
                    weight.width == inputs * outputs);
  arguments.rows(0, form == 0 ? inputs : outputs);
  arguments.rows(form == 2 ? 1 : 2, form == 0 ? outputs : inputs);
}

void fit_wkv4(Arguments& arguments, const Limits& limits, bool backward) {
  arguments.units(Units::sequence_parts);
  const size_t channels = arguments.size(0);
  if (!arguments.ok()) return;
  const size_t blocks = (channels + kWkv4Block - 1) / kWkv4Block;
  const size_t record = blocks * (limits.tokens / kCheckpointTokens + limits.sequences) * 3 * padded_row(kWkv4Block);
  for (const size_t index : {0, 1}) arguments.rows(index, channels);
  for (const size_t index : {2, 3}) arguments.shared(index, channels);
  if (!backward) {
    arguments.rows(4, channels);
    arguments.state(5, 3 * channels, Base::state);
    arguments.record(6, record);
    return;
  }
  for (const size_t index : {4, 6, 7}) arguments.optional_rows(index, channels);
  arguments.record(5, record);
  for (const size_t index : {8, 9}) {
    if (arguments.has(index)) arguments.sequence_rows(index, channels);
  }
  arguments.state(10, 3 * channels, Base::state_gradient);
}

void fit_wkv6(Arguments& arguments, const Limits& limits, bool backward) {
  arguments.units(Units::sequence_parts);
  const size_t heads = arguments.size(0), size = arguments.size(1), width = heads * size;
  arguments.require(size <= kMaxHeadSize);
  if (!arguments.ok()) return;
  const size_t checkpoints = limits.tokens / kCheckpointTokens + limits.sequences;
  const size_t record = heads * checkpoints * size * padded_row(size);
  for (const size_t index : {0, 1, 2}) arguments.rows(index, width);
  arguments.operand(3, width);
  arguments.shared(4, width);
  if (!backward) {
    arguments.rows(5, width);
    arguments.state(6, width * size, Base::state);
    arguments.record(7, record);
    return;
  }
  for (const size_t index : {5, 7, 8, 9, 10}) arguments.optional_rows(index, width);
  arguments.record(6, record);
  for (const size_t index : {11, 12}) {
    if (arguments.has(index)) arguments.sequence_rows(index, width);
  }
  arguments.state(13, width * size, Base::state_gradient);
}

void fit_wkv7(Arguments& arguments, const Limits& limits, bool backward) {
  arguments.units(Units::sequence_parts);
  const size_t heads = arguments.size(0), size = arguments.size(1), width = heads * size;
  arguments.require(size <= kMaxHeadSize);
  if (!arguments.ok()) return;
  const size_t checkpoints = limits.tokens / kCheckpointTokens + limits.sequences;
  const size_t record = heads * (checkpoints * size + limits.tokens) * padded_row(size);
  for (const size_t index : {0, 1, 2, 3, 4, 5}) arguments.rows(index, width);
  if (!backward) {
    arguments.rows(6, width);
    arguments.state(7, width * size, Base::state);
    arguments.record(8, record);
    return;
  }
  for (const size_t index : {6, 8, 9, 10, 11, 12, 13}) arguments.optional_rows(index, width);
  arguments.record(7, record);
  arguments.state(14, width * size, Base::state_gradient);
}

void fit_forward_rows(Arguments& arguments, const Instruction& instruction, TokenBounds& bounds) {
  arguments.units(Units::row_blocks);
  const size_t first = arguments.size(0);
  switch (instruction.code) {
    case Code::embed: {
      const View& table = instruction.views[0];
      arguments.require(table.base == Base::weight && table.extent == Extent::one && first > 0);
      if (!arguments.ok()) return;
      bounds.tokens = static_cast<uint32_t>(std::min<size_t>(bounds.tokens, table.width / first));
      return arguments.rows(1, first, Extent::tokens);
    }
    case Code::select_rows:
      arguments.rows(0, first, Extent::tokens);
      return arguments.rows(1, first, Extent::wanted);
    case Code::norm:
      arguments.groups(first, 1);
      for (const size_t index : {0, 1}) arguments.rows(index, first);
      for (const size_t index : {2, 3}) arguments.shared(index, first);
      return;
    case Code::l2_norm:
      arguments.groups(first, 1);
      for (const size_t index : {0, 1}) arguments.rows(index, first);
      return;
    case Code::shift:
      for (const size_t index : {0, 1}) arguments.rows(index, first, Extent::tokens);
      arguments.state(2, first, Base::state);
      return arguments.sequence_rows(3, first);
    case Code::lerp:
      for (const size_t index : {0, 1, 3}) arguments.rows(index, first);
      return arguments.operand(2, first);
    case Code::row_matmul: {
      const size_t width = arguments.size(1);
      arguments.rows(0, first);
      arguments.rows(1, first * width);
      return arguments.rows(2, width);
    }
    case Code::add:
    case Code::mul:
      arguments.operand(1, first);
      for (const size_t index : {0, 2}) arguments.rows(index, first);
      return;
    case Code::activate: arguments.activation(1); [[fallthrough]];
    case Code::scale:
    case Code::copy:
      for (const size_t index : {0, 1}) arguments.rows(index, first);
      return;
    case Code::bonus7: {
      const size_t width = first * arguments.size(1);
      for (const size_t index : {0, 1, 2, 4}) arguments.rows(index, width);
      return arguments.shared(3, width);
    }
    default: return arguments.require(false);
  }
}

void fit_backward_rows(Arguments& arguments, const Instruction& instruction) {
  arguments.units(Units::row_blocks);
  const size_t first = arguments.size(0);
  switch (instruction.code) {
    case Code::select_rows_backward:
      arguments.rows(0, first, Extent::wanted);
      return arguments.rows(1, first, Extent::tokens);
    case Code::norm_backward:
      arguments.groups(first, 1);
      for (const size_t index : {0, 1}) arguments.rows(index, first);
      arguments.shared(2, first);
      arguments.optional_rows(3, first);
      for (const size_t index : {4, 5}) arguments.optional_sums(index, first);
      return;
    case Code::l2_norm_backward:
      arguments.groups(first, 1);
      for (const size_t index : {0, 1, 2}) arguments.rows(index, first);
      return;
    case Code::shift_backward:
      if (arguments.has(0)) arguments.rows(0, first, Extent::tokens);
      arguments.state(1, first, Base::state_gradient);
      return arguments.rows(2, first, Extent::tokens);
    case Code::lerp_backward:
      for (const size_t index : {0, 1, 3}) arguments.rows(index, first);
      arguments.operand(2, first);
      for (const size_t index : {4, 5, 6}) arguments.optional_rows(index, first);
      return arguments.optional_sums(7, first);
    case Code::row_matmul_backward: {
      const size_t width = arguments.size(1);
      arguments.rows(0, first);
      arguments.rows(1, first * width);
      arguments.rows(2, width);
      arguments.optional_rows(3, first);
      return arguments.optional_rows(4, first * width);
    }
    case Code::add_backward:
      arguments.rows(0, first);
      for (const size_t index : {1, 2}) arguments.optional_rows(index, first);
      return arguments.optional_sums(3, first);
    case Code::mul_backward:
      for (const size_t index : {0, 2}) arguments.rows(index, first);
      arguments.operand(1, first);
      for (const size_t index : {3, 4}) arguments.optional_rows(index, first);
      return arguments.optional_sums(5, first);
    case Code::scale_backward:
      for (const size_t index : {0, 1}) arguments.rows(index, first);
      return;
    case Code::activate_backward:
      arguments.activation(1);
      for (const size_t index : {0, 1, 2}) arguments.rows(index, first);
      return;
    case Code::slice_backward: {
      const size_t width = arguments.size(1);
      const double start = instruction.numbers[2];
      arguments.require(start >= 0 && start == std::floor(start));
      arguments.require(start + static_cast<double>(first) <= static_cast<double>(width));
      arguments.rows(0, first);
      return arguments.rows(1, width);
    }
    case Code::bonus7_backward: {
      const size_t width = first * arguments.size(1);
      for (const size_t index : {0, 1, 2, 4}) arguments.rows(index, width);
      arguments.shared(3, width);
      for (const size_t index : {5, 6, 7}) arguments.optional_rows(index, width);
      return arguments.optional_sums(8, width);
    }
    default: return arguments.require(false);
  }
}

void fit_parameter_backward(Arguments& arguments, const Instruction& instruction) {
  arguments.units(Units::column_blocks);
  const size_t count = arguments.size(0), repeat = arguments.size(1);
  arguments.activation(2);
  const View& sums = instruction.views[0];
  arguments.require(sums.base == Base::arena && sums.width == count * repeat && sums.stride == sums.width);
  arguments.require(sums.extent == Extent::token_blocks || sums.extent == Extent::wanted_blocks ||
                    sums.extent == Extent::sequences);
  const View& weight = instruction.views[1];
  arguments.require(weight.base == Base::weight && weight.width >= count && weight.extent == Extent::one);
  arguments.gradient(2, count);
}

}  // namespace

bool fits(const Instruction& instruction, const Node& node, const Limits& limits, TokenBounds& bounds) {
  Arguments arguments(instruction, node);
  switch (instruction.code) {
    case Code::parameter: {
      arguments.units(Units::one);
      const size_t count = arguments.size(0), repeat = arguments.size(1);
      arguments.activation(2);
      arguments.shared(0, count);
      arguments.shared(1, count * repeat);
      arguments.require(instruction.views[1].base == Base::arena);
      break;
    }
    case Code::commit_shift:
      arguments.units(Units::sequences);
      arguments.state(0, arguments.size(0), Base::state);
      arguments.sequence_rows(1, arguments.size(0));
      break;
    case Code::commit_shift_backward:
      arguments.units(Units::sequences);
      if (arguments.has(0)) arguments.rows(0, arguments.size(0), Extent::tokens);
      arguments.state(1, arguments.size(0), Base::state_gradient);
      break;
    case Code::cross_entropy:
      arguments.units(Units::rows);
      for (const size_t index : {0, 1}) arguments.rows(index, arguments.size(0), Extent::wanted);
      bounds.targets = static_cast<uint32_t>(std::min<size_t>(bounds.targets, arguments.size(0)));
      break;
    case Code::embed_backward: {
      arguments.units(Units::column_blocks);
      const size_t width = arguments.size(0);
      arguments.rows(0, width, Extent::tokens);
      arguments.gradient(1, width);
      if (!arguments.ok()) break;
      bounds.tokens = static_cast<uint32_t>(std::min<size_t>(bounds.tokens, instruction.views[1].width / width));
      break;
    }
    case Code::product: fit_product(arguments, instruction); break;
    case Code::wkv4: fit_wkv4(arguments, limits, false); break;
    case Code::wkv6: fit_wkv6(arguments, limits, false); break;
    case Code::wkv7: fit_wkv7(arguments, limits, false); break;
    case Code::wkv4_backward: fit_wkv4(arguments, limits, true); break;
    case Code::wkv6_backward: fit_wkv6(arguments, limits, true); break;
    case Code::wkv7_backward: fit_wkv7(arguments, limits, true); break;
    case Code::parameter_backward: fit_parameter_backward(arguments, instruction); break;
    default:
      if (instruction.code < Code::parameter) fit_forward_rows(arguments, instruction, bounds);
      else fit_backward_rows(arguments, instruction);
  }
  return arguments.ok();
}

}  // namespace rwkv::training
