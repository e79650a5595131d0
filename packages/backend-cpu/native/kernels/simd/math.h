/**
 * Element-wise functions, written once over F. Polynomials are minimax fits of their own for the intervals given;
 * results are within about two units in the last place, NaN stays NaN, and far arguments saturate.
 */

/** e^x = 2^n e^r, n = round(x / ln 2), |r| <= ln 2 / 2; e^r = 1 + r + r² q(r). */
RWKV_INLINE F exp_vector(F x) {
  // Outside these bounds the result is infinity, or rounds to zero, all the same; infinite x would make r NaN.
  const F bounded = min(max(x, broadcast(-104.0f)), broadcast(89.0f));
  const F n = round(bounded * broadcast(1.44269502f));
  // ln 2 in two parts, the first of 15 bits, so that n times it is exact even where fma rounds twice.
  F r = fnma(n, broadcast(0x1.62e4p-1f), bounded);
  r = fnma(n, broadcast(0x1.7f7d1cp-20f), r);
  F q = fma(r, broadcast(0.00138146023f), broadcast(0.00836871564f));
  q = fma(r, q, broadcast(0.041668389f));
  q = fma(r, q, broadcast(0.166665211f));
  q = fma(r, q, broadcast(0.49999994f));
  return scale_by_any_power(fma(r * r, q, r) + broadcast(1.0f), n);
}

/**
 * 1 / (1 + e^-|x|), or for x < 0 that times e^x: e^-x of a far x would be infinite where the result is not yet zero.
 */
RWKV_INLINE F sigmoid_vector(F x) {
  const F smaller = exp_vector(zero() - abs(x));
  const F positive = broadcast(1.0f) / (broadcast(1.0f) + smaller);
  return select_less(x, zero(), smaller * positive, positive);
}

/** For |x| < 5/8 x + x³ p(x²), otherwise 1 - 2 / (e^2|x| + 1) with the sign of x: neither cancels. */
RWKV_INLINE F tanh_vector(F x) {
  const F magnitude = abs(x);
  const F square = x * x;
  F p = fma(square, broadcast(-0.00570498686f), broadcast(0.020639088f));
  p = fma(square, p, broadcast(-0.0537397154f));
  p = fma(square, p, broadcast(0.133314416f));
  p = fma(square, p, broadcast(-0.333332807f));
  const F near = fma(x * square, p, x);
  const F grown = exp_vector(magnitude + magnitude);
  const F far = broadcast(1.0f) - broadcast(2.0f) / (grown + broadcast(1.0f));
  return select_less(magnitude, broadcast(0.625f), near, copy_sign(far, x));
}

/** x sigmoid(x). */
RWKV_INLINE F silu_vector(F x) { return x * sigmoid_vector(x); }

/** max(x, 0)². */
RWKV_INLINE F relu2_vector(F x) {
  const F positive = max(x, zero());
  return positive * positive;
}

/** exp(-exp(x)). */
RWKV_INLINE F exp_negative_exp_vector(F x) { return exp_vector(zero() - exp_vector(x)); }

/** exp(-exp(-1/2) sigmoid(x)). */
RWKV_INLINE F decay7_vector(F x) { return exp_vector(broadcast(-0.606530666f) * sigmoid_vector(x)); }

RWKV_INLINE F activate_vector(F x, Activation activation) {
  switch (activation) {
    case Activation::none: return x;
    case Activation::tanh: return tanh_vector(x);
    case Activation::sigmoid: return sigmoid_vector(x);
    case Activation::silu: return silu_vector(x);
    case Activation::relu2: return relu2_vector(x);
    case Activation::exp: return exp_vector(x);
    case Activation::negative_exp: return zero() - exp_vector(x);
    case Activation::exp_negative_exp: return exp_negative_exp_vector(x);
    case Activation::decay7: return decay7_vector(x);
  }
  return x;
}

/** One number, in double precision: a parameter is made once and used for every token. */
static double activate_exactly(double x, Activation activation) {
  const auto sigmoid = [](double y) { return 1 / (1 + ::exp(-y)); };
  switch (activation) {
    case Activation::none: return x;
    case Activation::tanh: return ::tanh(x);
    case Activation::sigmoid: return sigmoid(x);
    case Activation::silu: return x * sigmoid(x);
    case Activation::relu2: return x < 0 ? 0 : x * x;
    case Activation::exp: return ::exp(x);
    case Activation::negative_exp: return -::exp(x);
    case Activation::exp_negative_exp: return ::exp(-::exp(x));
    case Activation::decay7: return ::exp(-::exp(-0.5) * sigmoid(x));
  }
  return x;
}

/** numbers[i] = activation(numbers[i]). */
static void apply_form(float* numbers, size_t count, Activation activation) {
  for (size_t i = 0; i < count; i++) numbers[i] = static_cast<float>(activate_exactly(numbers[i], activation));
}
