/**
 * Of out = x[:, start : start + width]: dx there = dout; an assigned dx is zero elsewhere. dout [_, width],
 * dx [_, x_width].
 */
void slice_backward(const SliceBackwardArgs& args, const Step&, Range rows) {
  for (size_t t = rows.begin; t < rows.end; t++) {
    const float* dout = args.dout.row(t);
    float* dx = args.dx.rows.row(t);
    if (!args.dx.add) memset(dx, 0, args.x_width * sizeof(float));
    for_columns(args.width, [&](size_t c, auto lanes) RWKV_LAMBDA_INLINE {
      give(lanes, dx + args.start + c, lanes.read(dout + c), args.dx.add);
    });
  }
}
