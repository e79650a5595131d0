/**
 * Vectors of f32 for AVX-512 (F, BW, DQ, VL): the interface every instruction set gives, so that an op is written once.
 *
 * Include inside the namespace of the instruction set. `F` is kLanes numbers. Partial loads fill with zero; partial
 * stores touch only `count` numbers; neither reads nor writes beyond them.
 */
constexpr int kLanes = 16;

struct F {
  __m512 v;
};

RWKV_INLINE F zero() { return {_mm512_setzero_ps()}; }
RWKV_INLINE F broadcast(float x) { return {_mm512_set1_ps(x)}; }
RWKV_INLINE F load(const float* p) { return {_mm512_loadu_ps(p)}; }
RWKV_INLINE void store(float* p, F a) { _mm512_storeu_ps(p, a.v); }
RWKV_INLINE F load_partial(const float* p, size_t count) {
  return {_mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << count) - 1), p)};
}
RWKV_INLINE void store_partial(float* p, F a, size_t count) {
  _mm512_mask_storeu_ps(p, static_cast<__mmask16>((1u << count) - 1), a.v);
}
/** kLanes halves, or bfloats, at any alignment of 2. */
RWKV_INLINE F load_f16(const uint16_t* p) {
  return {_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))};
}
RWKV_INLINE F load_bf16(const uint16_t* p) {
  const __m256i halves = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16))};
}

RWKV_INLINE F operator+(F a, F b) { return {_mm512_add_ps(a.v, b.v)}; }
RWKV_INLINE F operator-(F a, F b) { return {_mm512_sub_ps(a.v, b.v)}; }
RWKV_INLINE F operator*(F a, F b) { return {_mm512_mul_ps(a.v, b.v)}; }
RWKV_INLINE F operator/(F a, F b) { return {_mm512_div_ps(a.v, b.v)}; }
/** a * b + c, rounded once where the machine can. */
RWKV_INLINE F fma(F a, F b, F c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
/** c - a * b. */
RWKV_INLINE F fnma(F a, F b, F c) { return {_mm512_fnmadd_ps(a.v, b.v, c.v)}; }
/** NaN in `a` gives NaN: the constant bound is the first operand of the instruction. */
RWKV_INLINE F max(F a, F bound) { return {_mm512_max_ps(bound.v, a.v)}; }
RWKV_INLINE F min(F a, F bound) { return {_mm512_min_ps(bound.v, a.v)}; }
RWKV_INLINE F abs(F a) { return {_mm512_abs_ps(a.v)}; }
RWKV_INLINE F sqrt(F a) { return {_mm512_sqrt_ps(a.v)}; }
/** To the nearest whole number, ties to even. */
RWKV_INLINE F round(F a) {
  return {_mm512_roundscale_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}
/** a * 2^n for whole n in [-126, 127]. */
RWKV_INLINE F scale_by_power(F a, F n) {
  const __m512i bits = _mm512_slli_epi32(_mm512_add_epi32(_mm512_cvtps_epi32(n.v), _mm512_set1_epi32(127)), 23);
  return {_mm512_mul_ps(a.v, _mm512_castsi512_ps(bits))};
}
/** a * 2^n for whole n in [-252, 254]: also to infinity and through the subnormals, rounded once. */
RWKV_INLINE F scale_by_any_power(F a, F n) { return {_mm512_scalef_ps(a.v, n.v)}; }
/** Per lane: condition(a < b) ? x : y; false for NaN. */
RWKV_INLINE F select_less(F a, F b, F x, F y) {
  return {_mm512_mask_blend_ps(_mm512_cmp_ps_mask(a.v, b.v, _CMP_LT_OQ), y.v, x.v)};
}
/** The sign of `sign` on the magnitude of `magnitude`. */
RWKV_INLINE F copy_sign(F magnitude, F sign) {
  const __m512 mask = _mm512_set1_ps(-0.0f);
  return {_mm512_or_ps(_mm512_andnot_ps(mask, magnitude.v), _mm512_and_ps(mask, sign.v))};
}
/** Sum, and largest, over the lanes. */
RWKV_INLINE float sum(F a) { return _mm512_reduce_add_ps(a.v); }
RWKV_INLINE float largest(F a) { return _mm512_reduce_max_ps(a.v); }
/** first[i] = sum(a[i]), second[i] = sum(a[4 + i]), 4 numbers each. The order of the sums is this function's own. */
RWKV_INLINE void sums_of_eight(const F (&a)[8], float* first, float* second) {
  const auto halves = [](F x, F y) RWKV_LAMBDA_INLINE {
    return _mm512_add_ps(_mm512_mask_blend_ps(0xff00, x.v, y.v), _mm512_shuffle_f32x4(x.v, y.v, 0x4e));
  };
  const auto quarters = [](__m512 x, __m512 y) RWKV_LAMBDA_INLINE {
    return _mm512_add_ps(_mm512_shuffle_f32x4(x, y, 0x88), _mm512_shuffle_f32x4(x, y, 0xdd));
  };
  // Each 128 bits of `even` hold what is left of one of a[0], a[2], a[4], a[6]; `odd` holds the others.
  const __m512 even = quarters(halves(a[0], a[2]), halves(a[4], a[6]));
  const __m512 odd = quarters(halves(a[1], a[3]), halves(a[5], a[7]));
  const __m512 pairs = _mm512_add_ps(_mm512_unpacklo_ps(even, odd), _mm512_unpackhi_ps(even, odd));
  const __m512 sums = _mm512_add_ps(pairs, _mm512_permute_ps(pairs, 0x4e));
  const __m512i places = _mm512_setr_epi32(0, 1, 4, 5, 8, 9, 12, 13, 0, 0, 0, 0, 0, 0, 0, 0);
  const __m256 ordered = _mm512_castps512_ps256(_mm512_permutexvar_ps(places, sums));
  _mm_storeu_ps(first, _mm256_castps256_ps128(ordered));
  _mm_storeu_ps(second, _mm256_extractf128_ps(ordered, 1));
}
