/** out = x + y; x, out [_, width], y [_, width] or [width]. A unit is a row. */
void add(const PairArgs& args, const Step&, Range units, uint8_t*) {
  for (size_t t = units.begin; t < units.end; t++) {
    const float* x = args.x.row(t);
    const float* y = args.y.row(t);
    float* out = args.out.row(t);
    for_columns(args.width, [&](size_t c, auto lanes) RWKV_LAMBDA_INLINE {
      lanes.write(out + c, lanes.read(x + c) + lanes.read(y + c));
    });
  }
}
