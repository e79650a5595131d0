/**
 * One number at a time, for processors without the other instruction sets; simd/avx512.h has the interface. A vector of
 * one lane has no tails, so this is also the plainest form of every op.
 */
constexpr int kLanes = 1;

struct F {
  float v;
};

RWKV_INLINE float float_of_bits(uint32_t bits) {
  float number;
  memcpy(&number, &bits, sizeof number);
  return number;
}
RWKV_INLINE uint32_t bits_of_float(float number) {
  uint32_t bits;
  memcpy(&bits, &number, sizeof bits);
  return bits;
}

RWKV_INLINE F zero() { return {0.0f}; }
RWKV_INLINE F broadcast(float x) { return {x}; }
RWKV_INLINE F load(const float* p) { return {*p}; }
RWKV_INLINE void store(float* p, F a) { *p = a.v; }
RWKV_INLINE F load_partial(const float* p, size_t count) { return {count ? *p : 0.0f}; }
RWKV_INLINE void store_partial(float* p, F a, size_t count) {
  if (count) *p = a.v;
}
/** A half, or a bfloat. */
RWKV_INLINE F load_f16(const uint16_t* p) {
  const uint32_t half = *p;
  const uint32_t sign = (half & 0x8000u) << 16;
  const uint32_t magnitude = (half & 0x7fffu) << 13;
  // Infinity and NaN keep their mantissa; the rest moves from bias 15 to 127 by a product, which subnormals survive.
  const uint32_t bits = magnitude >= 0x0f800000u ? magnitude | 0x7f800000u
                                                 : bits_of_float(float_of_bits(magnitude) * 0x1p112f);
  return {float_of_bits(sign | bits)};
}
RWKV_INLINE F load_bf16(const uint16_t* p) { return {float_of_bits(static_cast<uint32_t>(*p) << 16)}; }

RWKV_INLINE F operator+(F a, F b) { return {a.v + b.v}; }
RWKV_INLINE F operator-(F a, F b) { return {a.v - b.v}; }
RWKV_INLINE F operator*(F a, F b) { return {a.v * b.v}; }
RWKV_INLINE F operator/(F a, F b) { return {a.v / b.v}; }
/** a * b + c, rounded once where the machine can. */
RWKV_INLINE F fma(F a, F b, F c) { return {a.v * b.v + c.v}; }
/** c - a * b. */
RWKV_INLINE F fnma(F a, F b, F c) { return {c.v - a.v * b.v}; }
/** NaN in `a` gives NaN. */
RWKV_INLINE F max(F a, F bound) { return {bound.v > a.v ? bound.v : a.v}; }
RWKV_INLINE F min(F a, F bound) { return {bound.v < a.v ? bound.v : a.v}; }
RWKV_INLINE F abs(F a) { return {float_of_bits(bits_of_float(a.v) & 0x7fffffffu)}; }
RWKV_INLINE F sqrt(F a) { return {::sqrtf(a.v)}; }
/** To the nearest whole number, ties to even. */
RWKV_INLINE F round(F a) { return {::rintf(a.v)}; }
/** a * 2^n for whole n in [-126, 127]. */
RWKV_INLINE F scale_by_power(F a, F n) {
  // NaN has no whole number; its power does not matter.
  const int32_t power = n.v == n.v ? static_cast<int32_t>(n.v) : 0;
  return {a.v * float_of_bits(static_cast<uint32_t>(power + 127) << 23)};
}
/** a * 2^n for whole n in [-252, 254]: also to infinity and through the subnormals, rounded once. */
RWKV_INLINE F scale_by_any_power(F a, F n) {
  const F half = round(n * broadcast(0.5f));
  return scale_by_power(scale_by_power(a, half), n - half);
}
/** condition(a < b) ? x : y; false for NaN. */
RWKV_INLINE F select_less(F a, F b, F x, F y) { return {a.v < b.v ? x.v : y.v}; }
/** The sign of `sign` on the magnitude of `magnitude`. */
RWKV_INLINE F copy_sign(F magnitude, F sign) {
  return {float_of_bits((bits_of_float(magnitude.v) & 0x7fffffffu) | (bits_of_float(sign.v) & 0x80000000u))};
}
/** Sum, and largest, over the lanes. */
RWKV_INLINE float sum(F a) { return a.v; }
RWKV_INLINE float largest(F a) { return a.v; }
/** first[i] = sum(a[i]), second[i] = sum(a[4 + i]), 4 numbers each. The order of the sums is this function's own. */
RWKV_INLINE void sums_of_eight(const F (&a)[8], float* first, float* second) {
  for (int i = 0; i < 4; i++) {
    first[i] = a[i].v;
    second[i] = a[4 + i].v;
  }
}
