/**
 * What the kernels of RWKV-7's attention (arXiv:2503.14456, section 4.1) have in common: how a warp makes the inputs
 * of one token of one head, in shared memory, and how it finishes the token's output.
 *
 * With `removal`: κ = k ⊙ removal / max(‖k ⊙ removal‖, floor); a = -κ; b = κ ⊙ rate; k ← k ⊙ (1 + (rate - 1) ⊙
 * replacement).
 * With `amount`: v ← v + (first - v) ⊙ amount. With `weight`: out = (norm(y) + (Σ r k by) v) ⊙ gate, otherwise out =
 * y, where y = S r after the token. The recurrences sum over the state before the token, y = S (w ⊙ r) + (b · r) z +
 * (k · r) v with z = S a, so that the sums of z and y run side by side.
 *
 * r, w, k, v, a, b, rate, first, amount, gate, out [T, C]; removal, replacement, by, weight, bias [C]; state [H,
 * N(value), N(key)] a slot; f32. A lane owns channels laneIndex() + 32 i of the head.
 */
#pragma once

#include "kernels/step.h"

namespace rwkv {

struct Wkv7Arguments {
  ConstRows r, w, k, v, a, b, rate, first, amount, removal, replacement, by, weight, bias, gate;
  Rows out;
  float* state;
  /** Of the kernels over chunks. */
  float* scratch;
  uint32_t size, longest;
  float floor, eps;
};
DESCRIBE(Wkv7Arguments, r, w, k, v, a, b, rate, first, amount, removal, replacement, by, weight, bias, gate, out, state,
         scratch, size, longest, floor, eps);

enum Wkv7Row : uint32_t { kRowA = 0, kRowWR, kRowW, kRowB, kRowK, kRowV, kRowGate, kRowZ, kRowY, kWkv7Rows };
enum Wkv7Sum : uint32_t { kSumBR = 0, kSumKR, kSumOwn, kWkv7Sums = 4 };

/** Of `tokens` tokens: [kWkv7Rows, tokens, size], then [tokens, kWkv7Sums]. */
struct Wkv7Room {
  float* at;
  uint32_t tokens, size;

