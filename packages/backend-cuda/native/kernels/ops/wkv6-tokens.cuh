/**
 * What the kernels of RWKV-5's and RWKV-6's attention (arXiv:2404.05892, sections 4.1 and 4.2) have in common: how a
 * warp makes the inputs of one token of one head, in shared memory, and how it finishes the token's output. With i the
 * key index and j the value index:
 *
 *     y_j = Σ_i r_i (first_i k_i v_j + S_ij);   S_ij ← k_i v_j + decay_i S_ij
 *
 * out = y; with `weight` out = norm(y), and with `gate` that ⊙ gate. r, k, v, decay (or a parameter), gate, out [T,
 * C]; first, weight, bias [C]; state [H, N(key), N(value)] a slot; f32. A lane owns channels laneIndex() + 32 i of the
 * head.
 */
#pragma once

#include "kernels/step.h"

namespace rwkv {

struct Wkv6Arguments {
  ConstRows r, k, v, decay, first, weight, bias, gate;
  Rows out;
  float* state;
  /** Of the kernels over chunks. */
  float* scratch;
  uint32_t size, longest;
  float eps;
};
DESCRIBE(Wkv6Arguments, r, k, v, decay, first, weight, bias, gate, out, state, scratch, size, longest, eps);

enum Wkv6Row : uint32_t { kRow6R = 0, kRow6K, kRow6Decay, kRow6V, kRow6Gate, kWkv6Rows };

/**
 * Of `tokens` tokens: [kWkv6Rows, tokens, size]; then [tokens, parts, size], whose sum over parts is r S; then
 * [tokens], the token's own r · (first ⊙ k).
 */
struct Wkv6Room {
  float* at;
  uint32_t tokens, size, parts;

  DEVICE float* row(uint32_t kind, uint32_t q) const { return at + (kind * tokens + q) * size; }
  DEVICE float* part(uint32_t q, uint32_t p) const { return row(kWkv6Rows, 0) + (q * parts + p) * size; }
  DEVICE float& own(uint32_t q) const { return part(tokens, 0)[q]; }
};

template <uint32_t kValues>
struct Wkv6Inputs {
  float r[kValues], k[kValues], v[kValues], decay[kValues], gate[kValues];
};

template <uint32_t kValues>
DEVICE Wkv6Inputs<kValues> wkv6Inputs(const Wkv6Arguments& arguments, uint32_t t, uint32_t start, uint32_t size) {
  Wkv6Inputs<kValues> inputs;
  UNROLL
  for (uint32_t i = 0; i < kValues; i++) {
    const uint32_t n = laneIndex() + kWarp * i, c = start + n;
    const bool exists = n < size;
    inputs.r[i] = exists ? arguments.r.row(t)[c] : 0.0f;
    inputs.k[i] = exists ? arguments.k.row(t)[c] : 0.0f;
    inputs.v[i] = exists ? arguments.v.row(t)[c] : 0.0f;
    inputs.decay[i] = exists ? arguments.decay.row(t)[c] : 0.0f;
    inputs.gate[i] = exists && arguments.gate ? arguments.gate.row(t)[c] : 1.0f;
  }
  return inputs;
}

/** Row q of the room from the inputs of a token; one warp, all of whose lanes come here. */
template <uint32_t kValues>
DEVICE void wkv6Stage(const Wkv6Inputs<kValues>& inputs, const Wkv6Arguments& arguments, uint32_t start,
                      const Wkv6Room& room, uint32_t q) {
  float own = 0;
  UNROLL
  for (uint32_t i = 0; i < kValues; i++) {
    const uint32_t n = laneIndex() + kWarp * i;
    if (n >= room.size) continue;
    own = fused(inputs.r[i] * inputs.k[i], arguments.first.at[start + n], own);
    room.row(kRow6R, q)[n] = inputs.r[i];
    room.row(kRow6K, q)[n] = inputs.k[i];
    room.row(kRow6Decay, q)[n] = inputs.decay[i];
    room.row(kRow6V, q)[n] = inputs.v[i];
    room.row(kRow6Gate, q)[n] = inputs.gate[i];
  }
  own = warpSum(own);
  if (laneIndex() == 0) room.own(q) = own;
}

/** Row t of out from row q of the room, whose parts the recurrence has written; one warp. */
template <uint32_t kValues>
DEVICE void wkv6Finish(const Wkv6Arguments& arguments, uint32_t t, uint32_t start, const Wkv6Room& room, uint32_t q) {
  const uint32_t size = room.size;
  const float own = room.own(q);
  float y[kValues], sum = 0;
  UNROLL
  for (uint32_t i = 0; i < kValues; i++) {
    const uint32_t n = laneIndex() + kWarp * i;
    y[i] = 0;
    if (n >= size) continue;
    for (uint32_t p = 0; p < room.parts; p++) y[i] += room.part(q, p)[n];
    y[i] = fused(own, room.row(kRow6V, q)[n], y[i]);
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
      if (n < size) y[i] = fused((y[i] - mean) * scale, arguments.weight.at[start + n], arguments.bias.at[start + n]);
    }
  }
  float* out = arguments.out.row(t) + start;
  UNROLL
  for (uint32_t i = 0; i < kValues; i++) {
    const uint32_t n = laneIndex() + kWarp * i;
    if (n < size) out[n] = y[i] * room.row(kRow6Gate, q)[n];
  }
}

}  // namespace rwkv
