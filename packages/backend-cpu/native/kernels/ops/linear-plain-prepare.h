/** x in groups of tokens, [K][tokens of the group], or as pairs of bfloats; linear-plain.h has the layout. */

/** Whether a product runs on bfloats. */
RWKV_INLINE bool as_bfloats(const PackedMatrix& weight, uint32_t tokens) {
#if defined(RWKV_BF16)
  return weight.format == Format::bf16 && tokens > kStreamTokens;
#else
  (void)weight, (void)tokens;
  return false;
#endif
}

/** Steps of the inner loop: a step takes 4 bytes of each token's x, one f32 or two bfloats. */
RWKV_INLINE size_t x_steps(const PackedMatrix& weight, uint32_t tokens) {
  return as_bfloats(weight, tokens) ? (static_cast<size_t>(weight.columns) + 1) / 2 : weight.columns;
}

RWKV_INLINE size_t group_count(uint32_t tokens) {
  return tokens <= kStreamTokens ? 1 : (tokens - 1) / kPlainTileTokens + 1;
}

/** Four numbers of each of four rows, as four columns: to[i * stride + j] = rows[j][i]. */
struct FourRows {
#if defined(RWKV_AVX512) || defined(RWKV_AVX2)
  __m128 row[4];
  RWKV_INLINE void store_columns(float* to, size_t stride) {
    const __m128 a = _mm_unpacklo_ps(row[0], row[1]), b = _mm_unpackhi_ps(row[0], row[1]);
    const __m128 c = _mm_unpacklo_ps(row[2], row[3]), d = _mm_unpackhi_ps(row[2], row[3]);
    _mm_storeu_ps(to, _mm_movelh_ps(a, c));
    _mm_storeu_ps(to + stride, _mm_movehl_ps(c, a));
    _mm_storeu_ps(to + 2 * stride, _mm_movelh_ps(b, d));
    _mm_storeu_ps(to + 3 * stride, _mm_movehl_ps(d, b));
  }
  RWKV_INLINE void load_row(int j, const float* p) { row[j] = _mm_loadu_ps(p); }
#if defined(RWKV_BF16)
  RWKV_INLINE void load_row_bf16(int j, const float* p) {
    const __m128bh rounded = _mm256_cvtneps_pbh(_mm256_loadu_ps(p));
    memcpy(&row[j], &rounded, sizeof(rounded));
  }
#endif
#elif defined(RWKV_NEON)
  float32x4_t row[4];
  RWKV_INLINE void store_columns(float* to, size_t stride) {
    const float32x4x2_t a = vzipq_f32(row[0], row[2]), b = vzipq_f32(row[1], row[3]);
    const float32x4x2_t low = vzipq_f32(a.val[0], b.val[0]), high = vzipq_f32(a.val[1], b.val[1]);
    vst1q_f32(to, low.val[0]);
    vst1q_f32(to + stride, low.val[1]);
    vst1q_f32(to + 2 * stride, high.val[0]);
    vst1q_f32(to + 3 * stride, high.val[1]);
  }
  RWKV_INLINE void load_row(int j, const float* p) { row[j] = vld1q_f32(p); }
#else
  float row[4][4];
  RWKV_INLINE void store_columns(float* to, size_t stride) {
    for (int i = 0; i < 4; i++) {
      for (int j = 0; j < 4; j++) to[i * stride + j] = row[j][i];
    }
  }
  RWKV_INLINE void load_row(int j, const float* p) { memcpy(row[j], p, sizeof(row[j])); }
#endif
};

/** To nearest even; NaN stays NaN. */
RWKV_INLINE uint32_t bfloat_bits(float number) {
  uint32_t bits;
  memcpy(&bits, &number, sizeof(bits));
  if ((bits & 0x7fffffffu) > 0x7f800000u) return bits >> 16 | 0x40u;
  return (bits + 0x7fffu + (bits >> 16 & 1)) >> 16;
}

/** The 4 bytes of step `step` of a row; beyond its end a bfloat is zero. */
template <bool bfloats>
RWKV_INLINE float x_step(const float* row, size_t columns, size_t step) {
  if constexpr (!bfloats) return row[step];
  const uint32_t low = bfloat_bits(row[2 * step]);
  const uint32_t high = 2 * step + 1 < columns ? bfloat_bits(row[2 * step + 1]) : 0;
  const uint32_t bits = high << 16 | low;
  float number;
  memcpy(&number, &bits, sizeof(bits));
  return number;
}

/** Columns of a unit of preparation: what it writes is whole lines of the cache. */
constexpr size_t kPieceColumns = 256;

RWKV_INLINE size_t group_pieces(const PackedMatrix& weight) {
  return weight.columns == 0 ? 1 : parts_of(weight.columns, kPieceColumns);
}

/** Steps [steps.begin, steps.end), the first a multiple of 4, of rows [rows.begin, rows.end) to [steps][rows]. */
template <bool bfloats>
static void group_part(const LinearArgs& args, Range rows, Range steps, float* to) {
  const size_t columns = args.weight.columns, size = rows.end - rows.begin;
  const size_t whole_steps = (bfloats ? columns / 2 : columns) / 4 * 4;
  const size_t fours_end = steps.end < whole_steps ? steps.end / 4 * 4 : whole_steps;
  const size_t rest = fours_end > steps.begin ? fours_end : steps.begin;
  to -= steps.begin * size;
  size_t row = rows.begin;
  for (; row + 4 <= rows.end; row += 4, to += 4) {
    const float* const from[4] = {args.x.row(row), args.x.row(row + 1), args.x.row(row + 2), args.x.row(row + 3)};
    for (size_t step = steps.begin; step < rest; step += 4) {
      FourRows four;
      for (int j = 0; j < 4; j++) {
#if defined(RWKV_BF16)
        if constexpr (bfloats) {
          four.load_row_bf16(j, from[j] + 2 * step);
          continue;
        }
#endif
        four.load_row(j, from[j] + step);
      }
      four.store_columns(to + step * size, size);
    }
    for (size_t step = rest; step < steps.end; step++) {
      for (int j = 0; j < 4; j++) to[step * size + j] = x_step<bfloats>(from[j], columns, step);
    }
  }
  for (; row < rows.end; row++, to++) {
    const float* const from = args.x.row(row);
    for (size_t step = steps.begin; step < steps.end; step++) to[step * size] = x_step<bfloats>(from, columns, step);
  }
}

/** A unit is a piece of the columns of one group. */
static void group_units(const LinearArgs& args, uint32_t tokens, uint8_t* prepared, Range units) {
  const size_t groups = group_count(tokens), pieces = group_pieces(args.weight);
  const size_t all_steps = x_steps(args.weight, tokens);
  const bool bfloats = as_bfloats(args.weight, tokens);
  const size_t piece_steps = bfloats ? kPieceColumns / 2 : kPieceColumns;
  for (size_t unit = units.begin; unit < units.end; unit++) {
    const Range rows = part(tokens, unit / pieces, groups);
    const size_t begin = unit % pieces * piece_steps;
    const Range steps = {begin, all_steps - begin < piece_steps ? all_steps : begin + piece_steps};
    float* const to = reinterpret_cast<float*>(prepared) + rows.begin * all_steps + begin * (rows.end - rows.begin);
    if (bfloats) group_part<true>(args, rows, steps, to);
    else group_part<false>(args, rows, steps, to);
  }
}
