/**
 * out_h = (Σ_n r k by) v_h: the current token's own contribution, per head (arXiv:2503.14456, section 4.1).
 * r, k, v, out [T, C]; by [H, N]. A unit is a row.
 */

/** Σ r k by over one head. */
RWKV_INLINE float bonus7_sum(const float* r, const float* k, const float* by, size_t head_size) {
  return sum_columns(head_size, [&](size_t c, auto lanes) RWKV_LAMBDA_INLINE {
    return lanes.read(r + c) * lanes.read(k + c) * lanes.read(by + c);
  });
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
