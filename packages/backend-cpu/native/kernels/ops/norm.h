/**
 * out = (x - mean) / sqrt(variance + eps) ⊙ weight + bias over each of `groups` parts of a row; x, out [_, width],
 * weight, bias [width]. A unit is a row.
 *
 * The variance comes from differences to the mean, which unlike E[x²] - mean² does not cancel. The mean itself is a sum
 * of f32 and, where it is large beside the spread, off by more than the differences' own last place; the sum of the
 * differences tells by how much, and `remainder` takes it away again.
 */

/** Of one part of a row: x̂ = ((x - mean) - remainder) scale, before weight and bias. */
struct Statistics {
  float mean;
  float remainder;
  float scale;
};

/** For numbers whose squares leave the range of f32. */
static Statistics exact_statistics(const float* x, size_t size, float eps) {
  double sum = 0;
  for (size_t c = 0; c < size; c++) sum += x[c];
  const double mean = sum / static_cast<double>(size);
  double squares = 0;
  for (size_t c = 0; c < size; c++) squares += (x[c] - mean) * (x[c] - mean);
  const float rounded = static_cast<float>(mean);
  return {rounded, static_cast<float>(mean - rounded),
          static_cast<float>(1 / ::sqrt(squares / static_cast<double>(size) + eps))};
}

RWKV_INLINE Statistics statistics(const float* x, size_t size, float eps) {
  const float part = 1.0f / static_cast<float>(size);
  const float mean = part * sum_columns(size, [&](size_t c, auto lanes) RWKV_LAMBDA_INLINE {
    return lanes.read(x + c);
  });
  const F center = broadcast(mean);
  Sums rest;
  Sums squares;
  const auto take = [&](int i, F difference) RWKV_LAMBDA_INLINE {
    rest.parts[i] = rest.parts[i] + difference;
    squares.parts[i] = fma(difference, difference, squares.parts[i]);
  };
  size_t c = 0;
  for (; c + 4 * kLanes <= size; c += 4 * kLanes) {
    for (int i = 0; i < 4; i++) take(i, load(x + c + i * kLanes) - center);
  }
  for (; c + kLanes <= size; c += kLanes) take(0, load(x + c) - center);
  if (c < size) {
    const PartialLanes lanes{size - c};
    take(1, lanes.inside(lanes.read(x + c) - center));
  }
  const float total = sum(squares.whole());
  const bool small = total < 1e-30f && eps < 1e-20f;
  if (!(total < 1e37f) || small) return exact_statistics(x, size, eps);
  const float remainder = part * sum(rest.whole());
  const float variance = total * part - remainder * remainder;
  return {mean, remainder, 1.0f / ::sqrtf((variance > 0 ? variance : 0.0f) + eps)};
}

/** `Statistics` in every lane. */
struct Standard {
  F mean, remainder, scale;
  RWKV_INLINE explicit Standard(const Statistics& of)
      : mean(broadcast(of.mean)), remainder(broadcast(of.remainder)), scale(broadcast(of.scale)) {}
  RWKV_INLINE F operator()(F x, F weight, F bias) const {
    return fma(((x - mean) - remainder) * scale, weight, bias);
  }
};

void norm(const NormArgs& args, const Step&, Range units, uint8_t*) {
  const size_t size = args.width / args.norm.groups;
  for (size_t t = units.begin; t < units.end; t++) {
    for (size_t group = 0; group < args.norm.groups; group++) {
      const size_t start = group * size;
      const float* x = args.x.row(t) + start;
      const float* weight = args.norm.weight + start;
      const float* bias = args.norm.bias + start;
      float* out = args.out.row(t) + start;
      const Standard standard(statistics(x, size, args.norm.eps));
      for_columns(size, [&](size_t c, auto lanes) RWKV_LAMBDA_INLINE {
        lanes.write(out + c, standard(lanes.read(x + c), lanes.read(weight + c), lanes.read(bias + c)));
      });
    }
  }
}
