/**
 * RWKV-4 attention for training, forward and backward, per channel (arXiv:2305.13048, section 3.1 and appendix D). With
 * (a, b, p) the state before a token, (a', b', p') after it, u for `first` and d for `decay`:
 *
 *   q = max(p, u + k);    A = e^{p-q}, B = e^{u+k-q};     out = (A a + B v) / D,  D = A b + B
 *   p' = max(p + d, k);   A' = e^{p+d-p'}, B' = e^{k-p'};  a' = A' a + B' v;  b' = A' b + B'
 *
 * A state means the numbers a eᵖ and b eᵖ, so nothing that follows depends on how a maximum came out: only a gradient
 * that the caller gives can say otherwise. With dx the loss's derivative with respect to x, each of a, b and p by
 * itself, that part is x' = dp' - a' da' - b' db'. All exponents stay relative to the maximum, and with g = dout / D:
 *
 *   own = g B (v - out)                                 past = A' (a da' + b db'),  now = B' (v da' + db')
 *   dv = g B + B' da'
 *   du = own                                            dd = past + x' where p + d >= k
 *   dk = own + now + x' where p + d < k
 *   da = A' da' + g A       db = A' db' - g A out       x = x' where p + d >= k, otherwise 0;  dp = a da + b db + x
 *
 * k, v, out and their gradients [tokens, C]; decay, first [C]; state and its gradient [3, C]; the record: states [_,
 * 3, P] before every kCheckpointTokens-th token, P = padded_row(C). Lanes are channels. A unit is one sequence's block
 * of any number of channels: a few vectors of them at a time walk all tokens with their state in registers. Scratch
 * holds what a stretch's tokens left for the way back, so that it takes no exponentials.
 */

constexpr int kWkv4Vectors = 2;

template <int kVectors>
struct Wkv4State {
  F a[kVectors], b[kVectors], p[kVectors];

  template <class Lanes>
  RWKV_INLINE void read(const float* from, size_t stride, Lanes lanes) {
    for (int n = 0; n < kVectors; n++) {
      a[n] = lanes.read(from + n * kLanes);
      b[n] = lanes.read(from + stride + n * kLanes);
      p[n] = lanes.read(from + 2 * stride + n * kLanes);
    }
  }
  template <class Lanes>
  RWKV_INLINE void write(float* to, size_t stride, Lanes lanes) const {
    for (int n = 0; n < kVectors; n++) {
      lanes.write(to + n * kLanes, a[n]);
      lanes.write(to + stride + n * kLanes, b[n]);
      lanes.write(to + 2 * stride + n * kLanes, p[n]);
    }
  }
};

/** body(c, Constant<vectors>, lanes) for all channels. */
template <class Body>
RWKV_INLINE void for_channels(size_t channels, Body body) {
  size_t c = 0;
  for (; c + kWkv4Vectors * kLanes <= channels; c += kWkv4Vectors * kLanes) {
    body(c, Constant<kWkv4Vectors>{}, WholeLanes{});
  }
  for (; c + kLanes <= channels; c += kLanes) body(c, Constant<1>{}, WholeLanes{});
  if (c < channels) body(c, Constant<1>{}, PartialLanes{channels - c});
}

// ---- Forward ----------------------------------------------------------------------------------------------------

template <int kVectors, class Lanes>
RWKV_INLINE void wkv4_forward_channels(const Wkv4TrainingArgs& args, size_t c, Lanes lanes) {
  const size_t record_row = padded_row(args.channels);
  Wkv4State<kVectors> state;
  state.read(args.state + c, args.state_stride, lanes);
  for (size_t t = 0; t < args.tokens; t++) {
    if (args.record && t % kCheckpointTokens == 0) {
      state.write(args.record + t / kCheckpointTokens * 3 * record_row + c, record_row, WholeLanes{});
    }
    const float* k = args.k.row(t) + c;
    const float* v = args.v.row(t) + c;
    float* out = args.out.row(t) + c;
    for (int n = 0; n < kVectors; n++) {
      const F key = lanes.read(k + n * kLanes);
      const F value = lanes.read(v + n * kLanes);
      const Wkv4Factors seen = wkv4_factors(state.p[n], lanes.read(args.first + c + n * kLanes) + key);
      const F above = fma(seen.past, state.a[n], seen.now * value);
      lanes.write(out + n * kLanes, above / fma(seen.past, state.b[n], seen.now));

      const F decayed = state.p[n] + lanes.read(args.decay + c + n * kLanes);
      const Wkv4Factors kept = wkv4_factors(decayed, key);
      state.a[n] = fma(kept.past, state.a[n], kept.now * value);
      state.b[n] = fma(kept.past, state.b[n], kept.now);
      state.p[n] = max(decayed, key);
    }
  }
  state.write(args.state + c, args.state_stride, lanes);
}

