/** out = x / max(‖x‖₂, eps) over each of `groups` parts of a row; x, out [_, width]. A unit is a row. */

/** 1 / max(‖x‖₂, eps), from Σ x² as f32 where that neither overflowed nor lost its digits to underflow. */
RWKV_INLINE float inverse_length(const float* x, size_t size, float squares, float eps) {
  double length = ::sqrtf(squares);
  if (!(squares > 1e-30f && squares < 1e37f)) {
    double exact = 0;
    for (size_t c = 0; c < size; c++) exact += static_cast<double>(x[c]) * x[c];
    length = ::sqrt(exact);
  }
  // Written so that NaN stays NaN.
  return static_cast<float>(1 / (length < eps ? eps : length));
}

void l2_norm(const L2NormArgs& args, const Step&, Range units, uint8_t*) {
  const size_t size = args.width / args.groups;
  for (size_t t = units.begin; t < units.end; t++) {
    for (size_t group = 0; group < args.groups; group++) {
      const float* x = args.x.row(t) + group * size;
      float* out = args.out.row(t) + group * size;
      const float squares = sum_columns(size, [&](size_t c, auto lanes) RWKV_LAMBDA_INLINE {
        const F number = lanes.read(x + c);
        return number * number;
      });
      const F factor = broadcast(inverse_length(x, size, squares, args.eps));
      for_columns(size, [&](size_t c, auto lanes) RWKV_LAMBDA_INLINE {
        lanes.write(out + c, lanes.read(x + c) * factor);
      });
    }
  }
}
