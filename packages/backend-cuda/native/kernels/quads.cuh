/** Four numbers at a time, at addresses that are multiples of 16. */
#pragma once

#include "kernels/device.h"

namespace rwkv {

struct Quad {
  float n[4];
};

DEVICE Quad quadOf(const Words4& words) {
  return {{floatOf(words.word[0]), floatOf(words.word[1]), floatOf(words.word[2]), floatOf(words.word[3])}};
}
DEVICE Quad quadAt(const float* at) { return quadOf(load(reinterpret_cast<const Words4*>(at))); }
DEVICE Quad quadStreaming(const float* at) { return quadOf(loadStreaming(reinterpret_cast<const Words4*>(at))); }
DEVICE void writeQuad(float* at, const Quad& quad) {
  *reinterpret_cast<Words4*>(at) = {{bitsOf(quad.n[0]), bitsOf(quad.n[1]), bitsOf(quad.n[2]), bitsOf(quad.n[3])}};
}

/** sum + a · b. */
DEVICE float dotQuads(const Quad& a, const Quad& b, float sum) {
  UNROLL
  for (uint32_t i = 0; i < 4; i++) sum = fused(a.n[i], b.n[i], sum);
  return sum;
}

}  // namespace rwkv
