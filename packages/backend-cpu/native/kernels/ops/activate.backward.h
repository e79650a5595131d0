/**
 * Of out = f(x): dx = dout ⊙ f'(x). source, dout, dx [_, width]; `source` is out where f' is a polynomial of it, else x.
 * With σ = sigmoid(x):
 *
 *   of out   sigmoid: out (1 - out);   exp, -exp: out
 *   of x     tanh: 4 e^-2|x| / (1 + e^-2|x|)²;   silu: σ (1 + x (1 - σ));   relu2: 2 max(x, 0);
 *            exp(-exp(x)): -exp(x) out;   decay7: -exp(-1/2) σ (1 - σ) out
 */
template <class Derivative>
RWKV_INLINE void activate_backward_rows(const ActivateBackwardArgs& args, Range rows, Derivative derivative) {
  for (size_t t = rows.begin; t < rows.end; t++) {
    const float* source = args.source.row(t);
    const float* dout = args.dout.row(t);
    float* dx = args.dx.rows.row(t);
    for_columns(args.width, [&](size_t c, auto lanes) RWKV_LAMBDA_INLINE {
      give(lanes, dx + c, lanes.read(dout + c) * derivative(lanes.read(source + c)), args.dx.add);
    });
  }
}

void activate_backward(const ActivateBackwardArgs& args, const Step&, Range rows) {
  const F one = broadcast(1.0f);
  switch (args.activation) {
    case Activation::none: return activate_backward_rows(args, rows, [=](F) RWKV_LAMBDA_INLINE { return one; });
    case Activation::tanh:
      return activate_backward_rows(args, rows, [=](F x) RWKV_LAMBDA_INLINE {
        // 1 - tanh², which far from zero is nothing but the rounding of tanh.
        const F smaller = exp_vector(broadcast(-2.0f) * abs(x));
        const F half = broadcast(2.0f) / (one + smaller);
        return smaller * half * half;
      });
    case Activation::sigmoid:
      return activate_backward_rows(args, rows, [=](F y) RWKV_LAMBDA_INLINE { return fnma(y, y, y); });
    case Activation::exp:
    case Activation::negative_exp:
      return activate_backward_rows(args, rows, [=](F y) RWKV_LAMBDA_INLINE { return y; });
    case Activation::silu:
      return activate_backward_rows(args, rows, [=](F x) RWKV_LAMBDA_INLINE {
        const F s = sigmoid_vector(x);
        return fma(x * s, one - s, s);
      });
    case Activation::relu2:
      return activate_backward_rows(args, rows, [=](F x) RWKV_LAMBDA_INLINE {
        const F positive = max(x, zero());
        return positive + positive;
      });
    case Activation::exp_negative_exp:
      return activate_backward_rows(args, rows, [=](F x) RWKV_LAMBDA_INLINE {
        // Bounded, so that the product of a far exponential with zero is zero.
        const F grown = exp_vector(min(x, broadcast(80.0f)));
        return zero() - grown * exp_vector(zero() - grown);
      });
    case Activation::decay7:
      return activate_backward_rows(args, rows, [=](F x) RWKV_LAMBDA_INLINE {
        const F s = sigmoid_vector(x);
        const F c = broadcast(-0.606530666f);
        return c * (s * (one - s)) * exp_vector(c * s);
      });
  }
}
