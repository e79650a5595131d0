/**
 * The loss of rows of logits, and their gradient: loss = weight (log Σ exp(logits) - logits[target]),
 *
 *   dlogits = scale · weight · (softmax(logits) - [target]),
 *   and at the largest logit + scale · weight · penalty · that logit
 *
 * logits, dlogits [R, V], which may be the same; losses [R], in double. A unit is a row. exp of f32, sums of V terms in
 * double by pieces.
 */

/** Σ exp(x - largest), vector by vector in f32 over pieces of kPiece, which are added in double. */
RWKV_INLINE double exp_sum(const float* x, size_t width, float largest) {
  constexpr size_t kPiece = 1024;
  const F bound = broadcast(largest);
  double total = 0;
  for (size_t begin = 0; begin < width; begin += kPiece) {
    const size_t size = width - begin < kPiece ? width - begin : kPiece;
    total += sum_columns(size, [&](size_t c, auto lanes) RWKV_LAMBDA_INLINE {
      return lanes.inside(exp_vector(lanes.read(x + begin + c) - bound));
    });
  }
  return total;
}

void cross_entropy(const CrossEntropyArgs& args, const Step&, Range rows) {
  for (size_t r = rows.begin; r < rows.end; r++) {
    const float* x = args.logits.row(r);
    size_t at = 0;
    for (size_t c = 1; c < args.width; c++) {
      if (x[c] > x[at]) at = c;
    }
    const float largest_logit = x[at];
    const double total = exp_sum(x, args.width, largest_logit);
    const double weight = args.weights ? args.weights[r] : 1;
    const uint32_t target = args.targets[r];
    args.losses[r] = weight * (::log(total) + (static_cast<double>(largest_logit) - x[target]));
    if (!args.dlogits) continue;
    float* dx = args.dlogits.row(r);
    const double factor = args.scale * weight;
    const F scale = broadcast(static_cast<float>(factor / total));
    const F bound = broadcast(largest_logit);
    for_columns(args.width, [&](size_t c, auto lanes) RWKV_LAMBDA_INLINE {
      lanes.write(dx + c, scale * exp_vector(lanes.read(x + c) - bound));
    });
    dx[target] = static_cast<float>(dx[target] - factor);
    dx[at] = static_cast<float>(dx[at] + factor * args.penalty * largest_logit);
  }
}
