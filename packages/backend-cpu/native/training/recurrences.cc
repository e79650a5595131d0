/** Units of the recurrences: one sequence and one head, or one sequence and a block of channels. */
#include <algorithm>

#include "../kernels/training-recurrences.h"
#include "execute.h"

namespace rwkv::training {
namespace {

/** A unit's sequence and part; the part is the faster. */
struct Place {
  uint32_t sequence;
  size_t part;
  size_t token, tokens;

  Place(const Step& step, size_t unit, size_t parts)
      : sequence(static_cast<uint32_t>(unit / parts)),
        part(unit % parts),
        token(step.starts[sequence]),
        tokens(step.starts[sequence + 1] - token) {}
};

/** The sequences before this one have at most so many checkpoints. */
size_t checkpoints_before(const Place& place) { return place.token / kCheckpointTokens + place.sequence; }

struct Heads {
  size_t heads, size;
  explicit Heads(const Instruction& own)
      : heads(static_cast<size_t>(own.numbers[0])), size(static_cast<size_t>(own.numbers[1])) {}
};

size_t wkv7_record(const Place& place, const Heads& of) {
  const size_t before = (checkpoints_before(place) * of.size + place.token) * padded_row(of.size) * of.heads;
  return before + place.part * wkv7_record_floats(place.tokens, of.size);
}

size_t wkv6_record(const Place& place, const Heads& of) {
  const size_t before = checkpoints_before(place) * of.size * padded_row(of.size) * of.heads;
  return before + place.part * wkv6_record_floats(place.tokens, of.size);
}

struct Channels {
  size_t count, blocks;
  explicit Channels(const Instruction& own)
      : count(static_cast<size_t>(own.numbers[0])), blocks((count + kWkv4Block - 1) / kWkv4Block) {}
};

size_t wkv4_record(const Place& place, const Channels& of) {
  const size_t before = checkpoints_before(place) * 3 * padded_row(kWkv4Block) * of.blocks;
  return before + place.part * wkv4_record_floats(place.tokens, kWkv4Block);
}

}  // namespace

void Executor::wkv4(const Instruction& own, Range units) {
  const Channels of(own);
  for (size_t unit = units.begin; unit < units.end; unit++) {
    const Place place(step_, unit, of.blocks);
    const size_t start = place.part * kWkv4Block;
    const auto at = [&](size_t index) { return part(own.views[index], place.token, start); };
    Wkv4TrainingArgs args{};
    args.tokens = place.tokens;
    args.channels = std::min<size_t>(kWkv4Block, of.count - start);
    args.k = at(0);
    args.v = at(1);
    args.decay = address(own.views[2]) + start;
    args.first = address(own.views[3]) + start;
    args.out = at(4);
    args.state = state(own.views[5]).slot(step_.slots[place.sequence]) + start;
    args.state_stride = of.count;
    args.record = lesson_.backward ? address(own.views[6]) + wkv4_record(place, of) : nullptr;
    training_.training_.recurrences.wkv4(args);
  }
}

void Executor::wkv4_backward(const Instruction& own, Range units) {
  const Channels of(own);
  for (size_t unit = units.begin; unit < units.end; unit++) {
    const Place place(step_, unit, of.blocks);
    const size_t start = place.part * kWkv4Block;
    const auto at = [&](size_t index) { return part(own.views[index], place.token, start); };
    const auto total = [&](size_t index) { return part(own.views[index], place.sequence, start).data; };
    Wkv4BackwardArgs args{};
    args.tokens = place.tokens;
    args.channels = std::min<size_t>(kWkv4Block, of.count - start);
    args.k = at(0);
    args.v = at(1);
    args.decay = address(own.views[2]) + start;
    args.first = address(own.views[3]) + start;
    args.out_gradient = at(4);
    args.record = address(own.views[5]) + wkv4_record(place, of);
    args.k_gradient = {at(6), own.numbers[1] != 0};
    args.v_gradient = {at(7), own.numbers[2] != 0};
    args.decay_total = total(8);
    args.first_total = total(9);
    args.state_gradient = state(own.views[10]).slot(step_.slots[place.sequence]) + start;
    args.state_stride = of.count;
    training_.training_.recurrences.wkv4_backward(args, scratch_);
  }
}

void Executor::wkv6(const Instruction& own, Range units) {
  const Heads of(own);
  for (size_t unit = units.begin; unit < units.end; unit++) {
    const Place place(step_, unit, of.heads);
    const size_t start = place.part * of.size;
    const auto at = [&](size_t index) { return part(own.views[index], place.token, start); };
    Wkv6TrainingArgs args{};
    args.tokens = place.tokens;
    args.head_size = of.size;
    args.r = at(0);
    args.k = at(1);
    args.v = at(2);
    args.decay = at(3);
    args.first = address(own.views[4]) + start;
    args.out = at(5);
    args.state = state(own.views[6]).slot(step_.slots[place.sequence]) + start * of.size;
    args.record = lesson_.backward ? address(own.views[7]) + wkv6_record(place, of) : nullptr;
    training_.training_.recurrences.wkv6(args, scratch_);
  }
}

void Executor::wkv6_backward(const Instruction& own, Range units) {
  const Heads of(own);
  for (size_t unit = units.begin; unit < units.end; unit++) {
    const Place place(step_, unit, of.heads);
    const size_t start = place.part * of.size;
    const auto at = [&](size_t index) { return part(own.views[index], place.token, start); };
    const auto total = [&](size_t index) { return part(own.views[index], place.sequence, start).data; };
    Wkv6BackwardArgs args{};
    args.tokens = place.tokens;
    args.head_size = of.size;
    args.r = at(0);
    args.k = at(1);
    args.v = at(2);
    args.decay = at(3);
    args.first = address(own.views[4]) + start;
    args.out_gradient = at(5);
    args.record = address(own.views[6]) + wkv6_record(place, of);
    args.r_gradient = {at(7), own.numbers[2] != 0};
    args.k_gradient = {at(8), own.numbers[3] != 0};
    args.v_gradient = {at(9), own.numbers[4] != 0};
    args.decay_gradient = {at(10), own.numbers[5] != 0};
    args.decay_total = total(11);
    args.first_total = total(12);
    args.state_gradient = state(own.views[13]).slot(step_.slots[place.sequence]) + start * of.size;
    training_.training_.recurrences.wkv6_backward(args, scratch_);
  }
}

void Executor::wkv7(const Instruction& own, Range units) {
  const Heads of(own);
  for (size_t unit = units.begin; unit < units.end; unit++) {
    const Place place(step_, unit, of.heads);
    const size_t start = place.part * of.size;
    const auto at = [&](size_t index) { return part(own.views[index], place.token, start); };
    Wkv7TrainingArgs args{};
    args.tokens = place.tokens;
    args.head_size = of.size;
    args.r = at(0);
    args.w = at(1);
    args.k = at(2);
    args.v = at(3);
    args.a = at(4);
    args.b = at(5);
    args.out = at(6);
    args.state = state(own.views[7]).slot(step_.slots[place.sequence]) + start * of.size;
    args.record = lesson_.backward ? address(own.views[8]) + wkv7_record(place, of) : nullptr;
    training_.training_.recurrences.wkv7(args, scratch_);
  }
}

void Executor::wkv7_backward(const Instruction& own, Range units) {
  const Heads of(own);
  for (size_t unit = units.begin; unit < units.end; unit++) {
    const Place place(step_, unit, of.heads);
    const size_t start = place.part * of.size;
    const auto at = [&](size_t index) { return part(own.views[index], place.token, start); };
    Wkv7BackwardArgs args{};
    args.tokens = place.tokens;
    args.head_size = of.size;
    args.r = at(0);
    args.w = at(1);
    args.k = at(2);
    args.v = at(3);
    args.a = at(4);
    args.b = at(5);
    args.out_gradient = at(6);
    args.record = address(own.views[7]) + wkv7_record(place, of);
    args.r_gradient = {at(8), own.numbers[2] != 0};
    args.w_gradient = {at(9), own.numbers[3] != 0};
    args.k_gradient = {at(10), own.numbers[4] != 0};
    args.v_gradient = {at(11), own.numbers[5] != 0};
    args.a_gradient = {at(12), own.numbers[6] != 0};
    args.b_gradient = {at(13), own.numbers[7] != 0};
    args.state_gradient = state(own.views[14]).slot(step_.slots[place.sequence]) + start * of.size;
    training_.training_.recurrences.wkv7_backward(args, scratch_);
  }
}

}  // namespace rwkv::training
