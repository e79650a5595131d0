/** out = activation(x); x, out [_, width]. A unit is a row. */

/** The switch over activations is outside the loops: each gets a loop of its own. */
template <class Function>
RWKV_INLINE void activate_rows(const ActivateArgs& args, Range units, Function function) {
  for (size_t t = units.begin; t < units.end; t++) {
    const float* x = args.x.row(t);
    float* out = args.out.row(t);
    for_columns(args.width, [&](size_t c, auto lanes) RWKV_LAMBDA_INLINE {
      lanes.write(out + c, function(lanes.read(x + c)));
    });
  }
}

void activate(const ActivateArgs& args, const Step&, Range units, uint8_t*) {
  switch (args.activation) {
    case Activation::none: return activate_rows(args, units, [](F x) RWKV_LAMBDA_INLINE { return x; });
    case Activation::tanh: return activate_rows(args, units, [](F x) RWKV_LAMBDA_INLINE { return tanh_vector(x); });
    case Activation::sigmoid:
      return activate_rows(args, units, [](F x) RWKV_LAMBDA_INLINE { return sigmoid_vector(x); });
    case Activation::silu: return activate_rows(args, units, [](F x) RWKV_LAMBDA_INLINE { return silu_vector(x); });
    case Activation::relu2: return activate_rows(args, units, [](F x) RWKV_LAMBDA_INLINE { return relu2_vector(x); });
    case Activation::exp: return activate_rows(args, units, [](F x) RWKV_LAMBDA_INLINE { return exp_vector(x); });
    case Activation::negative_exp:
      return activate_rows(args, units, [](F x) RWKV_LAMBDA_INLINE { return zero() - exp_vector(x); });
    case Activation::exp_negative_exp:
      return activate_rows(args, units, [](F x) RWKV_LAMBDA_INLINE { return exp_negative_exp_vector(x); });
    case Activation::decay7:
      return activate_rows(args, units, [](F x) RWKV_LAMBDA_INLINE { return decay7_vector(x); });
  }
}
