/**
 * Panels of block formats out of columns: some panels of a chunk become, in scratch, what pack.h says panels are.
 *
 * Block by block: the lines of 32 columns are near when the second panel takes its rows from them.
 */

/** Sixteen bytes: one field of 16 rows. */
struct Bytes {
#if defined(RWKV_AVX512) || defined(RWKV_AVX2)
  __m128i v;
#elif defined(RWKV_NEON)
  uint8x16_t v;
#else
  uint8_t v[16];
#endif
};

#if defined(RWKV_AVX512) || defined(RWKV_AVX2)
RWKV_INLINE Bytes load_bytes(const uint8_t* p) { return {_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))}; }
RWKV_INLINE Bytes operator|(Bytes a, Bytes b) { return {_mm_or_si128(a.v, b.v)}; }
/** The bits of kMask of each byte, after a move by kShift to the right, or to the left where it is negative. */
template <int kShift, int kMask>
RWKV_INLINE Bytes field(Bytes a) {
  const __m128i moved =
      kShift >= 0 ? _mm_srli_epi16(a.v, kShift >= 0 ? kShift : 0) : _mm_slli_epi16(a.v, kShift >= 0 ? 0 : -kShift);
  return {_mm_and_si128(moved, _mm_set1_epi8(static_cast<char>(kMask)))};
}
/** out[i * 4 + c] = byte i of columns[c]. */
RWKV_INLINE void store_interleaved(uint8_t* out, const Bytes (&columns)[4]) {
  const __m128i low = _mm_unpacklo_epi8(columns[0].v, columns[1].v), high = _mm_unpackhi_epi8(columns[0].v, columns[1].v);
  const __m128i low2 = _mm_unpacklo_epi8(columns[2].v, columns[3].v);
  const __m128i high2 = _mm_unpackhi_epi8(columns[2].v, columns[3].v);
  __m128i* to = reinterpret_cast<__m128i*>(out);
  _mm_storeu_si128(to, _mm_unpacklo_epi16(low, low2));
  _mm_storeu_si128(to + 1, _mm_unpackhi_epi16(low, low2));
  _mm_storeu_si128(to + 2, _mm_unpacklo_epi16(high, high2));
  _mm_storeu_si128(to + 3, _mm_unpackhi_epi16(high, high2));
}
#elif defined(RWKV_NEON)
RWKV_INLINE Bytes load_bytes(const uint8_t* p) { return {vld1q_u8(p)}; }
RWKV_INLINE Bytes operator|(Bytes a, Bytes b) { return {vorrq_u8(a.v, b.v)}; }
template <int kShift, int kMask>
RWKV_INLINE Bytes field(Bytes a) {
  uint8x16_t moved = a.v;
  if constexpr (kShift > 0) moved = vshrq_n_u8(a.v, kShift);
  if constexpr (kShift < 0) moved = vshlq_n_u8(a.v, -kShift);
  return {vandq_u8(moved, vdupq_n_u8(kMask))};
}
RWKV_INLINE void store_interleaved(uint8_t* out, const Bytes (&columns)[4]) {
  vst4q_u8(out, {{columns[0].v, columns[1].v, columns[2].v, columns[3].v}});
}
#else
RWKV_INLINE Bytes load_bytes(const uint8_t* p) {
  Bytes a;
  memcpy(a.v, p, 16);
  return a;
}
RWKV_INLINE Bytes operator|(Bytes a, Bytes b) {
  for (int i = 0; i < 16; ++i) a.v[i] |= b.v[i];
  return a;
}
template <int kShift, int kMask>
RWKV_INLINE Bytes field(Bytes a) {
  for (uint8_t& byte : a.v) {
    const int moved = kShift >= 0 ? byte >> (kShift >= 0 ? kShift : 0) : byte << (kShift >= 0 ? 0 : -kShift);
    byte = static_cast<uint8_t>(moved & kMask);
  }
  return a;
}
RWKV_INLINE void store_interleaved(uint8_t* out, const Bytes (&columns)[4]) {
  for (int c = 0; c < 4; ++c) {
    for (int i = 0; i < 16; ++i) out[i * 4 + c] = columns[c].v[i];
  }
}
#endif

