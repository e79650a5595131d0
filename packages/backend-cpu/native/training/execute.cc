#include "execute.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <ctime>

namespace rwkv::training {
namespace {

/** The thread's own time where the system tells it: one that lost its processor counts only what it did. */
double milliseconds() {
#if defined(CLOCK_THREAD_CPUTIME_ID)
  timespec time;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) * 1e3 + static_cast<double>(time.tv_nsec) * 1e-6;
#else
  using Clock = std::chrono::steady_clock;
  return std::chrono::duration<double, std::milli>(Clock::now().time_since_epoch()).count();
#endif
}

}  // namespace

void Executor::run(const Node& node, Range units, Range columns) {
  if (node.units == Units::row_blocks) {
    for (size_t block = units.begin; block < units.end; block++) chain(node, block);
    return;
  }
  const Instruction& instruction = node.instructions[0];
  const double start = profile_ ? milliseconds() : 0;
  if (node.units == Units::product) product(node, instruction, units, columns);
  else single(instruction, units);
  if (profile_) profile_->codes[static_cast<size_t>(instruction.code)] += milliseconds() - start;
}

void Executor::chain(const Node& node, size_t block) {
  const size_t count = node.wanted ? step_.wanted : step_.tokens;
  const size_t begin = block * node.block_rows;
  const Range rows{begin, std::min<size_t>(count, begin + node.block_rows)};
  block_begin_ = begin;
  for (const Instruction& instruction : node.instructions) {
    const double start = profile_ ? milliseconds() : 0;
    row_instruction(instruction, rows, block);
    if (profile_) profile_->codes[static_cast<size_t>(instruction.code)] += milliseconds() - start;
  }
}

void Executor::row_instruction(const Instruction& instruction, Range rows, size_t block) {
  if (!forward_rows(instruction, rows)) backward_rows(instruction, rows, block);
}

float* Executor::address(const View& view) const {
  switch (view.base) {
    case Base::absent: return nullptr;
    case Base::arena: return training_.arena_.floats() + view.offset;
    case Base::local: return local_ + view.offset - block_begin_ * view.stride;
    case Base::weight:
      return reinterpret_cast<float*>(training_.weights_->writable(view.index)) + view.offset;
    case Base::gradient: return training_.gradients_.floats() + training_.trainables_[view.index].offset + view.offset;
    case Base::state:
    case Base::state_gradient: return nullptr;
  }
  return nullptr;
}

Rows Executor::rows(const View& view) const { return {address(view), view.stride}; }

Rows Executor::part(const View& view, size_t token, size_t column) const {
  if (!view) return {};
  return {address(view) + token * view.stride + column, view.stride};
}

State Executor::state(const View& view) const {
  const StateStore& store = view.base == Base::state ? *training_.states_ : *training_.state_gradients_;
  return store.state(view.index);
}

float* Executor::sums(const View& view, size_t block) const {
  return view ? address(view) + block * view.stride : nullptr;
}

bool Executor::forward_rows(const Instruction& own, Range range) {
  const Kernels& kernels = training_.kernels_;
  const View* views = own.views;
  const double* numbers = own.numbers;
  const uint32_t width = static_cast<uint32_t>(numbers[0]);
  switch (own.code) {
    case Code::embed: embed(own, range); return true;
    case Code::select_rows:
      kernels.select_rows({rows(views[0]), rows(views[1]), width}, step_, range, scratch_);
      return true;
    case Code::norm: {
      const Norm norm{address(views[2]), address(views[3]), static_cast<uint32_t>(numbers[1]),
                      static_cast<float>(numbers[2])};
      kernels.norm({rows(views[0]), rows(views[1]), width, norm}, step_, range, scratch_);
      return true;
    }
    case Code::l2_norm:
      kernels.l2_norm({rows(views[0]), rows(views[1]), width, static_cast<uint32_t>(numbers[1]),
                       static_cast<float>(numbers[2])}, step_, range, scratch_);
      return true;
    case Code::shift: {
      ShiftMixArgs args{};
      args.x = rows(views[0]);
      args.width = width;
      args.state = state(views[2]);
      args.next_state = address(views[3]);
      args.shifted = rows(views[1]);
      kernels.shift_mix(args, step_, range, scratch_);
      return true;
    }
    case Code::lerp:
      kernels.lerp({rows(views[0]), rows(views[1]), rows(views[3]), rows(views[2]), width}, step_, range, scratch_);
      return true;
    case Code::row_matmul:
      kernels.row_matmul({rows(views[0]), rows(views[1]), rows(views[2]), width, static_cast<uint32_t>(numbers[1])},
                         step_, range, scratch_);
      return true;
    case Code::add:
      kernels.add({rows(views[0]), rows(views[2]), rows(views[1]), width}, step_, range, scratch_);
      return true;
    case Code::mul:
      kernels.mul({rows(views[0]), rows(views[2]), rows(views[1]), width}, step_, range, scratch_);
      return true;
    case Code::scale:
      kernels.scale({rows(views[0]), rows(views[1]), width, static_cast<float>(numbers[1])}, step_, range, scratch_);
      return true;
    case Code::activate:
      kernels.activate({rows(views[0]), rows(views[1]), width, static_cast<Activation>(static_cast<int>(numbers[1]))},
                       step_, range, scratch_);
      return true;
    case Code::copy: kernels.copy({rows(views[0]), rows(views[1]), width}, step_, range, scratch_); return true;
    case Code::bonus7:
      kernels.bonus7({rows(views[0]), rows(views[1]), rows(views[2]), rows(views[4]), address(views[3]), width,
                      static_cast<uint32_t>(numbers[1])}, step_, range, scratch_);
      return true;
    default: return false;
  }
}

