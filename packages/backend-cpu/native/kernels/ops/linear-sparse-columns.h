/** Numbers of a matrix in columns (pack.h), widened to f32 on their way to a multiplier. */

/** kLanes whole numbers of 32 bits. */
struct Words {
#if defined(RWKV_AVX512)
  __m512i v;
#elif defined(RWKV_AVX2)
  __m256i v;
#elif defined(RWKV_NEON)
  uint32x4_t v;
#else
  uint32_t v;
#endif
};

#if defined(RWKV_AVX512)
RWKV_INLINE Words widen(const uint8_t* p) {
  return {_mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)))};
}
RWKV_INLINE F to_float(Words a) { return {_mm512_cvtepi32_ps(a.v)}; }
RWKV_INLINE Words operator|(Words a, Words b) { return {_mm512_or_si512(a.v, b.v)}; }
/** The bits of kMask, after a move by kShift to the right, or to the left where it is negative. */
template <int kShift, int kMask>
RWKV_INLINE Words field(Words a) {
  const __m512i moved =
      kShift >= 0 ? _mm512_srli_epi32(a.v, kShift >= 0 ? kShift : 0) : _mm512_slli_epi32(a.v, kShift >= 0 ? 0 : -kShift);
  return {_mm512_and_si512(moved, _mm512_set1_epi32(kMask))};
}
/** Bits [kShift, kShift + 4) as f32; a table of 16 numbers looks at the lowest four bits alone and needs no conversion. */
template <int kShift>
RWKV_INLINE F nibble(Words a) {
  const __m512 table = _mm512_setr_ps(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  return {_mm512_permutexvar_ps(kShift == 0 ? a.v : _mm512_srli_epi32(a.v, kShift), table)};
}
#elif defined(RWKV_AVX2)
RWKV_INLINE Words widen(const uint8_t* p) {
  return {_mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)))};
}
RWKV_INLINE F to_float(Words a) { return {_mm256_cvtepi32_ps(a.v)}; }
RWKV_INLINE Words operator|(Words a, Words b) { return {_mm256_or_si256(a.v, b.v)}; }
template <int kShift, int kMask>
RWKV_INLINE Words field(Words a) {
  const __m256i moved =
      kShift >= 0 ? _mm256_srli_epi32(a.v, kShift >= 0 ? kShift : 0) : _mm256_slli_epi32(a.v, kShift >= 0 ? 0 : -kShift);
  return {_mm256_and_si256(moved, _mm256_set1_epi32(kMask))};
}
#elif defined(RWKV_NEON)
RWKV_INLINE Words widen(const uint8_t* p) {
  uint32_t four;
  memcpy(&four, p, sizeof four);
  return {vmovl_u16(vget_low_u16(vmovl_u8(vreinterpret_u8_u32(vdup_n_u32(four)))))};
}
RWKV_INLINE F to_float(Words a) { return {vcvtq_f32_u32(a.v)}; }
RWKV_INLINE Words operator|(Words a, Words b) { return {vorrq_u32(a.v, b.v)}; }
template <int kShift, int kMask>
RWKV_INLINE Words field(Words a) {
  uint32x4_t moved = a.v;
  if constexpr (kShift > 0) moved = vshrq_n_u32(a.v, kShift);
  if constexpr (kShift < 0) moved = vshlq_n_u32(a.v, -kShift);
  return {vandq_u32(moved, vdupq_n_u32(kMask))};
}
#else
RWKV_INLINE Words widen(const uint8_t* p) { return {*p}; }
RWKV_INLINE F to_float(Words a) { return {static_cast<float>(static_cast<int32_t>(a.v))}; }
RWKV_INLINE Words operator|(Words a, Words b) { return {a.v | b.v}; }
template <int kShift, int kMask>
RWKV_INLINE Words field(Words a) {
  return {(kShift >= 0 ? a.v >> (kShift >= 0 ? kShift : 0) : a.v << (kShift >= 0 ? 0 : -kShift)) & kMask};
}
#endif
#if !defined(RWKV_AVX512)
template <int kShift>
RWKV_INLINE F nibble(Words a) {
  return to_float(field<kShift, 15>(a));
}
#endif

