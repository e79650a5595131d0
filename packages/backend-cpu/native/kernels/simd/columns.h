/**
 * Walking a row: `body(c, lanes)` for every kLanes columns from c on, where `lanes` reads and writes whole vectors, or
 * the part that is left at the end. Columns outside the row read as zero and are not written.
 */
struct WholeLanes {
  RWKV_INLINE F read(const float* p) const { return load(p); }
  RWKV_INLINE void write(float* p, F a) const { store(p, a); }
  /** `a`, and zero in the lanes outside the row. */
  RWKV_INLINE F inside(F a) const { return a; }
};

struct PartialLanes {
  size_t count;
  RWKV_INLINE F read(const float* p) const { return load_partial(p, count); }
  RWKV_INLINE void write(float* p, F a) const { store_partial(p, a, count); }
  RWKV_INLINE F inside(F a) const {
    float lanes[kLanes];
    store(lanes, a);
    return load_partial(lanes, count);
  }
};

template <class Body>
RWKV_INLINE void for_columns(size_t width, Body body) {
  size_t c = 0;
  for (; c + kLanes <= width; c += kLanes) body(c, WholeLanes{});
  if (c < width) body(c, PartialLanes{width - c});
}

/** Four sums at once hide the latency of an addition; they meet in a fixed order. */
struct Sums {
  F parts[4] = {zero(), zero(), zero(), zero()};
  RWKV_INLINE F whole() const { return (parts[0] + parts[1]) + (parts[2] + parts[3]); }
};

/** Σ of `term(c, lanes)`, which must be zero in the lanes outside the row. */
template <class Term>
RWKV_INLINE float sum_columns(size_t width, Term term) {
  Sums sums;
  size_t c = 0;
  for (; c + 4 * kLanes <= width; c += 4 * kLanes) {
    for (int i = 0; i < 4; i++) sums.parts[i] = sums.parts[i] + term(c + i * kLanes, WholeLanes{});
  }
  for (; c + kLanes <= width; c += kLanes) sums.parts[0] = sums.parts[0] + term(c, WholeLanes{});
  if (c < width) sums.parts[1] = sums.parts[1] + term(c, PartialLanes{width - c});
  return sum(sums.whole());
}