void Executor::backward_rows(const Instruction& own, Range range, size_t block) {
  const TrainingKernels& kernels = training_.training_;
  const View* views = own.views;
  const double* numbers = own.numbers;
  const uint32_t width = static_cast<uint32_t>(numbers[0]);
  switch (own.code) {
    case Code::select_rows_backward:
      return kernels.select_rows({rows(views[0]), width, gradient(views[1], numbers[1])}, step_, range);
    case Code::norm_backward:
      return kernels.norm({rows(views[0]), rows(views[1]), width, static_cast<uint32_t>(numbers[1]),
                           static_cast<float>(numbers[2]), address(views[2]), gradient(views[3], numbers[3]),
                           sums(views[4], block), sums(views[5], block)}, step_, range);
    case Code::l2_norm_backward:
      return kernels.l2_norm({rows(views[0]), rows(views[1]), width, static_cast<uint32_t>(numbers[1]),
                              static_cast<float>(numbers[2]), gradient(views[2], numbers[3])}, step_, range);
    case Code::shift_backward:
      return kernels.shift({rows(views[0]), width, state(views[1]), gradient(views[2], numbers[1])}, step_, range);
    case Code::lerp_backward:
      return kernels.lerp({rows(views[0]), rows(views[1]), rows(views[2]), rows(views[3]), width,
                           gradient(views[4], numbers[1]), gradient(views[5], numbers[2]),
                           gradient(views[6], numbers[3]), sums(views[7], block)}, step_, range);
    case Code::row_matmul_backward:
      return kernels.row_matmul({rows(views[0]), rows(views[1]), rows(views[2]), width,
                                 static_cast<uint32_t>(numbers[1]), gradient(views[3], numbers[2]),
                                 gradient(views[4], numbers[3])}, step_, range);
    case Code::add_backward:
      return kernels.add({rows(views[0]), width, gradient(views[1], numbers[1]), gradient(views[2], numbers[2]),
                          sums(views[3], block)}, step_, range);
    case Code::mul_backward:
      return kernels.mul({rows(views[0]), rows(views[1]), rows(views[2]), width, gradient(views[3], numbers[1]),
                          gradient(views[4], numbers[2]), sums(views[5], block)}, step_, range);
    case Code::scale_backward:
      return kernels.scale({rows(views[0]), width, static_cast<float>(numbers[1]), gradient(views[1], numbers[2])},
                           step_, range);
    case Code::activate_backward:
      return kernels.activate({rows(views[0]), rows(views[1]), width,
                               static_cast<Activation>(static_cast<int>(numbers[1])), gradient(views[2], numbers[2])},
                              step_, range);
    case Code::slice_backward:
      return kernels.slice({rows(views[0]), width, static_cast<uint32_t>(numbers[1]),
                            static_cast<uint32_t>(numbers[2]), gradient(views[1], numbers[3])}, step_, range);
    case Code::bonus7_backward:
      return kernels.bonus7({rows(views[0]), rows(views[1]), rows(views[2]), rows(views[4]), address(views[3]), width,
                             static_cast<uint32_t>(numbers[1]), gradient(views[5], numbers[2]),
                             gradient(views[6], numbers[3]), gradient(views[7], numbers[4]), sums(views[8], block)},
                            step_, range);
    default: return;
  }
}

