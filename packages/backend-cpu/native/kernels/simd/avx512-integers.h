/**
 * Vectors of unsigned quants and of their products with int8 activations for AVX-512 with VNNI: the interface that
 * every file of integers in this folder gives to linear-block.h.
 *
 * Quants are kLanes rows of 4 columns each; Integers are kLanes rows.
 */
struct Quants {
  __m512i v;
};
struct Integers {
  __m512i v;
};

/** Most tokens that share a pass over weights: accumulators and sums of 6 tokens fill 24 of the 32 registers. */
constexpr uint32_t kMaxTile = 6;
/** Whether an Accumulator is the same for quants of any number of bits. */
constexpr bool kSameForAllBits = true;
/** Vectors of rows that a tile works on at once, and the panels they are from. */
/** Up to so many tokens, quants are unpacked in registers. */
constexpr uint32_t kDirectTokens = 4;
constexpr int kTileVectors = 2;
constexpr int kTilePanels = 2;

RWKV_INLINE Quants load_quants(const uint8_t* p) { return {_mm512_loadu_si512(p)}; }
RWKV_INLINE void store_quants(uint8_t* p, Quants q) { _mm512_storeu_si512(p, q.v); }
RWKV_INLINE Quants low_nibbles(Quants q) { return {_mm512_and_si512(q.v, _mm512_set1_epi8(15))}; }
RWKV_INLINE Quants high_nibbles(Quants q) {
  return {_mm512_and_si512(_mm512_srli_epi32(q.v, 4), _mm512_set1_epi8(15))};
}
/** q | (bits moved to the left by kShift & kMask), byte by byte; to the right where kShift is negative. */
template <int kShift, int kMask>
RWKV_INLINE Quants merge_bits(Quants q, Quants bits) {
  const __m512i moved = kShift >= 0 ? _mm512_slli_epi32(bits.v, kShift >= 0 ? kShift : 0)
                                    : _mm512_srli_epi32(bits.v, kShift >= 0 ? 0 : -kShift);
  return {_mm512_ternarylogic_epi32(q.v, moved, _mm512_set1_epi8(kMask), 0xf8)};
}

RWKV_INLINE F to_float(Integers a) { return {_mm512_cvtepi32_ps(a.v)}; }
RWKV_INLINE F load_u8(const uint8_t* p) {
  return {_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))))};
}
RWKV_INLINE F load_i8(const uint8_t* p) {
  return {_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))))};
}
/** Whole numbers within ±127. */
RWKV_INLINE void store_i8(int8_t* p, F a) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(a.v)));
}
RWKV_INLINE void prefetch(const uint8_t* p) { _mm_prefetch(reinterpret_cast<const char*>(p), _MM_HINT_T0); }
/** For the second-level cache. */
RWKV_INLINE void prefetch_far(const uint8_t* p) { _mm_prefetch(reinterpret_cast<const char*>(p), _MM_HINT_T1); }

/**
 * Σ (q - offset) x over some columns, for quants of kBits bits. `start` is -offset Σ x. `add` is called in order with
 * the ordinals 0, 1, …
 */
template <int kBits>
struct Accumulator {
  __m512i sum;

  RWKV_INLINE void begin(int32_t start) { sum = _mm512_set1_epi32(start); }
  template <int kOrdinal>
  RWKV_INLINE void add(Quants q, const int8_t* x) {
    int32_t four;
    memcpy(&four, x, sizeof four);
    sum = _mm512_dpbusd_epi32(sum, q.v, _mm512_set1_epi32(four));
  }
  RWKV_INLINE Integers end(int32_t) const { return {sum}; }
};