void wkv4_training(const Wkv4TrainingArgs& args) {
  for_channels(args.channels, [&](size_t c, auto vectors, auto lanes) RWKV_LAMBDA_INLINE {
    wkv4_forward_channels<decltype(vectors)::value>(args, c, lanes);
  });
}

// ---- Backward ---------------------------------------------------------------------------------------------------

/** What one token's vector leaves for the way back, kLanes numbers each. */
struct Wkv4Kept {
  float a[kLanes], b[kLanes], past[kLanes], now[kLanes], out[kLanes], past_share[kLanes], now_share[kLanes];
};
static_assert(sizeof(Wkv4Kept) * kCheckpointTokens * kWkv4Vectors <= kWkv4TrainingScratch, "scratch is too small");

/** The tokens [begin, end) from the state before them to the one after. */
template <int kVectors, class Lanes>
RWKV_INLINE void wkv4_restore(const Wkv4BackwardArgs& args, Wkv4State<kVectors>& state, size_t begin, size_t end,
                              size_t c, Wkv4Kept* kept, Lanes lanes) {
  for (size_t t = begin; t < end; t++) {
    for (int n = 0; n < kVectors; n++) {
      const size_t column = c + n * kLanes;
      Wkv4Kept& token = kept[(t - begin) * kVectors + n];
      const F key = lanes.read(args.k.row(t) + column);
      const F value = lanes.read(args.v.row(t) + column);
      const Wkv4Factors seen = wkv4_factors(state.p[n], lanes.read(args.first + column) + key);
      const F over = broadcast(1.0f) / fma(seen.past, state.b[n], seen.now);
      store(token.past_share, seen.past * over);
      store(token.now_share, seen.now * over);
      store(token.out, fma(seen.past, state.a[n], seen.now * value) * over);

      const F decayed = state.p[n] + lanes.read(args.decay + column);
      const Wkv4Factors next = wkv4_factors(decayed, key);
      store(token.past, next.past);
      store(token.now, next.now);
      store(token.a, state.a[n]);
      store(token.b, state.b[n]);
      state.a[n] = fma(next.past, state.a[n], next.now * value);
      state.b[n] = fma(next.past, state.b[n], next.now);
      state.p[n] = max(decayed, key);
    }
  }
}

/** Gradients of a, b and the part of p's that they do not imply; and the sums of the parameters' gradients. */
template <int kVectors>
struct Wkv4Gradients {
  F a[kVectors], b[kVectors], beside[kVectors], decay[kVectors], first[kVectors];
};

template <class Lanes>
RWKV_INLINE void wkv4_give(const Gradient& gradient, size_t t, size_t c, F value, Lanes lanes) {
  if (!gradient) return;
  float* to = gradient.rows.row(t) + c;
  lanes.write(to, gradient.add ? lanes.read(to) + value : value);
}

