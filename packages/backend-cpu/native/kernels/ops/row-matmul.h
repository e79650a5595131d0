/**
 * out[t, b] = Σ_a x[t, a] m[t, a·B + b]; x [T, A], m [T, A·B], out [T, B]: a matrix of its own for every row.
 * Lanes are columns b, so that the sum over a needs no sum across lanes. A unit is a row.
 */

/** kVectors neighbouring vectors of columns from b on. */
template <int kVectors, class Lanes>
RWKV_INLINE void row_matmul_columns(const RowMatmulArgs& args, size_t t, size_t b, Lanes lanes) {
  const float* x = args.x.row(t);
  const float* m = args.m.row(t) + b;
  F sums[kVectors];
  for (int i = 0; i < kVectors; i++) sums[i] = zero();
  for (size_t a = 0; a < args.inputs; a++) {
    const F factor = broadcast(x[a]);
    for (int i = 0; i < kVectors; i++) sums[i] = fma(factor, lanes.read(m + i * kLanes), sums[i]);
    m += args.width;
  }
  float* out = args.out.row(t) + b;
  for (int i = 0; i < kVectors; i++) lanes.write(out + i * kLanes, sums[i]);
}

void row_matmul(const RowMatmulArgs& args, const Step&, Range units, uint8_t*) {
  constexpr int kVectors = 4;
  for (size_t t = units.begin; t < units.end; t++) {
    size_t b = 0;
    for (; b + kVectors * kLanes <= args.width; b += kVectors * kLanes) {
      row_matmul_columns<kVectors>(args, t, b, WholeLanes{});
    }
    for (; b + kLanes <= args.width; b += kLanes) row_matmul_columns<1>(args, t, b, WholeLanes{});
    if (b < args.width) row_matmul_columns<1>(args, t, b, PartialLanes{args.width - b});
  }
}
