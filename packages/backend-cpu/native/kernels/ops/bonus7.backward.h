/**
 * Of out_h = s v_h, s = Σ_n r k by over the head; with ds = Σ_n dout v:
 *
 *   dv = s dout;   dr = ds k by;   dk = ds r by;   dby = Σ_t ds r k
 *
 * r, k, v, dout, dr, dk, dv [T, C]; by, by_sum [H, N].
 */
void bonus7_backward(const Bonus7BackwardArgs& args, const Step&, Range rows) {
  const size_t size = args.head_size;
  clear_sum(args.by_sum, args.heads * size);
  for (size_t t = rows.begin; t < rows.end; t++) {
    for (size_t start = 0; start < args.heads * size; start += size) {
      const float* r = args.r.row(t) + start;
      const float* k = args.k.row(t) + start;
      const float* v = args.v.row(t) + start;
      const float* by = args.by + start;
      const float* dout = args.dout.row(t) + start;
      float* dr = args.dr ? args.dr.rows.row(t) + start : nullptr;
      float* dk = args.dk ? args.dk.rows.row(t) + start : nullptr;
      float* dv = args.dv ? args.dv.rows.row(t) + start : nullptr;
      const F own = broadcast(bonus7_sum(r, k, by, size));
      const F down = broadcast(sum_columns(size, [&](size_t c, auto lanes) RWKV_LAMBDA_INLINE {
        return lanes.read(dout + c) * lanes.read(v + c);
      }));
      for_columns(size, [&](size_t c, auto lanes) RWKV_LAMBDA_INLINE {
        const F factor = lanes.read(by + c);
        const F from_r = lanes.read(r + c);
        const F from_k = lanes.read(k + c);
        if (dr) give(lanes, dr + c, down * from_k * factor, args.dr.add);
        if (dk) give(lanes, dk + c, down * from_r * factor, args.dk.add);
        if (dv) give(lanes, dv + c, own * lanes.read(dout + c), args.dv.add);
        if (args.by_sum) add_to_sum(lanes, args.by_sum + start + c, down * from_r * from_k);
      });
    }
  }
}
