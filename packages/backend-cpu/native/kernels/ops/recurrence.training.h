/**
 * What the recurrences for training share: rows without tails, and where gradients go.
 *
 * Inside, a row of N numbers takes padded_row(N), zero beyond N, and a head's matrix has kRowGroup - 1 rows of zeros
 * behind its N, so that everything is whole vectors and whole groups of rows. Only real rows are ever updated.
 */
#include "unroll.h"

/** Rows of a matrix whose sums over columns are taken together. */
constexpr size_t kRowGroup = 8;

/** body(j, Constant<vectors>) for blocks of neighbouring vectors of a padded row. */
template <int kVectors, class Body>
RWKV_INLINE void for_blocks(size_t stride, Body body) {
  size_t j = 0;
  for (; j + kVectors * kLanes <= stride; j += kVectors * kLanes) body(j, Constant<kVectors>{});
  for (; j < stride; j += kLanes) body(j, Constant<1>{});
}

RWKV_INLINE void clear(float* numbers, size_t count) { memset(numbers, 0, count * sizeof(float)); }

/** A row of `width` numbers becomes a padded one. */
RWKV_INLINE void pad_row(const float* from, float* to, size_t width) {
  const size_t stride = padded_row(width);
  size_t written = 0;
  for_columns(width, [&](size_t c, auto lanes) RWKV_LAMBDA_INLINE {
    store(to + c, lanes.read(from + c));
    written = c + kLanes;
  });
  clear(to + written, stride - written);
}

/** Row t of a gradient is assigned, or gains, a row. */
RWKV_INLINE void give(const Gradient& gradient, size_t t, const float* from, size_t width) {
  if (!gradient) return;
  float* to = gradient.rows.row(t);
  const bool add = gradient.add;
  for_columns(width, [&](size_t c, auto lanes) RWKV_LAMBDA_INLINE {
    const F value = lanes.read(from + c);
    lanes.write(to + c, add ? lanes.read(to + c) + value : value);
  });
}

/** A matrix [N, N] becomes rows of the stride, and zeros behind them; and back. */
static void pad_matrix(const float* from, float* to, size_t size) {
  const size_t stride = padded_row(size);
  for (size_t i = 0; i < size; i++) pad_row(from + i * size, to + i * stride, size);
  clear(to + size * stride, (kRowGroup - 1) * stride);
}
static void unpad_matrix(const float* from, float* to, size_t size) {
  for (size_t i = 0; i < size; i++) memcpy(to + i * size, from + i * padded_row(size), size * sizeof(float));
}

/** The same with rows and columns exchanged. */
static void pad_transposed(const float* from, float* to, size_t size) {
  const size_t stride = padded_row(size);
  clear(to, (size + kRowGroup - 1) * stride);
  for (size_t i = 0; i < size; i++) {
    for (size_t j = 0; j < size; j++) to[j * stride + i] = from[i * size + j];
  }
}
static void unpad_transposed(const float* from, float* to, size_t size) {
  const size_t stride = padded_row(size);
  for (size_t i = 0; i < size; i++) {
    for (size_t j = 0; j < size; j++) to[i * size + j] = from[j * stride + i];
  }
}

/** Sums over columns for the rows [i, i + kRowGroup): first = M x and second = M y for padded rows x and y. */
RWKV_INLINE void sums_of_rows(const float* matrix, size_t i, size_t stride, const float* x, const float* y,
                              float* first, float* second) {
  for (size_t four = i; four < i + kRowGroup; four += 4) {
    const float* lines = matrix + four * stride;
    F sums[8];
    for (F& one : sums) one = zero();
    for (size_t j = 0; j < stride; j += kLanes) {
      const F by_x = load(x + j);
      const F by_y = load(y + j);
      for (int row = 0; row < 4; row++) {
        const F number = load(lines + row * stride + j);
        sums[row] = fma(number, by_x, sums[row]);
        sums[4 + row] = fma(number, by_y, sums[4 + row]);
      }
    }
    sums_of_eight(sums, first + four, second + four);
  }
}

/** The same for one row x. */
RWKV_INLINE void sums_of_rows(const float* matrix, size_t i, size_t stride, const float* x, float* first) {
  const float* lines = matrix + i * stride;
  F sums[8];
  for (F& one : sums) one = zero();
  for (size_t j = 0; j < stride; j += kLanes) {
    const F by_x = load(x + j);
    for (int row = 0; row < 8; row++) sums[row] = fma(load(lines + row * stride + j), by_x, sums[row]);
  }
  sums_of_eight(sums, first + i, first + i + 4);
}

/** Σ x y over padded rows. */
RWKV_INLINE float dot(const float* x, const float* y, size_t stride) {
  return sum_columns(stride, [&](size_t c, auto lanes) RWKV_LAMBDA_INLINE {
    return lanes.read(x + c) * lanes.read(y + c);
  });
}

/** Σ x y u. */
RWKV_INLINE float dot(const float* x, const float* y, const float* u, size_t stride) {
  return sum_columns(stride, [&](size_t c, auto lanes) RWKV_LAMBDA_INLINE {
    return lanes.read(x + c) * lanes.read(y + c) * lanes.read(u + c);
  });
}