void Executor::embed(const Instruction& own, Range range) {
  const size_t width = static_cast<size_t>(own.numbers[0]);
  const float* table = address(own.views[0]);
  const Rows out = rows(own.views[1]);
  for (size_t t = range.begin; t < range.end; t++) {
    memcpy(out.row(t), table + step_.token_ids[t] * width, width * sizeof(float));
  }
}

void Executor::product(const Node& node, const Instruction& own, Range row_tiles, Range column_tiles) {
  const size_t rows = node.wanted ? step_.wanted : step_.tokens;
  const size_t inputs = static_cast<size_t>(own.numbers[2]), outputs = static_cast<size_t>(own.numbers[3]);
  const float* a = address(own.views[0]);
  const float* b = address(own.views[1]);
  float* c = address(own.views[2]);
  const size_t a_stride = own.views[0].stride, b_stride = own.views[1].stride, c_stride = own.views[2].stride;
  const bool add = own.numbers[1] != 0;
  ProductArgs args{};
  switch (static_cast<int>(own.numbers[0])) {
    case 0: args = {a, a_stride, 1, b, 1, inputs, c, c_stride, rows, outputs, inputs, add}; break;
    case 1: args = {a, a_stride, 1, b, inputs, 1, c, c_stride, rows, inputs, outputs, add}; break;
    default: args = {a, 1, a_stride, b, b_stride, 1, c, inputs, outputs, inputs, rows, true};
  }
  training_.training_.product(args, row_tiles, column_tiles, scratch_);
  if (!profile_) return;
  const auto numbers = [](Range tiles, size_t tile, size_t all) {
    return static_cast<double>(std::min(all, tiles.end * tile) - std::min(all, tiles.begin * tile));
  };
  profile_->operations += 2 * numbers(row_tiles, training_.training_.tile_rows, args.rows) *
                          numbers(column_tiles, training_.training_.tile_columns, args.columns) *
                          static_cast<double>(args.depth);
}

void Executor::single(const Instruction& own, Range units) {
  const TrainingKernels& kernels = training_.training_;
  const View* views = own.views;
  const double* numbers = own.numbers;
  const uint32_t width = static_cast<uint32_t>(numbers[0]);
  switch (own.code) {
    case Code::parameter:
      return kernels.parameter({address(views[0]), address(views[1]), static_cast<size_t>(numbers[0]),
                                static_cast<size_t>(numbers[1]),
                                static_cast<Activation>(static_cast<int>(numbers[2]))});
    case Code::commit_shift:
      return training_.kernels_.commit_shift({state(views[0]), address(views[1]), width}, step_, units, scratch_);
    case Code::commit_shift_backward: return commit_shift_backward(own, units);
    case Code::cross_entropy:
      return kernels.cross_entropy({rows(views[0]), lesson_.backward ? rows(views[1]) : Rows{}, width, lesson_.targets,
                                    lesson_.weights, lesson_.scale, lesson_.penalty, training_.losses_.data()},
                                   step_, units);
    case Code::embed_backward: return kernels.embed({rows(views[0]), address(views[1]), width}, step_, units);
    case Code::parameter_backward: {
      const size_t count = static_cast<size_t>(numbers[0]);
      const size_t all = views[0].extent == Extent::wanted_blocks ? step_.wanted : step_.tokens;
      const size_t blocks = views[0].extent == Extent::sequences ? step_.sequences
                                                                 : (all + views[0].index - 1) / views[0].index;
      const ParameterBackwardArgs args{address(views[0]), blocks, address(views[1]), address(views[2]), count,
                                       static_cast<size_t>(numbers[1]),
                                       static_cast<Activation>(static_cast<int>(numbers[2]))};
      const Range all_units{units.begin * kEmbedColumns, std::min(count, units.end * kEmbedColumns)};
      return kernels.parameter_backward(args, all_units);
    }
    case Code::wkv4: return wkv4(own, units);
    case Code::wkv6: return wkv6(own, units);
    case Code::wkv7: return wkv7(own, units);
    case Code::wkv4_backward: return wkv4_backward(own, units);
    case Code::wkv6_backward: return wkv6_backward(own, units);
    case Code::wkv7_backward: return wkv7_backward(own, units);
    default: return;
  }
}

void Executor::commit_shift_backward(const Instruction& own, Range sequences) {
  const size_t width = static_cast<size_t>(own.numbers[0]);
  const State gradients = state(own.views[1]);
  for (size_t s = sequences.begin; s < sequences.end; s++) {
    float* to = gradients.slot(step_.slots[s]);
    if (own.views[0]) memcpy(to, rows(own.views[0]).row(step_.starts[s]), width * sizeof(float));
    else memset(to, 0, width * sizeof(float));
  }
}

}  // namespace rwkv::training
