/**
 * Of l2-norm, over each of `groups` parts of a row with y = x / max(‖x‖₂, eps):
 *
 *   dx = (dout - y (y · dout)) / ‖x‖₂;   where ‖x‖₂ < eps: dx = dout / eps
 *
 * x, dout, dx [T, C].
 */
void l2_norm_backward(const L2NormBackwardArgs& args, const Step&, Range rows) {
  const size_t size = args.width / args.groups;
  for (size_t t = rows.begin; t < rows.end; t++) {
    for (size_t start = 0; start < args.width; start += size) {
      const float* x = args.x.row(t) + start;
      const float* dout = args.dout.row(t) + start;
      float* dx = args.dx.rows.row(t) + start;
      const float squares = sum_columns(size, [&](size_t c, auto lanes) RWKV_LAMBDA_INLINE {
        const F number = lanes.read(x + c);
        return number * number;
      });
      const float inverse = inverse_length(x, size, squares, args.eps);
      const F factor = broadcast(inverse);
      const float along = sum_columns(size, [&](size_t c, auto lanes) RWKV_LAMBDA_INLINE {
        return lanes.read(x + c) * factor * lanes.read(dout + c);
      });
      // With the length bounded by eps, y is x times a number.
      const bool bounded = static_cast<double>(inverse) >= 1 / static_cast<double>(args.eps) * (1 - 1e-6);
      const F turn = broadcast(bounded ? 0.0f : along);
      for_columns(size, [&](size_t c, auto lanes) RWKV_LAMBDA_INLINE {
        const F gradient = fnma(lanes.read(x + c) * factor, turn, lanes.read(dout + c)) * factor;
        give(lanes, dx + c, gradient, args.dx.add);
      });
    }
  }
}
