/** One row of quants at a time; avx512-integers.h has the interface. Four quants lie in a 32-bit word. */
struct Quants {
  uint32_t v;
};
struct Integers {
  int32_t v;
};

constexpr uint32_t kMaxTile = 4;
constexpr bool kSameForAllBits = true;
constexpr uint32_t kDirectTokens = 1;
constexpr int kTileVectors = 1;
constexpr int kTilePanels = 1;

RWKV_INLINE Quants load_quants(const uint8_t* p) {
  Quants q;
  memcpy(&q.v, p, sizeof q.v);
  return q;
}
RWKV_INLINE void store_quants(uint8_t* p, Quants q) { memcpy(p, &q.v, sizeof q.v); }
RWKV_INLINE Quants low_nibbles(Quants q) { return {q.v & 0x0f0f0f0fu}; }
RWKV_INLINE Quants high_nibbles(Quants q) { return {q.v >> 4 & 0x0f0f0f0fu}; }
template <int kShift, int kMask>
RWKV_INLINE Quants merge_bits(Quants q, Quants bits) {
  const uint32_t moved = kShift >= 0 ? bits.v << (kShift >= 0 ? kShift : 0) : bits.v >> (kShift >= 0 ? 0 : -kShift);
  return {q.v | (moved & kMask * 0x01010101u)};
}

RWKV_INLINE F to_float(Integers a) { return {static_cast<float>(a.v)}; }
RWKV_INLINE F load_u8(const uint8_t* p) { return {static_cast<float>(*p)}; }
RWKV_INLINE F load_i8(const uint8_t* p) { return {static_cast<float>(static_cast<int8_t>(*p))}; }
RWKV_INLINE void store_i8(int8_t* p, F a) { *p = static_cast<int8_t>(a.v); }
RWKV_INLINE void prefetch(const uint8_t*) {}
RWKV_INLINE void prefetch_far(const uint8_t*) {}

template <int kBits>
struct Accumulator {
  int32_t sum;

  RWKV_INLINE void begin(int32_t start) { sum = start; }
  template <int kOrdinal>
  RWKV_INLINE void add(Quants q, const int8_t* x) {
    for (int i = 0; i < 4; ++i) sum += static_cast<int32_t>(q.v >> 8 * i & 255) * x[i];
  }
  RWKV_INLINE Integers end(int32_t) const { return {sum}; }
};
