/**
 * RWKV-4 attention, per channel (arXiv:2305.13048, section 3.1 and appendix D); k, v, out [T, C]; decay, first [C];
 * f32. state [3, C] a slot: sums a and b, scaled by e^{-p}, and their running exponent p:
 *
 *     q = max(p, first + k);   out = (e^{p-q} a + e^{first+k-q} v) / (e^{p-q} b + e^{first+k-q})
 *     q = max(p + decay, k);   a ← e^{p+decay-q} a + e^{k-q} v;   b ← e^{p+decay-q} b + e^{k-q};   p ← q
 *
 * A thread owns one channel of one sequence: blockX is the sequence, blockY the part of the channels. k and v of the
 * next kAhead tokens are on their way while it does the ones before.
 */
#pragma once

#include "kernels/sequences.cuh"

namespace rwkv {

struct Wkv4Arguments {
  ConstRows k, v, decay, first;
  Rows out;
  float* state;
  uint32_t width;
};
DESCRIBE(Wkv4Arguments, k, v, decay, first, out, state, width);

constexpr uint32_t kWkv4Ahead = 8;

struct Wkv4Inputs {
  float k[kWkv4Ahead], v[kWkv4Ahead];
};

DEVICE Wkv4Inputs wkv4Inputs(const Wkv4Arguments& arguments, uint32_t t, uint32_t end, uint32_t c) {
  Wkv4Inputs inputs;
  UNROLL
  for (uint32_t i = 0; i < kWkv4Ahead; i++) {
    const bool exists = t + i < end;
    inputs.k[i] = exists ? arguments.k.row(t + i)[c] : 0.0f;
    inputs.v[i] = exists ? arguments.v.row(t + i)[c] : 0.0f;
  }
  return inputs;
}

KERNEL_BOUNDED(wkv4, Wkv4Arguments, 32, 16) {
  const uint32_t c = blockY() * threadCount() + threadIndex(), width = arguments.width;
  const SequenceTokens sequence = sequenceTokens(step, blockX());
  if (sequence.count == 0 || c >= width) return;
  const uint32_t begin = sequence.first, end = begin + sequence.count;
  float* state = arguments.state + static_cast<size_t>(sequence.slot) * 3 * width + c;
  float a = state[0], b = state[width], p = state[2 * width];
  const float decay = arguments.decay.at[c], first = arguments.first.at[c];
  Wkv4Inputs next = wkv4Inputs(arguments, begin, end, c);
  for (uint32_t t = begin; t < end; t += kWkv4Ahead) {
    const Wkv4Inputs inputs = next;
    next = wkv4Inputs(arguments, t + kWkv4Ahead, end, c);
    UNROLL
    for (uint32_t i = 0; i < kWkv4Ahead; i++) {
      if (t + i >= end) break;
      const float k = inputs.k[i], v = inputs.v[i], own = first + k;
      float q = p > own ? p : own;
      float past = exponential(p - q), now = exponential(own - q);
      arguments.out.row(t + i)[c] = fused(past, a, now * v) / fused(past, b, now);
      const float decayed = p + decay;
      q = decayed > k ? decayed : k;
      past = exponential(decayed - q);
      now = exponential(k - q);
      a = fused(past, a, now * v);
      b = fused(past, b, now);
      p = q;
    }
  }
  state[0] = a;
  state[width] = b;
  state[2 * width] = p;
}

}  // namespace rwkv
