/** Vectors of f32 for AVX2 with FMA and F16C; simd/avx512.h has the interface. */
constexpr int kLanes = 8;

struct F {
  __m256 v;
};

/** Ones in the first `count` lanes. */
RWKV_INLINE __m256i lane_mask(size_t count) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(count)), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

RWKV_INLINE F zero() { return {_mm256_setzero_ps()}; }
RWKV_INLINE F broadcast(float x) { return {_mm256_set1_ps(x)}; }
RWKV_INLINE F load(const float* p) { return {_mm256_loadu_ps(p)}; }
RWKV_INLINE void store(float* p, F a) { _mm256_storeu_ps(p, a.v); }
RWKV_INLINE F load_partial(const float* p, size_t count) { return {_mm256_maskload_ps(p, lane_mask(count))}; }
RWKV_INLINE void store_partial(float* p, F a, size_t count) { _mm256_maskstore_ps(p, lane_mask(count), a.v); }
/** kLanes halves, or bfloats, at any alignment of 2. */
RWKV_INLINE F load_f16(const uint16_t* p) {
  return {_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)))};
}
RWKV_INLINE F load_bf16(const uint16_t* p) {
  const __m128i halves = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return {_mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(halves), 16))};
}

RWKV_INLINE F operator+(F a, F b) { return {_mm256_add_ps(a.v, b.v)}; }
RWKV_INLINE F operator-(F a, F b) { return {_mm256_sub_ps(a.v, b.v)}; }
RWKV_INLINE F operator*(F a, F b) { return {_mm256_mul_ps(a.v, b.v)}; }
RWKV_INLINE F operator/(F a, F b) { return {_mm256_div_ps(a.v, b.v)}; }
/** a * b + c, rounded once where the machine can. */
RWKV_INLINE F fma(F a, F b, F c) { return {_mm256_fmadd_ps(a.v, b.v, c.v)}; }
/** c - a * b. */
RWKV_INLINE F fnma(F a, F b, F c) { return {_mm256_fnmadd_ps(a.v, b.v, c.v)}; }
/** NaN in `a` gives NaN: the constant bound is the first operand of the instruction. */
RWKV_INLINE F max(F a, F bound) { return {_mm256_max_ps(bound.v, a.v)}; }
RWKV_INLINE F min(F a, F bound) { return {_mm256_min_ps(bound.v, a.v)}; }
RWKV_INLINE F abs(F a) { return {_mm256_andnot_ps(_mm256_set1_ps(-0.0f), a.v)}; }
RWKV_INLINE F sqrt(F a) { return {_mm256_sqrt_ps(a.v)}; }
/** To the nearest whole number, ties to even. */
RWKV_INLINE F round(F a) { return {_mm256_round_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)}; }
/** a * 2^n for whole n in [-126, 127]. */
RWKV_INLINE F scale_by_power(F a, F n) {
  const __m256i bits = _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n.v), _mm256_set1_epi32(127)), 23);
  return {_mm256_mul_ps(a.v, _mm256_castsi256_ps(bits))};
}
/** a * 2^n for whole n in [-252, 254]: also to infinity and through the subnormals, rounded once. */
RWKV_INLINE F scale_by_any_power(F a, F n) {
  const F half = round(n * broadcast(0.5f));
  return scale_by_power(scale_by_power(a, half), n - half);
}
/** Per lane: condition(a < b) ? x : y; false for NaN. */
RWKV_INLINE F select_less(F a, F b, F x, F y) {
  return {_mm256_blendv_ps(y.v, x.v, _mm256_cmp_ps(a.v, b.v, _CMP_LT_OQ))};
}
/** The sign of `sign` on the magnitude of `magnitude`. */
RWKV_INLINE F copy_sign(F magnitude, F sign) {
  const __m256 mask = _mm256_set1_ps(-0.0f);
  return {_mm256_or_ps(_mm256_andnot_ps(mask, magnitude.v), _mm256_and_ps(mask, sign.v))};
}
/** Sum, and largest, over the lanes. */
RWKV_INLINE float sum(F a) {
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(a.v), _mm256_extractf128_ps(a.v, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
}
RWKV_INLINE float largest(F a) {
  const __m128 four = _mm_max_ps(_mm256_castps256_ps128(a.v), _mm256_extractf128_ps(a.v, 1));
  const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_shuffle_ps(two, two, 1)));
}
/** first[i] = sum(a[i]), second[i] = sum(a[4 + i]), 4 numbers each. The order of the sums is this function's own. */
RWKV_INLINE void sums_of_eight(const F (&a)[8], float* first, float* second) {
  const auto fours = [](F x, F y, F z, F u) RWKV_LAMBDA_INLINE {
    return _mm256_hadd_ps(_mm256_hadd_ps(x.v, y.v), _mm256_hadd_ps(z.v, u.v));
  };
  const auto whole = [](__m256 x) RWKV_LAMBDA_INLINE {
    return _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
  };
  _mm_storeu_ps(first, whole(fours(a[0], a[1], a[2], a[3])));
  _mm_storeu_ps(second, whole(fours(a[4], a[5], a[6], a[7])));
}
