/**
 * out_h = (Σ_n r k by) v_h: the current token's own contribution, per head (arXiv:2503.14456, section 4.1).
 * r, k, v, out [T, C]; by [H, N]. A unit is a row.
 */

/**
 * Σ r k by over one head. The whole head is scaled by this one number, and its terms may cancel, so it is summed in double;
 * eight sums at a time, which compilers turn into vectors.
 */
RWKV_INLINE float bonus7_sum(const float* r, const float* k, const float* by, size_t head_size) {
  double sums[8] = {};
  size_t c = 0;
  for (; c + 8 <= head_size; c += 8) {
    for (size_t i = 0; i < 8; i++) sums[i] += static_cast<double>(r[c + i]) * k[c + i] * by[c + i];
  }
  for (size_t i = 0; c < head_size; c++, i++) sums[i] += static_cast<double>(r[c]) * k[c] * by[c];
  return static_cast<float>(((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7])));
}

void bonus7(const Bonus7Args& args, const Step&, Range units, uint8_t*) {
  const size_t size = args.head_size;
  for (size_t t = units.begin; t < units.end; t++) {
    for (size_t h = 0; h < args.heads; h++) {
      const size_t start = h * size;
      const float* v = args.v.row(t) + start;
      float* out = args.out.row(t) + start;
      const F sum = broadcast(bonus7_sum(args.r.row(t) + start, args.k.row(t) + start, args.by + start, size));
      for_columns(size, [&](size_t c, auto lanes) RWKV_LAMBDA_INLINE {
        lanes.write(out + c, sum * lanes.read(v + c));
      });
    }
  }
}