  DEVICE float* row(uint32_t kind, uint32_t q) const { return at + (kind * tokens + q) * size; }
  DEVICE float* sums(uint32_t q) const { return at + kWkv7Rows * tokens * size + kWkv7Sums * q; }
};

/** What comes from memory for one token. With `removal`, `a` is the rate and `b` the first layer's value. */
template <uint32_t kValues>
struct Wkv7Inputs {
  float r[kValues], w[kValues], k[kValues], v[kValues], a[kValues], b[kValues], amount[kValues], gate[kValues];
};

template <uint32_t kValues>
DEVICE Wkv7Inputs<kValues> wkv7Inputs(const Wkv7Arguments& arguments, uint32_t t, uint32_t start, uint32_t size) {
  Wkv7Inputs<kValues> inputs;
  const bool prepares = static_cast<bool>(arguments.removal);
  const ConstRows& a = prepares ? arguments.rate : arguments.a;
  const ConstRows& b = prepares ? arguments.first : arguments.b;
  UNROLL
  for (uint32_t i = 0; i < kValues; i++) {
    const uint32_t n = laneIndex() + kWarp * i, c = start + n;
    const bool exists = n < size;
    inputs.r[i] = exists ? arguments.r.row(t)[c] : 0.0f;
    inputs.w[i] = exists ? arguments.w.row(t)[c] : 0.0f;
    inputs.k[i] = exists ? arguments.k.row(t)[c] : 0.0f;
    inputs.v[i] = exists ? arguments.v.row(t)[c] : 0.0f;
    inputs.a[i] = exists ? a.row(t)[c] : 0.0f;
    inputs.b[i] = exists && b ? b.row(t)[c] : 0.0f;
    inputs.amount[i] = exists && arguments.amount ? arguments.amount.row(t)[c] : 0.0f;
    inputs.gate[i] = exists && arguments.weight ? arguments.gate.row(t)[c] : 0.0f;
  }
  return inputs;
}

/** a, b, k and v as the recurrence takes them. */
template <uint32_t kValues>
DEVICE void wkv7Prepare(Wkv7Inputs<kValues>& inputs, const Wkv7Arguments& arguments, uint32_t start, uint32_t size) {
  float removed[kValues], squares = 0;
  UNROLL
  for (uint32_t i = 0; i < kValues; i++) {
    const uint32_t n = laneIndex() + kWarp * i;
    removed[i] = n < size ? inputs.k[i] * arguments.removal.at[start + n] : 0.0f;
    squares = fused(removed[i], removed[i], squares);
  }
  const float length = squareRoot(warpSum(squares));
  const float scale = 1.0f / (length < arguments.floor ? arguments.floor : length);
  UNROLL
  for (uint32_t i = 0; i < kValues; i++) {
    const uint32_t n = laneIndex() + kWarp * i;
    const float rate = inputs.a[i], direction = removed[i] * scale;
    const float replacement = n < size ? arguments.replacement.at[start + n] : 0.0f;
    if (arguments.amount) inputs.v[i] = fused(inputs.b[i] - inputs.v[i], inputs.amount[i], inputs.v[i]);
    inputs.a[i] = -direction;
    inputs.b[i] = direction * rate;
    inputs.k[i] *= fused(rate - 1.0f, replacement, 1.0f);
  }
}

/** Row q of the room from the inputs of a token; one warp, all of whose lanes come here. */
template <uint32_t kValues>
DEVICE void wkv7Stage(Wkv7Inputs<kValues> inputs, const Wkv7Arguments& arguments, uint32_t start, const Wkv7Room& room,
                      uint32_t q) {
  const uint32_t size = room.size;
  if (arguments.removal) wkv7Prepare(inputs, arguments, start, size);
  float br = 0, kr = 0, own = 0;
  UNROLL
  for (uint32_t i = 0; i < kValues; i++) {
    const uint32_t n = laneIndex() + kWarp * i;
    if (n >= size) continue;
    br = fused(inputs.b[i], inputs.r[i], br);
    kr = fused(inputs.k[i], inputs.r[i], kr);
    if (arguments.weight) own = fused(inputs.r[i] * inputs.k[i], arguments.by.at[start + n], own);
    room.row(kRowA, q)[n] = inputs.a[i];
    room.row(kRowWR, q)[n] = inputs.w[i] * inputs.r[i];
    room.row(kRowW, q)[n] = inputs.w[i];
    room.row(kRowB, q)[n] = inputs.b[i];
    room.row(kRowK, q)[n] = inputs.k[i];
    room.row(kRowV, q)[n] = inputs.v[i];
    room.row(kRowGate, q)[n] = inputs.gate[i];
  }
  br = warpSum(br);
  kr = warpSum(kr);
  own = warpSum(own);
  if (laneIndex() > 0) return;
  float* sums = room.sums(q);
  sums[kSumBR] = br;
  sums[kSumKR] = kr;
  sums[kSumOwn] = own;
}

/** Row t of out from row q of the room, whose z and y the recurrence has written; one warp. */
template <uint32_t kValues>
DEVICE void wkv7Finish(const Wkv7Arguments& arguments, uint32_t t, uint32_t start, const Wkv7Room& room, uint32_t q) {
  const uint32_t size = room.size;
  const float* sums = room.sums(q);
  const float br = sums[kSumBR], kr = sums[kSumKR], own = sums[kSumOwn];
  float y[kValues], sum = 0;
  UNROLL
  for (uint32_t i = 0; i < kValues; i++) {
    const uint32_t n = laneIndex() + kWarp * i;
    const bool exists = n < size;
    y[i] = exists ? fused(room.row(kRowZ, q)[n], br, fused(room.row(kRowV, q)[n], kr, room.row(kRowY, q)[n])) : 0.0f;
    sum += y[i];
  }
  if (arguments.weight) {
    const float mean = warpSum(sum) / static_cast<float>(size);
    float squares = 0;
    UNROLL
    for (uint32_t i = 0; i < kValues; i++) {
      const float off = laneIndex() + kWarp * i < size ? y[i] - mean : 0.0f;
      squares = fused(off, off, squares);
    }
    const float scale = 1.0f / squareRoot(warpSum(squares) / static_cast<float>(size) + arguments.eps);
    UNROLL
    for (uint32_t i = 0; i < kValues; i++) {
      const uint32_t n = laneIndex() + kWarp * i;
      if (n >= size) continue;
      const float normed = fused((y[i] - mean) * scale, arguments.weight.at[start + n], arguments.bias.at[start + n]);
      y[i] = fused(own, room.row(kRowV, q)[n], normed) * room.row(kRowGate, q)[n];
    }
  }
  float* out = arguments.out.row(t) + start;
  UNROLL
  for (uint32_t i = 0; i < kValues; i++) {
    const uint32_t n = laneIndex() + kWarp * i;
    if (n < size) out[n] = y[i];
  }
}

}  // namespace rwkv
