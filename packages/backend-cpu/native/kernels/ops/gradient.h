/** What the backward of every op shares: writing or adding a gradient, and sums over the rows of a call. */

/** Lanes of a gradient's row, assigned or added. */
template <class Lanes>
RWKV_INLINE void give(Lanes lanes, float* p, F value, bool add) {
  lanes.write(p, add ? lanes.read(p) + value : value);
}

/** Row t of a gradient; null where nobody wants it. */
RWKV_INLINE float* row_of(const Gradient& gradient, size_t t) {
  return gradient ? gradient.rows.row(t) : nullptr;
}

/** Begins the sums of a call at zero. */
RWKV_INLINE void clear_sum(float* sum, size_t width) {
  if (sum) memset(sum, 0, width * sizeof(float));
}

template <class Lanes>
RWKV_INLINE void add_to_sum(Lanes lanes, float* sum, F value) {
  lanes.write(sum, lanes.read(sum) + value);
}
