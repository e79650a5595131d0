/**
 * Of out = x ⊙ y: dx = dout ⊙ y; dy = dout ⊙ x, summed over rows where they share y. x, dout, dx, dy [_, width]; y the
 * same, or [width] with y_sum. Gradients are written in the order dx, dy, so that both may be the same rows.
 */
void mul_backward(const MulBackwardArgs& args, const Step&, Range rows) {
  clear_sum(args.y_sum, args.width);
  for (size_t t = rows.begin; t < rows.end; t++) {
    const float* x = args.x.row(t);
    const float* y = args.y.row(t);
    const float* dout = args.dout.row(t);
    float* dx = row_of(args.dx, t);
    float* dy = row_of(args.dy, t);
    for_columns(args.width, [&](size_t c, auto lanes) RWKV_LAMBDA_INLINE {
      const F gradient = lanes.read(dout + c);
      if (dx) give(lanes, dx + c, gradient * lanes.read(y + c), args.dx.add);
      if (!dy && !args.y_sum) return;
      const F other = gradient * lanes.read(x + c);
      if (dy) give(lanes, dy + c, other, args.dy.add);
      if (args.y_sum) add_to_sum(lanes, args.y_sum + c, other);
    });
  }
}