/** The quants of block `block` in panel kPanel of the chunk. */
template <Format kFormat, int kPanel>
RWKV_INLINE void gather_quants(const ColumnChunk<kFormat>& chunk, size_t block, const PanelLayout& to, uint8_t* panel) {
  constexpr int bits = ColumnChunk<kFormat>::kBits;
  const uint8_t* quants = chunk.quants(block * kQuantBlock) + (bits == 8 ? kPanel : kPanel / 2) * 16;
  constexpr size_t stride = ColumnChunk<kFormat>::kQuantBytes;
  Bytes four[4];
  if constexpr (bits == 8) {
    for (int g = 0; g < 8; ++g) {
      for (int c = 0; c < 4; ++c) four[c] = load_bytes(quants + static_cast<size_t>(g * 4 + c) * stride);
      store_interleaved(panel + to.quants + block * 512 + g * 64, four);
    }
    return;
  }
  constexpr int shift = kPanel % 2 * 4;
  for (int j = 0; j < 4; ++j) {
    for (int c = 0; c < 4; ++c) {
      const uint8_t* column = quants + static_cast<size_t>(j * 4 + c) * stride;
      four[c] = field<shift, 15>(load_bytes(column)) | field<shift - 4, 0xf0>(load_bytes(column + 16 * stride));
    }
    store_interleaved(panel + to.quants + block * 256 + j * 64, four);
  }
  constexpr size_t upper_stride = ColumnChunk<kFormat>::kUpperBytes;
  if constexpr (bits == 5) {
    const uint8_t* upper = chunk.upper(block * kQuantBlock);
    for (int c = 0; c < 4; ++c) {
      Bytes all = field<kPanel, 1>(load_bytes(upper + c * upper_stride));
      unroll<1, 8>([&](auto g) RWKV_LAMBDA_INLINE {
        constexpr int group = decltype(g)::value;
        all = all | field<kPanel - group, 1 << group>(load_bytes(upper + (group * 4 + c) * upper_stride));
      });
      four[c] = all;
    }
    store_interleaved(panel + to.upper + block * 64, four);
  }
  if constexpr (bits == 6) {
    for (int half = 0; half < 2; ++half) {
      const uint8_t* upper = chunk.upper(block * kQuantBlock + half * 16) + kPanel / 4 * 16;
      for (int c = 0; c < 4; ++c) {
        Bytes all = field<kPanel % 4 * 2, 3>(load_bytes(upper + c * upper_stride));
        unroll<1, 4>([&](auto g) RWKV_LAMBDA_INLINE {
          constexpr int group = decltype(g)::value;
          constexpr int moved = kPanel % 4 * 2 - group * 2;
          all = all | field<moved, 3 << group * 2>(load_bytes(upper + (group * 4 + c) * upper_stride));
        });
        four[c] = all;
      }
      store_interleaved(panel + to.upper + block * 128 + half * 64, four);
    }
  }
}

/** Everything else of a panel: `bytes` bytes of its 16 rows for each of `count` things. */
RWKV_INLINE void gather_rows(const uint8_t* from, size_t stride, size_t bytes, size_t count, uint8_t* to) {
  for (size_t i = 0; i < count; ++i) memcpy(to + i * bytes, from + i * stride, bytes);
}

template <Format kFormat>
static void gather_scales(const ColumnChunk<kFormat>& chunk, size_t columns, size_t row, const PanelLayout& to,
                          uint8_t* panel) {
  using Chunk = ColumnChunk<kFormat>;
  using Traits = typename Chunk::Traits;
  const size_t scales = columns / Chunk::kScaleColumns;
  const auto part = [&](size_t from, size_t bytes, size_t count, size_t into) RWKV_LAMBDA_INLINE {
    gather_rows(chunk.data + from + row * bytes, kChunkRows * bytes, kPanelRows * bytes, count, panel + into);
  };
  part(chunk.layout.scales, 2, scales, to.scales);
  if constexpr (Traits::kMins) part(chunk.layout.mins, 2, scales, to.mins);
  if constexpr (Traits::kSuper) {
    part(chunk.layout.block_scales, 1, columns / kQuantBlock * Traits::kScales, to.block_scales);
    if constexpr (Traits::kMins) part(chunk.layout.block_mins, 1, columns / kQuantBlock, to.block_mins);
  }
}

/** Panels [first, first + count) of the chunk, one after another at `out`. */
template <Format kFormat>
static void gather_panels(const ColumnChunk<kFormat>& chunk, size_t columns, size_t first, size_t count,
                          const PanelLayout& to, uint8_t* out) {
  using Chunk = ColumnChunk<kFormat>;
  for (size_t p = 0; p < count; ++p) {
    gather_scales(chunk, columns, (first + p) * kPanelRows, to, out + p * to.panel_bytes);
  }
  constexpr size_t panel_bytes = kPanelRows * Chunk::kQuantBits / 8;
  for (size_t block = 0; block < columns / kQuantBlock; ++block) {
    const uint8_t* next = chunk.quants((block + 1) * kQuantBlock) + first * panel_bytes;
    for (size_t k = 0; k < kQuantBlock; ++k, next += Chunk::kQuantBytes) {
      for (size_t line = 0; line < count * panel_bytes; line += 64) {
        prefetch_near(reinterpret_cast<uintptr_t>(next + line));
      }
    }
    unroll<0, static_cast<int>(kChunkRows / kPanelRows)>([&](auto p) RWKV_LAMBDA_INLINE {
      constexpr size_t index = decltype(p)::value;
      if (index < first || index >= first + count) return;
      gather_quants<kFormat, static_cast<int>(index)>(chunk, block, to, out + (index - first) * to.panel_bytes);
    });
  }
}
