/** Of out = x + y: dx = dout; dy = dout, summed over rows that share y. dout, dx, dy [_, width]; y_sum [width]. */
void add_backward(const AddBackwardArgs& args, const Step&, Range rows) {
  clear_sum(args.y_sum, args.width);
  for (size_t t = rows.begin; t < rows.end; t++) {
    const float* dout = args.dout.row(t);
    float* dx = row_of(args.dx, t);
    float* dy = row_of(args.dy, t);
    for_columns(args.width, [&](size_t c, auto lanes) RWKV_LAMBDA_INLINE {
      const F gradient = lanes.read(dout + c);
      if (dx) give(lanes, dx + c, gradient, args.dx.add);
      if (dy) give(lanes, dy + c, gradient, args.dy.add);
      if (args.y_sum) add_to_sum(lanes, args.y_sum + c, gradient);
    });
  }
}
