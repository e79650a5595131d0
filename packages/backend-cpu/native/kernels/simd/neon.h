/** Vectors of f32 for 64-bit ARM; simd/avx512.h has the interface. */
constexpr int kLanes = 4;

struct F {
  float32x4_t v;
};

RWKV_INLINE F zero() { return {vdupq_n_f32(0.0f)}; }
RWKV_INLINE F broadcast(float x) { return {vdupq_n_f32(x)}; }
RWKV_INLINE F load(const float* p) { return {vld1q_f32(p)}; }
RWKV_INLINE void store(float* p, F a) { vst1q_f32(p, a.v); }
RWKV_INLINE F load_partial(const float* p, size_t count) {
  if (count >= 4) return load(p);
  float32x4_t v = vdupq_n_f32(0.0f);
  if (count > 0) v = vld1q_lane_f32(p, v, 0);
  if (count > 1) v = vld1q_lane_f32(p + 1, v, 1);
  if (count > 2) v = vld1q_lane_f32(p + 2, v, 2);
  return {v};
}
RWKV_INLINE void store_partial(float* p, F a, size_t count) {
  if (count >= 4) {
    store(p, a);
    return;
  }
  if (count > 0) vst1q_lane_f32(p, a.v, 0);
  if (count > 1) vst1q_lane_f32(p + 1, a.v, 1);
  if (count > 2) vst1q_lane_f32(p + 2, a.v, 2);
}
/** kLanes halves, or bfloats, at any alignment of 2. */
RWKV_INLINE F load_f16(const uint16_t* p) { return {vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p)))}; }
RWKV_INLINE F load_bf16(const uint16_t* p) { return {vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(p), 16))}; }

RWKV_INLINE F operator+(F a, F b) { return {vaddq_f32(a.v, b.v)}; }
RWKV_INLINE F operator-(F a, F b) { return {vsubq_f32(a.v, b.v)}; }
RWKV_INLINE F operator*(F a, F b) { return {vmulq_f32(a.v, b.v)}; }
RWKV_INLINE F operator/(F a, F b) { return {vdivq_f32(a.v, b.v)}; }
/** a * b + c, rounded once where the machine can. */
RWKV_INLINE F fma(F a, F b, F c) { return {vfmaq_f32(c.v, a.v, b.v)}; }
/** c - a * b. */
RWKV_INLINE F fnma(F a, F b, F c) { return {vfmsq_f32(c.v, a.v, b.v)}; }
/** NaN in `a` gives NaN. */
RWKV_INLINE F max(F a, F bound) { return {vmaxq_f32(a.v, bound.v)}; }
RWKV_INLINE F min(F a, F bound) { return {vminq_f32(a.v, bound.v)}; }
RWKV_INLINE F abs(F a) { return {vabsq_f32(a.v)}; }
RWKV_INLINE F sqrt(F a) { return {vsqrtq_f32(a.v)}; }
/** To the nearest whole number, ties to even. */
RWKV_INLINE F round(F a) { return {vrndnq_f32(a.v)}; }
/** a * 2^n for whole n in [-126, 127]. */
RWKV_INLINE F scale_by_power(F a, F n) {
  const int32x4_t bits = vshlq_n_s32(vaddq_s32(vcvtnq_s32_f32(n.v), vdupq_n_s32(127)), 23);
  return {vmulq_f32(a.v, vreinterpretq_f32_s32(bits))};
}
/** a * 2^n for whole n in [-252, 254]: also to infinity and through the subnormals, rounded once. */
RWKV_INLINE F scale_by_any_power(F a, F n) {
  const F half = round(n * broadcast(0.5f));
  return scale_by_power(scale_by_power(a, half), n - half);
}
/** Per lane: condition(a < b) ? x : y; false for NaN. */
RWKV_INLINE F select_less(F a, F b, F x, F y) { return {vbslq_f32(vcltq_f32(a.v, b.v), x.v, y.v)}; }
/** The sign of `sign` on the magnitude of `magnitude`. */
RWKV_INLINE F copy_sign(F magnitude, F sign) {
  return {vbslq_f32(vdupq_n_u32(0x80000000u), sign.v, magnitude.v)};
}
/** Sum, and largest, over the lanes. */
RWKV_INLINE float sum(F a) { return vaddvq_f32(a.v); }
RWKV_INLINE float largest(F a) { return vmaxvq_f32(a.v); }
/** first[i] = sum(a[i]), second[i] = sum(a[4 + i]), 4 numbers each. The order of the sums is this function's own. */
RWKV_INLINE void sums_of_eight(const F (&a)[8], float* first, float* second) {
  vst1q_f32(first, vpaddq_f32(vpaddq_f32(a[0].v, a[1].v), vpaddq_f32(a[2].v, a[3].v)));
  vst1q_f32(second, vpaddq_f32(vpaddq_f32(a[4].v, a[5].v), vpaddq_f32(a[6].v, a[7].v)));
}
