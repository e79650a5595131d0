/**
 * Quants and their products for 64-bit ARM; avx512-integers.h has the interface. All quants are multiplied as signed
 * bytes: those of 8 bits after their highest bit is turned, which takes the offset away. Without the dot product
 * instruction, products are added to 16 bits, where several groups fit before they are widened.
 */
struct Quants {
  uint8x16_t v;
};
struct Integers {
  int32x4_t v;
};

#if defined(RWKV_DOTPROD)
constexpr uint32_t kMaxTile = 5;
#else
constexpr uint32_t kMaxTile = 4;
#endif
constexpr bool kSameForAllBits = false;
constexpr uint32_t kDirectTokens = 2;
constexpr int kTileVectors = 2;
constexpr int kTilePanels = 1;

RWKV_INLINE Quants load_quants(const uint8_t* p) { return {vld1q_u8(p)}; }
RWKV_INLINE void store_quants(uint8_t* p, Quants q) { vst1q_u8(p, q.v); }
RWKV_INLINE Quants low_nibbles(Quants q) { return {vandq_u8(q.v, vdupq_n_u8(15))}; }
RWKV_INLINE Quants high_nibbles(Quants q) { return {vshrq_n_u8(q.v, 4)}; }
template <int kShift, int kMask>
RWKV_INLINE Quants merge_bits(Quants q, Quants bits) {
  uint8x16_t moved = bits.v;
  if constexpr (kShift > 0) moved = vshlq_n_u8(bits.v, kShift);
  if constexpr (kShift < 0) moved = vshrq_n_u8(bits.v, -kShift);
  return {vorrq_u8(q.v, vandq_u8(moved, vdupq_n_u8(kMask)))};
}

RWKV_INLINE F to_float(Integers a) { return {vcvtq_f32_s32(a.v)}; }
RWKV_INLINE F load_u8(const uint8_t* p) {
  uint32_t four;
  memcpy(&four, p, sizeof four);
  const uint16x8_t wide = vmovl_u8(vreinterpret_u8_u32(vdup_n_u32(four)));
  return {vcvtq_f32_u32(vmovl_u16(vget_low_u16(wide)))};
}
RWKV_INLINE F load_i8(const uint8_t* p) {
  uint32_t four;
  memcpy(&four, p, sizeof four);
  const int16x8_t wide = vmovl_s8(vreinterpret_s8_u32(vdup_n_u32(four)));
  return {vcvtq_f32_s32(vmovl_s16(vget_low_s16(wide)))};
}
RWKV_INLINE void store_i8(int8_t* p, F a) {
  const int16x4_t shorts = vmovn_s32(vcvtnq_s32_f32(a.v));
  const int8x8_t bytes = vmovn_s16(vcombine_s16(shorts, shorts));
  const uint32_t four = vget_lane_u32(vreinterpret_u32_s8(bytes), 0);
  memcpy(p, &four, sizeof four);
}
RWKV_INLINE void prefetch(const uint8_t* p) { __builtin_prefetch(p); }
RWKV_INLINE void prefetch_far(const uint8_t* p) { __builtin_prefetch(p, 0, 2); }

template <int kBits>
RWKV_INLINE int8x16_t signed_quants(Quants q) {
  return vreinterpretq_s8_u8(kBits == 8 ? veorq_u8(q.v, vdupq_n_u8(128)) : q.v);
}
RWKV_INLINE int8x16_t broadcast_four(const int8_t* x) {
  int32_t four;
  memcpy(&four, x, sizeof four);
  return vreinterpretq_s8_s32(vdupq_n_s32(four));
}

#if defined(RWKV_DOTPROD)
template <int kBits>
struct Accumulator {
  int32x4_t sum;

  RWKV_INLINE void begin(int32_t start) { sum = vdupq_n_s32(kBits == 8 ? 0 : start); }
  template <int kOrdinal>
  RWKV_INLINE void add(Quants q, const int8_t* x) {
    sum = vdotq_s32(sum, signed_quants<kBits>(q), broadcast_four(x));
  }
  RWKV_INLINE Integers end(int32_t) const { return {sum}; }
};
#else
/** Up to kGroups products fit 16 bits: 2^kBits · 127 · kGroups <= 2^15, with 8 bits 128 · 127 · kGroups. */
template <int kBits>
struct Accumulator {
  static constexpr int kGroups = kBits == 4 ? 8 : kBits == 5 ? 8 : kBits == 6 ? 4 : 2;
  static_assert((kBits == 8 ? 128 : (1 << kBits) - 1) * 127 * kGroups < 1 << 15, "sums must fit 16 bits");
  /** Products of rows 0, 1 and of rows 2, 3. */
  int16x8_t low, high;
  int32x4_t sum;

  RWKV_INLINE void begin(int32_t start) { sum = vdupq_n_s32(kBits == 8 ? 0 : start); }
  template <int kOrdinal>
  RWKV_INLINE void add(Quants q, const int8_t* x) {
    const int8x16_t weights = signed_quants<kBits>(q), four = broadcast_four(x);
    if constexpr (kOrdinal % kGroups == 0) {
      if constexpr (kOrdinal > 0) sum = widened();
      low = vmull_s8(vget_low_s8(weights), vget_low_s8(four));
      high = vmull_high_s8(weights, four);
    } else {
      low = vmlal_s8(low, vget_low_s8(weights), vget_low_s8(four));
      high = vmlal_high_s8(high, weights, four);
    }
  }
  RWKV_INLINE Integers end(int32_t) const { return {widened()}; }

 private:
  RWKV_INLINE int32x4_t widened() const { return vaddq_s32(sum, vpaddq_s32(vpaddlq_s16(low), vpaddlq_s16(high))); }
};
#endif
