/**
 * Of out = x + (y - x) ⊙ by, the last one summed over rows where they share `by`:
 *
 *   dx = dout ⊙ (1 - by);   dy = dout ⊙ by;   dby = dout ⊙ (y - x)
 *
 * x, y, dout, dx, dy, dby [_, width]; by the same, or [width] with by_sum. Gradients are written in the order dx, dy,
 * dby, vector by vector, so that two of them may be the same rows.
 */
void lerp_backward(const LerpBackwardArgs& args, const Step&, Range rows) {
  clear_sum(args.by_sum, args.width);
  for (size_t t = rows.begin; t < rows.end; t++) {
    const float* x = args.x.row(t);
    const float* y = args.y.row(t);
    const float* by = args.by.row(t);
    const float* dout = args.dout.row(t);
    float* dx = row_of(args.dx, t);
    float* dy = row_of(args.dy, t);
    float* dby = row_of(args.dby, t);
    for_columns(args.width, [&](size_t c, auto lanes) RWKV_LAMBDA_INLINE {
      const F gradient = lanes.read(dout + c);
      const F part = lanes.read(by + c) * gradient;
      if (dx) give(lanes, dx + c, gradient - part, args.dx.add);
      if (dy) give(lanes, dy + c, part, args.dy.add);
      if (!dby && !args.by_sum) return;
      const F turn = (lanes.read(y + c) - lanes.read(x + c)) * gradient;
      if (dby) give(lanes, dby + c, turn, args.dby.add);
      if (args.by_sum) add_to_sum(lanes, args.by_sum + c, turn);
    });
  }
}
