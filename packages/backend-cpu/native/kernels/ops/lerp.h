/** out = x + (y - x) ⊙ by; x, y, out [_, width], by [_, width] or [width]. A unit is a row. */
void lerp(const LerpArgs& args, const Step&, Range units, uint8_t*) {
  for (size_t t = units.begin; t < units.end; t++) {
    const float* x = args.x.row(t);
    const float* y = args.y.row(t);
    const float* by = args.by.row(t);
    float* out = args.out.row(t);
    for_columns(args.width, [&](size_t c, auto lanes) RWKV_LAMBDA_INLINE {
      const F from = lanes.read(x + c);
      lanes.write(out + c, fma(lanes.read(y + c) - from, lanes.read(by + c), from));
    });
  }
}
