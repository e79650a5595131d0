/** out = factor · x; x, out [_, width]. A unit is a row. */
void scale(const ScaleArgs& args, const Step&, Range units, uint8_t*) {
  const F factor = broadcast(args.factor);
  for (size_t t = units.begin; t < units.end; t++) {
    const float* x = args.x.row(t);
    float* out = args.out.row(t);
    for_columns(args.width, [&](size_t c, auto lanes) RWKV_LAMBDA_INLINE {
      lanes.write(out + c, factor * lanes.read(x + c));
    });
  }
}
