/**
 * Of norm, over each of `groups` parts of a row with x̂ = (x - mean) / σ, σ = sqrt(variance + eps), g = dout ⊙ weight:
 *
 *   dx = (g - mean(g) - x̂ mean(g ⊙ x̂)) / σ;   dweight = Σ_t dout ⊙ x̂;   dbias = Σ_t dout
 *
 * x, dout, dx [T, C]; weight, dweight, dbias [C]. Statistics are computed anew.
 */
template <class Lanes>
RWKV_INLINE F norm_standard(Lanes lanes, const float* x, const Statistics& of) {
  return ((lanes.read(x) - broadcast(of.mean)) - broadcast(of.remainder)) * broadcast(of.scale);
}

void norm_backward(const NormBackwardArgs& args, const Step&, Range rows) {
  const size_t size = args.width / args.groups;
  const float part = 1.0f / static_cast<float>(size);
  clear_sum(args.dweight, args.width);
  clear_sum(args.dbias, args.width);
  for (size_t t = rows.begin; t < rows.end; t++) {
    for (size_t start = 0; start < args.width; start += size) {
      const float* x = args.x.row(t) + start;
      const float* dout = args.dout.row(t) + start;
      const float* weight = args.weight + start;
      const Statistics own = statistics(x, size, args.eps);
      Sums gradients, products;
      size_t turn = 0;
      for_columns(size, [&](size_t c, auto lanes) RWKV_LAMBDA_INLINE {
        const F given = lanes.read(dout + c);
        const F standard = norm_standard(lanes, x + c, own);
        const F gradient = given * lanes.read(weight + c);
        const size_t i = turn++ % 4;
        gradients.parts[i] = gradients.parts[i] + gradient;
        products.parts[i] = fma(gradient, standard, products.parts[i]);
        if (args.dweight) add_to_sum(lanes, args.dweight + start + c, given * standard);
        if (args.dbias) add_to_sum(lanes, args.dbias + start + c, given);
      });
      if (!args.dx) continue;
      const F mean = broadcast(part * sum(gradients.whole()));
      const F slope = broadcast(part * sum(products.whole()));
      const F scale = broadcast(own.scale);
      float* dx = args.dx.rows.row(t) + start;
      for_columns(size, [&](size_t c, auto lanes) RWKV_LAMBDA_INLINE {
        const F standard = norm_standard(lanes, x + c, own);
        const F gradient = lanes.read(dout + c) * lanes.read(weight + c);
        give(lanes, dx + c, fnma(standard, slope, gradient - mean) * scale, args.dx.add);
      });
    }
  }
}
