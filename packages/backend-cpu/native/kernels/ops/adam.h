/**
 * One step of AdamW (arXiv:1711.05101) on [count] numbers, gradients scaled by `gradient_factor` first, then zero:
 *
 *   m ← β₁ m + (1 - β₁) g;   v ← β₂ v + (1 - β₂) g²
 *   p ← p - decay p - rate m / (sqrt(v) root_factor + epsilon)
 */
void adam(const AdamArgs& args, size_t count) {
  const F factor = broadcast(args.gradient_factor);
  const F beta1 = broadcast(args.beta1), rest1 = broadcast(args.rest1);
  const F beta2 = broadcast(args.beta2), rest2 = broadcast(args.rest2);
  const F decay = broadcast(args.decay), rate = broadcast(args.rate);
  const F root_factor = broadcast(args.root_factor), epsilon = broadcast(args.epsilon);
  for_columns(count, [&](size_t c, auto lanes) RWKV_LAMBDA_INLINE {
    const F gradient = lanes.read(args.gradients + c) * factor;
    const F first = fma(beta1, lanes.read(args.first_moments + c), rest1 * gradient);
    const F second = fma(beta2, lanes.read(args.second_moments + c), rest2 * gradient * gradient);
    lanes.write(args.first_moments + c, first);
    lanes.write(args.second_moments + c, second);
    const F step = rate * first / fma(sqrt(second), root_factor, epsilon);
    const F value = lanes.read(args.values + c);
    lanes.write(args.values + c, value - fma(decay, value, step));
    lanes.write(args.gradients + c, zero());
  });
}

/** Σ numbers²: pieces in f32, which are added in double; a piece that leaves the range of f32 in double too. */
static double squares(const float* numbers, size_t count) {
  constexpr size_t kPiece = 256;
  double total = 0;
  for (size_t begin = 0; begin < count; begin += kPiece) {
    const size_t size = count - begin < kPiece ? count - begin : kPiece;
    const float part = sum_columns(size, [&](size_t c, auto lanes) RWKV_LAMBDA_INLINE {
      const F number = lanes.read(numbers + begin + c);
      return number * number;
    });
    if (part > 1e-30f && part < 1e37f) {
      total += part;
      continue;
    }
    for (size_t c = 0; c < size; c++) total += static_cast<double>(numbers[begin + c]) * numbers[begin + c];
  }
  return total;
}