/** One chunk of 128 rows of a matrix in columns. */
template <Format kFormat>
struct ColumnChunk {
  static constexpr bool kPlain = kFormat <= Format::bf16;
  using Traits = BlockTraits<kPlain ? Format::q8_0 : kFormat>;
  static constexpr int kBits = kFormat == Format::f32 ? 32 : kPlain ? 16 : Traits::kBits;
  /** Bits of a row that lie with `quants`; the others with `upper`. */
  static constexpr int kQuantBits = kBits >= 8 ? kBits : 4;
  static constexpr size_t kQuantBytes = kChunkRows * kQuantBits / 8;
  static constexpr size_t kUpperBytes = kBits == 5 ? kChunkRows / 8 : kBits == 6 ? kChunkRows / 4 : 0;
  static constexpr int kScaleColumns = Traits::kSuper ? 256 : 32;

  const uint8_t* data;
  ChunkLayout layout;

  ColumnChunk(const PackedMatrix& weight, size_t chunk) : layout(chunk_layout(weight.format, weight.columns)) {
    data = weight.data + chunk * layout.chunk_bytes;
  }

  RWKV_INLINE const uint8_t* quants(size_t column) const { return data + layout.quants + column * kQuantBytes; }
  RWKV_INLINE const uint8_t* upper(size_t column) const { return data + layout.upper + column * kUpperBytes; }
  RWKV_INLINE F halves(size_t part, size_t index, size_t at) const {
    return load_f16(reinterpret_cast<const uint16_t*>(data + part) + index * kChunkRows + at);
  }
  RWKV_INLINE const uint8_t* bytes(size_t part, size_t index, size_t at) const {
    return data + part + index * kChunkRows + at;
  }

  /** Rows [kRow, kRow + kLanes) of a column, offset not subtracted. */
  template <int kRow>
  RWKV_INLINE F numbers(const uint8_t* q, const uint8_t* u) const {
    constexpr int group = kRow / 16, lane = kRow % 16;
    if constexpr (kFormat == Format::f32) return load(reinterpret_cast<const float*>(q) + kRow);
    else if constexpr (kFormat == Format::f16) return load_f16(reinterpret_cast<const uint16_t*>(q) + kRow);
    else if constexpr (kFormat == Format::bf16) return load_bf16(reinterpret_cast<const uint16_t*>(q) + kRow);
    else if constexpr (kBits == 8) return to_float(widen(q + kRow));
    else {
      const Words both = widen(q + group / 2 * 16 + lane);
      constexpr int shift = group % 2 * 4;
      if constexpr (kBits == 4) {
        return nibble<shift>(both);
      } else if constexpr (kBits == 5) {
        return to_float(field<shift, 15>(both) | field<group - 4, 16>(widen(u + lane)));
      } else {
        return to_float(field<shift, 15>(both) | field<group % 4 * 2 - 4, 48>(widen(u + group / 4 * 16 + lane)));
      }
    }
  }

  /** What a run's sums are multiplied by, and what Σ x is. */
  RWKV_INLINE F scale(size_t run, size_t at) const {
    if constexpr (Traits::kHalves) return halves(layout.scales, run / 16, at) * load_i8(bytes(layout.block_scales, run, at));
    else if constexpr (Traits::kSuper) {
      return halves(layout.scales, run / 8, at) * load_u8(bytes(layout.block_scales, run, at));
    } else {
      return halves(layout.scales, run, at);
    }
  }
  RWKV_INLINE F min(size_t run, size_t at) const {
    if constexpr (Traits::kSuper) {
      return zero() - halves(layout.mins, run / 8, at) * load_u8(bytes(layout.block_mins, run, at));
    } else {
      return halves(layout.mins, run, at);
    }
  }
};
