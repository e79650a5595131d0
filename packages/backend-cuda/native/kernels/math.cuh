/** The contract's element-wise functions for every argument; a NaN stays one. Codes: src/kernels/math.ts. */
#pragma once

#include "kernels/device.h"

namespace rwkv {

/** 0 is none. */
enum Activation : uint32_t {
  kNone = 0,
  kTanh,
  kSigmoid,
  kSilu,
  kRelu2,
  kExp,
  kNegativeExp,
  kExpNegativeExp,
  kDecay7,
};

/** Of e^-|x|, which never overflows. */
DEVICE float sigmoid(float x) {
  const float e = exponential(x < 0 ? x : -x);
  return (x < 0 ? e : 1.0f) / (1.0f + e);
}

/** exp(-exp(x)); the inner exponential is cut off where the outer one is 0 long since. */
DEVICE float expNegativeExp(float x) { return exponential(-exponential(x > 80.0f ? 80.0f : x)); }

/** exp(-exp(-1/2) sigmoid(x)). */
DEVICE float decay7(float x) { return exponential(-0.6065306597126334f * sigmoid(x)); }

DEVICE float activate(uint32_t code, float x) {
  switch (code) {
    case kTanh: return hyperbolicTangent(x);
    case kSigmoid: return sigmoid(x);
    case kSilu: return x * sigmoid(x);
    case kRelu2: return x < 0 ? 0.0f : x * x;
    case kExp: return exponential(x);
    case kNegativeExp: return -exponential(x);
    case kExpNegativeExp: return expNegativeExp(x);
    case kDecay7: return decay7(x);
    default: return x;
  }
}

}  // namespace rwkv
