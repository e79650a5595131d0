/** Of out = factor · x: dx = factor · dout. dout, dx [_, width]. */
void scale_backward(const ScaleBackwardArgs& args, const Step&, Range rows) {
  const F factor = broadcast(args.factor);
  for (size_t t = rows.begin; t < rows.end; t++) {
    const float* dout = args.dout.row(t);
    float* dx = args.dx.rows.row(t);
    for_columns(args.width, [&](size_t c, auto lanes) RWKV_LAMBDA_INLINE {
      give(lanes, dx + c, factor * lanes.read(dout + c), args.dx.add);
    });
  }
}
