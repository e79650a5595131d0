/**
 * Quants and their products for AVX2; avx512-integers.h has the interface. With AVX-VNNI one instruction does what it
 * does there. Without, products of unsigned and signed bytes are added in pairs to 16 bits, where several groups fit
 * before they are widened; bytes of 8 bits would saturate and are multiplied as signed numbers instead.
 */
struct Quants {
  __m256i v;
};
struct Integers {
  __m256i v;
};

#if defined(RWKV_AVX_VNNI)
constexpr uint32_t kMaxTile = 6;
constexpr bool kSameForAllBits = true;
#else
constexpr uint32_t kMaxTile = 4;
constexpr bool kSameForAllBits = false;
#endif
constexpr uint32_t kDirectTokens = 2;
constexpr int kTileVectors = 1;
constexpr int kTilePanels = 1;

RWKV_INLINE Quants load_quants(const uint8_t* p) { return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))}; }
RWKV_INLINE void store_quants(uint8_t* p, Quants q) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), q.v); }
RWKV_INLINE Quants low_nibbles(Quants q) { return {_mm256_and_si256(q.v, _mm256_set1_epi8(15))}; }
RWKV_INLINE Quants high_nibbles(Quants q) {
  return {_mm256_and_si256(_mm256_srli_epi32(q.v, 4), _mm256_set1_epi8(15))};
}
template <int kShift, int kMask>
RWKV_INLINE Quants merge_bits(Quants q, Quants bits) {
  const __m256i moved = kShift >= 0 ? _mm256_slli_epi32(bits.v, kShift >= 0 ? kShift : 0)
                                    : _mm256_srli_epi32(bits.v, kShift >= 0 ? 0 : -kShift);
  return {_mm256_or_si256(q.v, _mm256_and_si256(moved, _mm256_set1_epi8(kMask)))};
}

RWKV_INLINE F to_float(Integers a) { return {_mm256_cvtepi32_ps(a.v)}; }
RWKV_INLINE F load_u8(const uint8_t* p) {
  return {_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))))};
}
RWKV_INLINE F load_i8(const uint8_t* p) {
  return {_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))))};
}
RWKV_INLINE void store_i8(int8_t* p, F a) {
  const __m256i words = _mm256_cvtps_epi32(a.v);
  const __m128i shorts = _mm_packs_epi32(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
  _mm_storel_epi64(reinterpret_cast<__m128i*>(p), _mm_packs_epi16(shorts, shorts));
}
RWKV_INLINE void prefetch(const uint8_t* p) { _mm_prefetch(reinterpret_cast<const char*>(p), _MM_HINT_T0); }
RWKV_INLINE void prefetch_far(const uint8_t* p) { _mm_prefetch(reinterpret_cast<const char*>(p), _MM_HINT_T1); }

RWKV_INLINE __m256i broadcast_four(const int8_t* x) {
  int32_t four;
  memcpy(&four, x, sizeof four);
  return _mm256_set1_epi32(four);
}

#if defined(RWKV_AVX_VNNI)
template <int kBits>
struct Accumulator {
  __m256i sum;

  RWKV_INLINE void begin(int32_t start) { sum = _mm256_set1_epi32(start); }
  template <int kOrdinal>
  RWKV_INLINE void add(Quants q, const int8_t* x) {
    sum = _mm256_dpbusd_avx_epi32(sum, q.v, broadcast_four(x));
  }
  RWKV_INLINE Integers end(int32_t) const { return {sum}; }
};
#else
/** Up to kGroups sums of pairs fit 16 bits: 2 · (2^kBits - 1) · 127 · kGroups < 2^15. */
template <int kBits>
struct Accumulator {
  static constexpr int kGroups = kBits == 4 ? 8 : kBits == 5 ? 4 : 2;
  static_assert(2 * ((1 << kBits) - 1) * 127 * kGroups < 1 << 15, "sums of pairs must fit 16 bits");
  __m256i pairs, sum;

  RWKV_INLINE void begin(int32_t) { sum = _mm256_setzero_si256(); }
  template <int kOrdinal>
  RWKV_INLINE void add(Quants q, const int8_t* x) {
    const __m256i products = _mm256_maddubs_epi16(q.v, broadcast_four(x));
    if constexpr (kOrdinal % kGroups == 0) {
      if constexpr (kOrdinal > 0) sum = _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
      pairs = products;
    } else {
      pairs = _mm256_add_epi16(pairs, products);
    }
  }
  RWKV_INLINE Integers end(int32_t start) const {
    const __m256i last = _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
    return {_mm256_add_epi32(_mm256_add_epi32(sum, last), _mm256_set1_epi32(start))};
  }
};

/** |q - 128| times x with the sign of q - 128: at most 2 · 128 · 127 < 2^15. */
template <>
struct Accumulator<8> {
  __m256i sum;

  RWKV_INLINE void begin(int32_t) { sum = _mm256_setzero_si256(); }
  template <int kOrdinal>
  RWKV_INLINE void add(Quants q, const int8_t* x) {
    const __m256i signed_quants = _mm256_xor_si256(q.v, _mm256_set1_epi8(-128));
    const __m256i pairs =
        _mm256_maddubs_epi16(_mm256_abs_epi8(signed_quants), _mm256_sign_epi8(broadcast_four(x), signed_quants));
    sum = _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
  }
  RWKV_INLINE Integers end(int32_t) const { return {sum}; }
};
#endif
