/** Panels of f32, f16 and bf16 (pack.h): sizes, conversion to f32, and what both loops share. */

/** Vectors that hold one column of a panel. */
constexpr int kPanelVectors = static_cast<int>(kPanelRows) / kLanes;

#if defined(RWKV_AVX512)
/** A tile of the inner loop is this many panels by this many tokens, its sums all in registers. */
constexpr int kPlainTilePanels = 2;
constexpr int kPlainTileTokens = 12;
/** Up to here a product is a stream of panels, one panel by all tokens in registers. */
constexpr int kStreamTokens = 16;
/** Sums that registers hold beside what the loop needs. */
constexpr int kSumVectors = 24;
#elif defined(RWKV_NEON)
constexpr int kPlainTilePanels = 1;
constexpr int kPlainTileTokens = 6;
constexpr int kStreamTokens = 6;
constexpr int kSumVectors = 24;
#else
constexpr int kPlainTilePanels = 1;
constexpr int kPlainTileTokens = 6;
constexpr int kStreamTokens = 6;
constexpr int kSumVectors = 12;
#endif

/** Up to here the stream reads rows of x where they are: one pointer for each token. */
constexpr int kStridedTokens = 4;

/** Any address may be prefetched, also one past the end of the weights: it is a number here, not a pointer. */
RWKV_INLINE void prefetch_near(uintptr_t address) {
  __builtin_prefetch(reinterpret_cast<const void*>(address), 0, 3);
}
/** Into the second-level cache only. */
RWKV_INLINE void prefetch_far(uintptr_t address) {
  __builtin_prefetch(reinterpret_cast<const void*>(address), 0, 2);
}

RWKV_INLINE uint32_t panel_count(const PackedMatrix& weight) {
  return weight.rows / kPanelRows + (weight.rows % kPanelRows != 0 ? 1 : 0);
}

/** Bytes of columns [0, columns) of a panel; `columns` even, or the last. */
template <Format format>
RWKV_INLINE size_t column_bytes(size_t columns) {
  if constexpr (format == Format::f32) return columns * kPanelRows * 4;
  else if constexpr (format == Format::f16) return columns * kPanelRows * 2;
  else return (columns + 1) / 2 * kPanelRows * 4;
}

template <Format format>
RWKV_INLINE size_t plain_panel_bytes(size_t columns) {
  return (column_bytes<format>(columns) + 63) / 64 * 64;
}

/** kLanes pairs of bfloats: the first of each pair, and the second. */
RWKV_INLINE void load_bf16_pairs(const uint8_t* p, F& first, F& second) {
#if defined(RWKV_AVX512)
  const __m512i pairs = _mm512_loadu_si512(p);
  first = {_mm512_castsi512_ps(_mm512_maskz_slli_epi32(0xffff, pairs, 16))};
  second = {_mm512_castsi512_ps(_mm512_and_si512(pairs, _mm512_set1_epi32(static_cast<int>(0xffff0000u))))};
#elif defined(RWKV_AVX2)
  const __m256i pairs = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  first = {_mm256_castsi256_ps(_mm256_slli_epi32(pairs, 16))};
  second = {_mm256_castsi256_ps(_mm256_and_si256(pairs, _mm256_set1_epi32(static_cast<int>(0xffff0000u))))};
#elif defined(RWKV_NEON)
  const uint32x4_t pairs = vld1q_u32(reinterpret_cast<const uint32_t*>(p));
  first = {vreinterpretq_f32_u32(vshlq_n_u32(pairs, 16))};
  second = {vreinterpretq_f32_u32(vandq_u32(pairs, vdupq_n_u32(0xffff0000u)))};
#else
  uint32_t pairs[kLanes];
  float numbers[kLanes];
  memcpy(pairs, p, sizeof(pairs));
  for (int i = 0; i < kLanes; i++) pairs[i] <<= 16;
  memcpy(numbers, pairs, sizeof(pairs));
  first = load(numbers);
  memcpy(pairs, p, sizeof(pairs));
  for (int i = 0; i < kLanes; i++) pairs[i] &= 0xffff0000u;
  memcpy(numbers, pairs, sizeof(pairs));
  second = load(numbers);
#endif
}

/** Columns `column` (even) and the next of a panel. */
template <Format format>
RWKV_INLINE void load_two_columns(const uint8_t* panel, size_t column, F first[kPanelVectors],
                                  F second[kPanelVectors]) {
  const uint8_t* p = panel + column_bytes<format>(column);
  unroll<0, kPanelVectors>([&](auto v) RWKV_LAMBDA_INLINE {
    constexpr size_t at = static_cast<size_t>(v.value) * kLanes;
    if constexpr (format == Format::f32) {
      first[at / kLanes] = load(reinterpret_cast<const float*>(p) + at);
      second[at / kLanes] = load(reinterpret_cast<const float*>(p) + kPanelRows + at);
    } else if constexpr (format == Format::f16) {
      first[at / kLanes] = load_f16(reinterpret_cast<const uint16_t*>(p) + at);
      second[at / kLanes] = load_f16(reinterpret_cast<const uint16_t*>(p) + kPanelRows + at);
    } else {
      load_bf16_pairs(p + at * 4, first[at / kLanes], second[at / kLanes]);
    }
  });
}

/** Column `column` (even) of a panel, the last one. */
template <Format format>
RWKV_INLINE void load_last_column(const uint8_t* panel, size_t column, F numbers[kPanelVectors]) {
  const uint8_t* p = panel + column_bytes<format>(column);
  unroll<0, kPanelVectors>([&](auto v) RWKV_LAMBDA_INLINE {
    constexpr size_t at = static_cast<size_t>(v.value) * kLanes;
    if constexpr (format == Format::f32) numbers[at / kLanes] = load(reinterpret_cast<const float*>(p) + at);
    else if constexpr (format == Format::f16) {
      numbers[at / kLanes] = load_f16(reinterpret_cast<const uint16_t*>(p) + at);
    } else {
      F beyond;
      load_bf16_pairs(p + at * 4, numbers[at / kLanes], beyond);
    }
  });
}

/** The epilogue of a tile: sums [tokens][panels][16 rows]; rows beyond the matrix are not stored. */
static void finish_tile(const LinearArgs& args, size_t token, size_t tokens, size_t panel, size_t panels,
                        const float* sums) {
  const size_t row = panel * kPanelRows;
  const size_t width = panels * kPanelRows;
  const size_t rows = args.weight.rows - row < width ? args.weight.rows - row : width;
  for (size_t j = 0; j < tokens; j++) {
    for (size_t i = 0; i < rows; i += kLanes) {
      linear_epilogue(args, token + j, row + i, rows - i < kLanes ? rows - i : kLanes, load(sums + j * width + i));
    }
  }
}
