/** Square blocks of f32 turned over: to[j * to_stride + i] = from[i * from_stride + j] for i, j below kTransposed. */
#if defined(RWKV_AVX512) || defined(RWKV_AVX2)
constexpr size_t kTransposed = 8;

RWKV_INLINE void transpose(const float* from, size_t from_stride, float* to, size_t to_stride) {
  __m256 pairs[8], fours[8];
  for (size_t i = 0; i < 8; i += 2) {
    const __m256 x = _mm256_loadu_ps(from + i * from_stride);
    const __m256 y = _mm256_loadu_ps(from + (i + 1) * from_stride);
    pairs[i] = _mm256_unpacklo_ps(x, y);
    pairs[i + 1] = _mm256_unpackhi_ps(x, y);
  }
  for (size_t i = 0; i < 8; i += 4) {
    fours[i] = _mm256_shuffle_ps(pairs[i], pairs[i + 2], 0x44);
    fours[i + 1] = _mm256_shuffle_ps(pairs[i], pairs[i + 2], 0xee);
    fours[i + 2] = _mm256_shuffle_ps(pairs[i + 1], pairs[i + 3], 0x44);
    fours[i + 3] = _mm256_shuffle_ps(pairs[i + 1], pairs[i + 3], 0xee);
  }
  for (size_t j = 0; j < 4; j++) {
    _mm256_storeu_ps(to + j * to_stride, _mm256_permute2f128_ps(fours[j], fours[j + 4], 0x20));
    _mm256_storeu_ps(to + (j + 4) * to_stride, _mm256_permute2f128_ps(fours[j], fours[j + 4], 0x31));
  }
}
#elif defined(RWKV_NEON)
constexpr size_t kTransposed = 4;

RWKV_INLINE void transpose(const float* from, size_t from_stride, float* to, size_t to_stride) {
  const float32x4x2_t low = vtrnq_f32(vld1q_f32(from), vld1q_f32(from + from_stride));
  const float32x4x2_t high = vtrnq_f32(vld1q_f32(from + 2 * from_stride), vld1q_f32(from + 3 * from_stride));
  for (size_t j = 0; j < 2; j++) {
    vst1q_f32(to + j * to_stride, vcombine_f32(vget_low_f32(low.val[j]), vget_low_f32(high.val[j])));
    vst1q_f32(to + (j + 2) * to_stride, vcombine_f32(vget_high_f32(low.val[j]), vget_high_f32(high.val[j])));
  }
}
#else
constexpr size_t kTransposed = 1;

RWKV_INLINE void transpose(const float* from, size_t, float* to, size_t) { *to = *from; }
#endif
