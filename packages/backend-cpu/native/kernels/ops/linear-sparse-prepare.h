/**
 * The numbers of x that are not zero, token by token:
 *
 *   starts u32 [runs + 1]   of each run of columns, where its entries begin
 *   sums f32 [runs]         Σ x of the run
 *   at u32 [entries]        columns, increasing, and after the last entry kMostAhead more that may be asked for
 *   value f32 [entries]
 *
 * A run is what has one scale, or for plain formats what is summed before it is added to the rest. NaN and infinity are
 * not zero.
 */

/** How many entries ahead of its loads a product asks for columns. */
constexpr size_t kMostAhead = 64;

RWKV_INLINE uint32_t run_columns(Format format) {
  return format <= Format::bf16 ? 256 : format == Format::q6_k ? 16 : 32;
}

struct Nonzeros {
  uint32_t* starts;
  float* sums;
  uint32_t* at;
  float* value;

  Nonzeros(const PackedMatrix& weight, const uint8_t* prepared, size_t token) {
    const size_t runs = run_count(weight), entries = entry_count(weight);
    starts = reinterpret_cast<uint32_t*>(const_cast<uint8_t*>(prepared) + token * token_bytes(weight));
    sums = reinterpret_cast<float*>(starts + runs + 1);
    at = reinterpret_cast<uint32_t*>(sums + runs);
    value = reinterpret_cast<float*>(at + entries);
  }
  static size_t run_count(const PackedMatrix& weight) {
    const size_t each = run_columns(weight.format);
    return (weight.columns + each - 1) / each;
  }
  /** Whole vectors are written wherever an entry may begin. */
  static size_t entry_count(const PackedMatrix& weight) { return weight.columns + kMostAhead + kLanes; }
  static size_t token_bytes(const PackedMatrix& weight) {
    return ((2 * run_count(weight) + 1 + 2 * entry_count(weight)) * sizeof(float) + 63) / 64 * 64;
  }
};

/** Appends the numbers of x[begin, end) that are not zero; returns how many entries there are now. */
RWKV_INLINE size_t append_nonzeros(const float* x, size_t begin, size_t end, const Nonzeros& list, size_t count) {
  size_t column = begin;
#if defined(RWKV_AVX512)
  __m512i places = _mm512_add_epi32(_mm512_set1_epi32(static_cast<int>(begin)),
                                    _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
  for (; column + 16 <= end; column += 16) {
    const __m512 numbers = _mm512_loadu_ps(x + column);
    const __mmask16 mask = _mm512_cmp_ps_mask(numbers, _mm512_setzero_ps(), _CMP_NEQ_UQ);
    _mm512_storeu_si512(list.at + count, _mm512_maskz_compress_epi32(mask, places));
    _mm512_storeu_ps(list.value + count, _mm512_maskz_compress_ps(mask, numbers));
    count += static_cast<size_t>(__builtin_popcount(mask));
    places = _mm512_add_epi32(places, _mm512_set1_epi32(16));
  }
#endif
  for (; column < end; ++column) {
    list.at[count] = static_cast<uint32_t>(column);
    list.value[count] = x[column];
    count += x[column] != 0;
  }
  return count;
}

size_t sparse_prepared_bytes(const PackedMatrix& weight, uint32_t tokens) {
  return Nonzeros::token_bytes(weight) * tokens;
}

void sparse_prepare(const LinearArgs& args, uint8_t* prepared, Range rows) {
  const size_t columns = args.weight.columns, each = run_columns(args.weight.format);
  for (size_t token = rows.begin; token < rows.end; ++token) {
    const Nonzeros list(args.weight, prepared, token);
    const float* x = args.x.row(token);
    size_t count = 0, run = 0;
    for (size_t begin = 0; begin < columns; begin += each, ++run) {
      const size_t end = begin + each < columns ? begin + each : columns;
      list.starts[run] = static_cast<uint32_t>(count);
      count = append_nonzeros(x, begin, end, list, count);
      list.sums[run] = sum_columns(end - begin, [&](size_t c, auto lanes) RWKV_LAMBDA_INLINE {
        return lanes.read(x + begin + c);
      });
    }
    list.starts[run] = static_cast<uint32_t>(count);
    for (size_t i = 0; i < kMostAhead; ++i) list.at[count + i] = count ? list.at[count - 1] : 0;
  }
}
