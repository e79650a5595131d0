/**
 * A parameter as rows see it, form(weight), and its gradient from sums over blocks of rows:
 *
 *   gradient[i] += f'(weight[i]) Σ over the blocks and over the `repeat` numbers that were made of weight[i]
 *
 * sums [blocks, count · repeat]; weight, gradient [count]. A unit is a number.
 */

/** out[i · repeat + j] = form(weight[i]), once for all rows of a step. */
void parameter(const ParameterArgs& args) {
  for (size_t i = 0; i < args.count * args.repeat; i++) args.out[i] = args.weight[i / args.repeat];
  apply_form(args.out, args.count * args.repeat, args.form);
}

/** f'(x), as activate.backward.h has it, in double. */
static double derivative_exactly(double x, Activation activation) {
  const double s = 1 / (1 + ::exp(-x));
  switch (activation) {
    case Activation::none: return 1;
    case Activation::tanh: return 1 - ::tanh(x) * ::tanh(x);
    case Activation::sigmoid: return s * (1 - s);
    case Activation::silu: return s + x * s * (1 - s);
    case Activation::relu2: return x > 0 ? 2 * x : 0;
    case Activation::exp: return ::exp(x);
    case Activation::negative_exp: return -::exp(x);
    case Activation::exp_negative_exp: return x > 700 ? 0 : -::exp(x) * ::exp(-::exp(x));
    case Activation::decay7: return -::exp(-0.5) * s * (1 - s) * ::exp(-::exp(-0.5) * s);
  }
  return 1;
}

void parameter_backward(const ParameterBackwardArgs& args, Range numbers) {
  const size_t stride = args.count * args.repeat;
  if (args.repeat == 1 && args.form == Activation::none) {
    const size_t begin = numbers.begin;
    for_columns(numbers.end - begin, [&](size_t c, auto lanes) RWKV_LAMBDA_INLINE {
      const float* from = args.sums + begin + c;
      F total = zero();
      for (size_t block = 0; block < args.blocks; block++, from += stride) total = total + lanes.read(from);
      give(lanes, args.gradient + begin + c, total, true);
    });
    return;
  }
  for (size_t i = numbers.begin; i < numbers.end; i++) {
    double total = 0;
    for (size_t block = 0; block < args.blocks; block++) {
      for (size_t j = 0; j < args.repeat; j++) total += args.sums[block * stride + i * args.repeat + j];
    }
    args.gradient[i] += static_cast<float>(total * derivative_exactly(args.weight[i], args.form));
  }
}
