/** Panels and columns of f32, f16 and bf16 (pack.h): where they are, conversion to f32, and what both loops share. */

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

/** At least one. */
RWKV_INLINE uint32_t parts_of(uint32_t all, uint32_t each_part) { return (all - 1) / each_part + 1; }

RWKV_INLINE uint32_t panel_count(const PackedMatrix& weight) {
  return weight.rows / kPanelRows + (weight.rows % kPanelRows != 0 ? 1 : 0);
}

template <Format format>
constexpr size_t kNumberBytes = format == Format::f32 ? 4 : 2;

/** From column 0 of a panel's rows to column `column`, in bytes; of bf16 panels it is even, or the end. */
template <Format format, Layout layout = Layout::panels>
RWKV_INLINE size_t column_bytes(size_t column) {
  if constexpr (layout == Layout::columns) return column * kChunkRows * kNumberBytes<format>;
  else if constexpr (format == Format::bf16) return (column + 1) / 2 * kPanelRows * 4;
  else return column * kPanelRows * kNumberBytes<format>;
}

/** Where the rows of a panel begin, which may be one past the last. */
template <Format format, Layout layout>
RWKV_INLINE const uint8_t* panel_data(const PackedMatrix& weight, size_t panel) {
  if constexpr (layout == Layout::columns) {
    constexpr size_t panels = kChunkRows / kPanelRows;
    return weight.data + panel / panels * column_bytes<format, layout>(weight.columns) +
           panel % panels * kPanelRows * kNumberBytes<format>;
  } else {
    return weight.data + panel * ((column_bytes<format>(weight.columns) + 63) / 64 * 64);
  }
}

/** Panels of a chunk whose numbers of one column lie in one line of the cache. */
template <Format format, Layout layout>
constexpr size_t kLinePanels = layout == Layout::columns ? 64 / (kPanelRows * kNumberBytes<format>) : 1;

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

/** kLanes numbers as f32. */
template <Format format>
RWKV_INLINE F load_numbers(const uint8_t* p) {
  if constexpr (format == Format::f32) return load(reinterpret_cast<const float*>(p));
  else if constexpr (format == Format::f16) return load_f16(reinterpret_cast<const uint16_t*>(p));
  else return load_bf16(reinterpret_cast<const uint16_t*>(p));
}

/** Columns `column` (even) and the next of a panel. */
template <Format format, Layout layout>
RWKV_INLINE void load_two_columns(const uint8_t* panel, size_t column, F first[kPanelVectors],
                                  F second[kPanelVectors]) {
  const uint8_t* p = panel + column_bytes<format, layout>(column);
  unroll<0, kPanelVectors>([&](auto v) RWKV_LAMBDA_INLINE {
    constexpr size_t at = static_cast<size_t>(v.value) * kLanes;
    if constexpr (format == Format::bf16 && layout == Layout::panels) {
      load_bf16_pairs(p + at * 4, first[at / kLanes], second[at / kLanes]);
    } else {
      first[at / kLanes] = load_numbers<format>(p + at * kNumberBytes<format>);
      second[at / kLanes] = load_numbers<format>(p + column_bytes<format, layout>(1) + at * kNumberBytes<format>);
    }
  });
}

/** Column `column` (even) of a panel, the last one. */
template <Format format, Layout layout>
RWKV_INLINE void load_last_column(const uint8_t* panel, size_t column, F numbers[kPanelVectors]) {
  const uint8_t* p = panel + column_bytes<format, layout>(column);
  unroll<0, kPanelVectors>([&](auto v) RWKV_LAMBDA_INLINE {
    constexpr size_t at = static_cast<size_t>(v.value) * kLanes;
    if constexpr (format == Format::bf16 && layout == Layout::panels) {
      F beyond;
      load_bf16_pairs(p + at * 4, numbers[at / kLanes], beyond);
    } else {
      numbers[at / kLanes] = load_numbers<format>(p + at * kNumberBytes<format>);
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