/** One token backwards. */
template <int kVectors, class Lanes>
RWKV_INLINE void wkv4_reverse(const Wkv4BackwardArgs& args, Wkv4Gradients<kVectors>& gradients, size_t t, size_t c,
                              const Wkv4Kept* kept, Lanes lanes) {
  const F one = broadcast(1.0f);
  for (int n = 0; n < kVectors; n++) {
    const size_t column = c + n * kLanes;
    const F value = lanes.read(args.v.row(t) + column);
    const F out_gradient = args.out_gradient ? lanes.read(args.out_gradient.row(t) + column) : zero();
    const F out = load(kept[n].out);
    const F past = load(kept[n].past);
    const F now = load(kept[n].now);
    const F by_past = out_gradient * load(kept[n].past_share);
    const F by_now = out_gradient * load(kept[n].now_share);

    const F own = by_now * (value - out);
    const F from_past = past * fma(load(kept[n].a), gradients.a[n], load(kept[n].b) * gradients.b[n]);
    const F from_now = now * fma(value, gradients.a[n], gradients.b[n]);
    // The smaller exponent's factor is the one below 1.
    const F beside = select_less(past, one, zero(), gradients.beside[n]);
    wkv4_give(args.k_gradient, t, column, own + (from_now + (gradients.beside[n] - beside)), lanes);
    wkv4_give(args.v_gradient, t, column, fma(now, gradients.a[n], by_now), lanes);
    gradients.first[n] = gradients.first[n] + own;
    gradients.decay[n] = gradients.decay[n] + (from_past + beside);
    gradients.beside[n] = beside;
    gradients.a[n] = fma(past, gradients.a[n], by_past);
    gradients.b[n] = fnma(by_past, out, past * gradients.b[n]);
  }
}

template <int kVectors, class Lanes>
RWKV_INLINE void wkv4_backward_channels(const Wkv4BackwardArgs& args, size_t c, Wkv4Kept* kept, Lanes lanes) {
  const size_t record_row = padded_row(args.channels);
  // Where there are no tokens, nothing of either is used; compilers cannot see that.
  Wkv4Gradients<kVectors> gradients{};
  F decay_total[kVectors], first_total[kVectors];
  for (int n = 0; n < kVectors; n++) decay_total[n] = first_total[n] = zero();
  Wkv4State<kVectors> given;
  given.read(args.state_gradient + c, args.state_stride, lanes);
  Wkv4State<kVectors> before{};
  for (size_t stretch = checkpoint_count(args.tokens); stretch-- > 0;) {
    const size_t begin = stretch * kCheckpointTokens;
    const size_t end = begin + kCheckpointTokens < args.tokens ? begin + kCheckpointTokens : args.tokens;
    before.read(args.record + stretch * 3 * record_row + c, record_row, WholeLanes{});
    Wkv4State<kVectors> after = before;
    wkv4_restore(args, after, begin, end, c, kept, lanes);
    for (int n = 0; n < kVectors; n++) {
      if (end == args.tokens) {
        gradients.a[n] = given.a[n];
        gradients.b[n] = given.b[n];
        gradients.beside[n] = fnma(after.b[n], given.b[n], fnma(after.a[n], given.a[n], given.p[n]));
      }
      gradients.decay[n] = gradients.first[n] = zero();
    }
    for (size_t t = end; t-- > begin;) wkv4_reverse(args, gradients, t, c, kept + (t - begin) * kVectors, lanes);
    for (int n = 0; n < kVectors; n++) {
      decay_total[n] = decay_total[n] + gradients.decay[n];
      first_total[n] = first_total[n] + gradients.first[n];
    }
  }
  for (int n = 0; n < kVectors; n++) {
    const size_t column = c + n * kLanes;
    if (args.decay_total) lanes.write(args.decay_total + column, decay_total[n]);
    if (args.first_total) lanes.write(args.first_total + column, first_total[n]);
    if (args.tokens == 0) continue;
    given.a[n] = gradients.a[n];
    given.b[n] = gradients.b[n];
    given.p[n] = fma(before.a[n], gradients.a[n], fma(before.b[n], gradients.b[n], gradients.beside[n]));
  }
  given.write(args.state_gradient + c, args.state_stride, lanes);
}

void wkv4_backward(const Wkv4BackwardArgs& args, uint8_t* scratch) {
  Wkv4Kept* kept = reinterpret_cast<Wkv4Kept*>(scratch);
  for_channels(args.channels, [&](size_t c, auto vectors, auto lanes) RWKV_LAMBDA_INLINE {
    wkv4_backward_channels<decltype(vectors)::value>(args, c, kept, lanes);
  });
}
