/**
 * x̂ = norm(x), or x itself; x' = x̂ one token earlier, at the first token of a sequence the state; for each mix out_i
 * = x̂ + (x' - x̂) ⊙ by_i (toward the previous token) or x' + (x̂ - x') ⊙ by_i (toward the current one). `normed`,
 * `shifted` and `difference` receive x̂, x' and x' - x̂ where given. x and all outs [T, C], none of which is x;
 * weight, bias, by [C]; state [C] a slot.
 *
 * A block owns `part` columns of one token: blockX is the token, blockY the part. It computes the moments of its whole
 * row and of the one before, so that no block waits for another. The block of a sequence's first token reads the
 * state, then writes x̂ of the sequence's last token there: no other reads those columns. A thread owns every
 * threadCount()-th column; the parameters of its next one are on their way while it works.
 * Limits: kMostMixes mixes.
 */
#pragma once

#include "kernels/ops/norm.cuh"

namespace rwkv {

constexpr uint32_t kMostMixes = 8;

struct ShiftMixJob {
  ConstRows by;
  Rows out;
};
DESCRIBE(ShiftMixJob, by, out);

struct ShiftMixArguments {
  ConstRows x, weight, bias;
  Rows normed, shifted, difference;
  float* state;
  uint32_t width, part, toward_current, mixes;
  float eps;
  ShiftMixJob jobs[kMostMixes];
};
DESCRIBE(ShiftMixArguments, x, weight, bias, normed, shifted, difference, state, width, part, toward_current, mixes,
         eps, jobs);

/** What a column needs besides x. */
struct ShiftMixColumn {
  float weight, bias, by[kMostMixes];
};

DEVICE ShiftMixColumn shiftMixColumn(const ShiftMixArguments& arguments, uint32_t c, bool exists) {
  ShiftMixColumn column;
  const bool normalises = exists && arguments.weight;
  column.weight = normalises ? arguments.weight.at[c] : 1.0f;
  column.bias = normalises ? arguments.bias.at[c] : 0.0f;
  UNROLL
  for (uint32_t i = 0; i < kMostMixes; i++) {
    column.by[i] = exists && i < arguments.mixes ? arguments.jobs[i].by.at[c] : 0.0f;
  }
  return column;
}

KERNEL_BOUNDED(shift_mix, ShiftMixArguments, 512, 2) {
  SHARED float room[2][kWarp];
  const uint32_t t = blockX(), width = arguments.width;
  // What does not depend on each other is read together, as each load takes hundreds of cycles.
  const uint32_t tokens = step->counts[kTokens], firstAt = step->firstAt, lastAt = step->lastAt;
  if (t >= tokens) return;
  const uint32_t first = step->words()[firstAt + t], last = step->words()[lastAt + t];
  const uint32_t begin = blockY() * arguments.part;
  const uint32_t end = begin + arguments.part < width ? begin + arguments.part : width;
  ShiftMixColumn column = shiftMixColumn(arguments, begin + threadIndex(), begin + threadIndex() < end);
  const uint32_t other = first ? last : t - 1;
  const float* x = arguments.x.row(t);
  const float* xOther = arguments.x.row(other);
  Moments moments = {0, 1}, momentsOther = {0, 1};
  const bool normalises = static_cast<bool>(arguments.weight);
  if (normalises) {
    moments = momentsOther = blockMoments<8>(x, width, arguments.eps, room);
    if (other != t) momentsOther = blockMoments<8>(xOther, width, arguments.eps, room);
  }
  float* state = arguments.state + static_cast<size_t>(first & ~kFirstToken) * width;
  for (uint32_t c = begin + threadIndex(); c < end; c += threadCount()) {
    float now = x[c], before = xOther[c];
    if (normalises) {
      now = fused((now - moments.mean) * moments.scale, column.weight, column.bias);
      before = fused((before - momentsOther.mean) * momentsOther.scale, column.weight, column.bias);
    }
    if (first) {
      const float last = before;
      before = state[c];
      state[c] = last;
    }
    const float from = arguments.toward_current ? before : now, to = arguments.toward_current ? now : before;
    UNROLL
    for (uint32_t i = 0; i < kMostMixes; i++) {
      if (i < arguments.mixes) arguments.jobs[i].out.row(t)[c] = fused(to - from, column.by[i], from);
    }
    if (arguments.normed) arguments.normed.row(t)[c] = now;
    if (arguments.shifted) arguments.shifted.row(t)[c] = before;
    if (arguments.difference) arguments.difference.row(t)[c] = before - now;
    column = shiftMixColumn(arguments, c + threadCount(), c + threadCount() < end);
  }
}

}  // namespace rwkv
