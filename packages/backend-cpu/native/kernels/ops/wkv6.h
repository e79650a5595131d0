/**
 * RWKV-5 and RWKV-6 attention, per head (arXiv:2404.05892, sections 4.1 and 4.2), and the norm and gate that follow:
 *
 *   y_j = Σ_i r_i (first_i k_i v_j + S_ij);   S_ij ← k_i v_j + decay_i S_ij;   out = norm_h(y) ⊙ gate
 *
 * r, k, v, out, gate [T, C]; decay [T, C] or [H, N]; first [H, N]; state S [H, N(key) i, N(value) j].
 *
 * Lanes are value indices j, so that no sum crosses lanes: a token is one pass over S, three operations a vector, and
 * the part of `first` is a single factor Σ_i r_i first_i k_i of v. A unit is one (sequence, head), head fastest; its S
 * stays in the first cache for all tokens of the sequence. Scratch holds y, so N is at most kMaxHeadSize.
 */

/** One token of one head: rows of N numbers. */
struct Wkv6Token {
  const float* r;
  const float* k;
  const float* v;
  const float* decay;
  /** Σ_i r_i first_i k_i. */
  float own;
  float* y;
};

/** kVectors neighbouring vectors of value indices from j on. */
template <int kVectors, class Lanes>
RWKV_INLINE void wkv6_columns(const Wkv6Token& token, float* state, size_t size, size_t j, Lanes lanes) {
  F value[kVectors];
  F sums[kVectors];
  const F own = broadcast(token.own);
  for (int i = 0; i < kVectors; i++) {
    value[i] = lanes.read(token.v + j + i * kLanes);
    sums[i] = own * value[i];
  }
  float* line = state + j;
  for (size_t key = 0; key < size; key++) {
    const F r = broadcast(token.r[key]);
    const F k = broadcast(token.k[key]);
    const F decay = broadcast(token.decay[key]);
    for (int i = 0; i < kVectors; i++) {
      const F old = lanes.read(line + i * kLanes);
      sums[i] = fma(r, old, sums[i]);
      lanes.write(line + i * kLanes, fma(decay, old, k * value[i]));
    }
    line += size;
  }
  for (int i = 0; i < kVectors; i++) lanes.write(token.y + j + i * kLanes, sums[i]);
}

template <size_t kSize>
RWKV_INLINE void wkv6_token(const Wkv6Token& token, float* state, size_t head_size) {
  constexpr int kVectors = 4;
  const size_t size = kSize ? kSize : head_size;
  size_t j = 0;
  for (; j + kVectors * kLanes <= size; j += kVectors * kLanes) {
    wkv6_columns<kVectors>(token, state, size, j, WholeLanes{});
  }
  for (; j + kLanes <= size; j += kLanes) wkv6_columns<1>(token, state, size, j, WholeLanes{});
  if (j < size) wkv6_columns<1>(token, state, size, j, PartialLanes{size - j});
}

/** out = norm_h(y) ⊙ gate, either part only where it is given; column `start` of the row is the head's first. */
RWKV_INLINE void wkv6_finish(const Wkv6Args& args, const float* y, size_t t, size_t start, size_t size) {
  float* out = args.out.row(t) + start;
  const float* gate = args.gate ? args.gate.row(t) + start : nullptr;
  const bool normalises = args.norm.weight != nullptr;
  const Standard standard(normalises ? statistics(y, size, args.norm.eps) : Statistics{0, 0, 1});
  for_columns(size, [&](size_t c, auto lanes) RWKV_LAMBDA_INLINE {
    F value = lanes.read(y + c);
    if (normalises) {
      value = standard(value, lanes.read(args.norm.weight + start + c), lanes.read(args.norm.bias + start + c));
    }
    if (gate) value = value * lanes.read(gate + c);
    lanes.write(out + c, value);
  });
}

template <size_t kSize>
static void wkv6_units(const Wkv6Args& args, const Step& step, Range units, float* y) {
  const size_t size = kSize ? kSize : args.head_size;
  for (size_t unit = units.begin; unit < units.end; unit++) {
    const size_t s = unit / args.heads;
    const size_t h = unit % args.heads;
    const size_t start = h * size;
    float* state = args.state.slot(step.slots[s]) + start * size;
    for (size_t t = step.starts[s]; t < step.starts[s + 1]; t++) {
      const float* r = args.r.row(t) + start;
      const float* k = args.k.row(t) + start;
      const float own = bonus7_sum(r, k, args.first + start, size);
      wkv6_token<kSize>({r, k, args.v.row(t) + start, args.decay.row(t) + start, own, y}, state, size);
      wkv6_finish(args, y, t, start, size);
    }
  }
}

void wkv6(const Wkv6Args& args, const Step& step, Range units, uint8_t* scratch) {
  float* y = reinterpret_cast<float*>(scratch);
  if (args.head_size == 64) wkv6_units<64>(args, step, units, y);
  else wkv6_units<0>(args, step, units, y);
}
