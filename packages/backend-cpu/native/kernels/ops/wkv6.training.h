/**
 * RWKV-5 and RWKV-6 attention for training, forward and backward (arXiv:2404.05892, sections 4.1 and 4.2). With i the
 * key index, j the value index, u for `first`, d for `decay`, S the state before a token and S' after it:
 *
 *   out_j = Σ_i r_i (u_i k_i v_j + S_ij);   S'_ij = d_i S_ij + k_i v_j
 *
 * With dx the loss's derivative with respect to x, G = dS' that of all that comes after, and e = Σ_j v_j dout_j:
 *
 *   dr_i = u_i k_i e + Σ_j S_ij dout_j     dk_i = r_i u_i e + Σ_j G_ij v_j     du_i = r_i k_i e
 *   dv_j = dout_j Σ_i r_i u_i k_i + Σ_i G_ij k_i         dd_i = Σ_j G_ij S_ij      dS_ij = d_i G_ij + r_i dout_j
 *
 * Inside, S and dS lie with rows of values and lanes of keys, [N(value), P(key)]: of the four sums over a matrix the
 * three over values then cross no lanes. A matrix is transposed once when a call begins and once when it ends. A row
 * of either needs no other, so the backward pass takes kRowGroup rows at a time through all tokens of a stretch,
 * forwards to have their states again from the recorded one, and dr with them, then backwards; a group's states stay
 * in the first cache. The sums over values wait in a row for each token.
 *
 * r, k, v, decay, out and their gradients [tokens, N]; first [N]; S and dS [N(key), N(value)]; the record: states
 * [_, N(value), P(key)] before every kCheckpointTokens-th token, P = padded_row(N). A unit is one head of one sequence.
 */

/** Neighbouring vectors of a row whose inputs stay in registers. */
constexpr int kWkv6Columns = kLanes == 8 ? 2 : 4;

/** One token's padded rows. */
struct Wkv6Inputs {
  float *r, *k, *v, *decay, *out_gradient;
  static constexpr size_t kRows = 5;

  RWKV_INLINE Wkv6Inputs(float* memory, size_t stride)
      : r(memory), k(r + stride), v(k + stride), decay(v + stride), out_gradient(decay + stride) {}

  template <class Args>
  RWKV_INLINE void read(const Args& args, size_t t) const {
    const size_t size = args.head_size;
    pad_row(args.r.row(t), r, size);
    pad_row(args.k.row(t), k, size);
    pad_row(args.v.row(t), v, size);
    pad_row(args.decay.row(t), decay, size);
  }
};

// ---- Forward ----------------------------------------------------------------------------------------------------

/** S' of the rows [begin, end). */
RWKV_INLINE void wkv6_advance(const Wkv6Inputs& token, float* state, size_t begin, size_t end, size_t stride) {
  for_blocks<kWkv6Columns>(stride, [&](size_t i, auto vectors) RWKV_LAMBDA_INLINE {
    constexpr int kVectors = decltype(vectors)::value;
    F k[kVectors], decay[kVectors];
    for (int n = 0; n < kVectors; n++) {
      k[n] = load(token.k + i + n * kLanes);
      decay[n] = load(token.decay + i + n * kLanes);
    }
    for (size_t j = begin; j < end; j++) {
      float* line = state + j * stride + i;
      const F value = broadcast(token.v[j]);
      for (int n = 0; n < kVectors; n++) {
        float* place = line + n * kLanes;
        store(place, fma(load(place), decay[n], value * k[n]));
      }
    }
  });
}

template <size_t kStride>
static void wkv6_forward(const Wkv6TrainingArgs& args, float* scratch) {
  const size_t size = args.head_size;
  const size_t stride = kStride ? kStride : padded_row(size);
  float* state = scratch;
  const Wkv6Inputs token(state + (size + kRowGroup - 1) * stride, stride);
  float* y = token.out_gradient;
  float* first = y + stride;
  pad_row(args.first, first, size);
  pad_transposed(args.state, state, size);
  for (size_t t = 0; t < args.tokens; t++) {
    if (args.record && t % kCheckpointTokens == 0) {
      memcpy(args.record + t / kCheckpointTokens * size * stride, state, size * stride * sizeof(float));
    }
    token.read(args, t);
    for (size_t j = 0; j < size; j += kRowGroup) {
      sums_of_rows(state, j, stride, token.r, y);
      wkv6_advance(token, state, j, j + kRowGroup < size ? j + kRowGroup : size, stride);
    }
    const F own = broadcast(dot(token.r, token.k, first, stride));
    float* out = args.out.row(t);
    for_columns(size, [&](size_t c, auto lanes) RWKV_LAMBDA_INLINE {
      lanes.write(out + c, fma(own, lanes.read(token.v + c), lanes.read(y + c)));
    });
  }
  unpad_transposed(state, args.state, size);
}

void wkv6_training(const Wkv6TrainingArgs& args, uint8_t* scratch) {
  float* memory = reinterpret_cast<float*>(scratch);
  if (padded_row(args.head_size) == 64) wkv6_forward<64>(args, memory);
  else wkv6_forward<0>(args, memory);
}

// ---- Backward ---------------------------------------------------------------------------------------------------

/** A token's gradients, padded rows; dr, dk and dv lack the part of `first` until all rows have been walked. */
struct Wkv6Gradients {
  float *r, *k, *v, *decay;
  static constexpr size_t kRows = 4;

  RWKV_INLINE Wkv6Gradients(float* memory, size_t stride)
      : r(memory), k(r + stride), v(k + stride), decay(v + stride) {}
};

/** The rows [begin, end) of a token's S' from those of S; what they add to dr. */
RWKV_INLINE void wkv6_restore(const Wkv6Inputs& token, const float* before, float* after, float* dr, size_t begin,
                              size_t end, size_t stride) {
  for_blocks<kWkv6Columns>(stride, [&](size_t i, auto vectors) RWKV_LAMBDA_INLINE {
    constexpr int kVectors = decltype(vectors)::value;
    F k[kVectors], decay[kVectors], sums[kVectors];
    for (int n = 0; n < kVectors; n++) {
      k[n] = load(token.k + i + n * kLanes);
      decay[n] = load(token.decay + i + n * kLanes);
      sums[n] = load(dr + i + n * kLanes);
    }
    for (size_t j = begin; j < end; j++) {
      const size_t line = (j - begin) * stride + i;
      const F value = broadcast(token.v[j]);
      const F out_gradient = broadcast(token.out_gradient[j]);
      for (int n = 0; n < kVectors; n++) {
        const F old = load(before + line + n * kLanes);
        store(after + line + n * kLanes, fma(old, decay[n], value * k[n]));
        sums[n] = fma(out_gradient, old, sums[n]);
      }
    }
    for (int n = 0; n < kVectors; n++) store(dr + i + n * kLanes, sums[n]);
  });
}

/** The rows [begin, end) of dS from those of dS'; what they add to dd and dk. */
RWKV_INLINE void wkv6_reverse(const Wkv6Inputs& token, const float* state, float* gradient,
                              const Wkv6Gradients& gradients, size_t begin, size_t end, size_t stride) {
  for_blocks<kWkv6Columns>(stride, [&](size_t i, auto vectors) RWKV_LAMBDA_INLINE {
    constexpr int kVectors = decltype(vectors)::value;
    F r[kVectors], decay[kVectors], dk[kVectors], dd[kVectors];
    for (int n = 0; n < kVectors; n++) {
      r[n] = load(token.r + i + n * kLanes);
      decay[n] = load(token.decay + i + n * kLanes);
      dk[n] = load(gradients.k + i + n * kLanes);
      dd[n] = load(gradients.decay + i + n * kLanes);
    }
    for (size_t j = begin; j < end; j++) {
      const size_t line = (j - begin) * stride + i;
      const F value = broadcast(token.v[j]);
      const F out_gradient = broadcast(token.out_gradient[j]);
      F later[kVectors];
      for (int n = 0; n < kVectors; n++) later[n] = load(gradient + line + n * kLanes);
      for (int n = 0; n < kVectors; n++) {
        dk[n] = fma(value, later[n], dk[n]);
        dd[n] = fma(later[n], load(state + line + n * kLanes), dd[n]);
        store(gradient + line + n * kLanes, fma(later[n], decay[n], out_gradient * r[n]));
      }
    }
    for (int n = 0; n < kVectors; n++) {
      store(gradients.k + i + n * kLanes, dk[n]);
      store(gradients.decay + i + n * kLanes, dd[n]);
    }
  });
}

/** Sums over tokens, padded rows: over a stretch, and over all stretches so far. */
struct Wkv6Totals {
  float *stretch_decay, *stretch_first, *decay, *first;
  static constexpr size_t kRows = 4;

  RWKV_INLINE Wkv6Totals(float* memory, size_t stride)
      : stretch_decay(memory), stretch_first(memory + stride), decay(stretch_first + stride), first(decay + stride) {}

  /** Stretch by stretch, so that the error does not grow with every token. */
  RWKV_INLINE void end_stretch(size_t stride) const {
    for (size_t c = 0; c < stride; c += kLanes) {
      store(decay + c, load(decay + c) + load(stretch_decay + c));
      store(first + c, load(first + c) + load(stretch_first + c));
    }
    clear(stretch_decay, 2 * stride);
  }
};

/** The parts of `first`, and what a token adds to the sums. */
RWKV_INLINE void wkv6_finish_token(const Wkv6Inputs& token, const float* first, const Wkv6Gradients& gradients,
                                   const Wkv6Totals& totals, size_t stride) {
  const F own = broadcast(dot(token.r, token.k, first, stride));
  const F e = broadcast(dot(token.v, token.out_gradient, stride));
  for (size_t c = 0; c < stride; c += kLanes) {
    const F k = load(token.k + c);
    const F r_e = load(token.r + c) * e;
    const F u = load(first + c);
    store(gradients.r + c, fma(u * k, e, load(gradients.r + c)));
    store(gradients.k + c, fma(u, r_e, load(gradients.k + c)));
    store(gradients.v + c, fma(load(token.out_gradient + c), own, load(gradients.v + c)));
    store(totals.stretch_first + c, fma(r_e, k, load(totals.stretch_first + c)));
    store(totals.stretch_decay + c, load(totals.stretch_decay + c) + load(gradients.decay + c));
  }
}

template <size_t kStride>
static void wkv6_backward_unit(const Wkv6BackwardArgs& args, float* scratch) {
  const size_t size = args.head_size;
  const size_t stride = kStride ? kStride : padded_row(size);
  const size_t group = kRowGroup * stride;
  float* gradient = scratch;
  float* states = gradient + size * stride + group;
  float* rows = states + kCheckpointTokens * group;
  float* gradient_rows = rows + kCheckpointTokens * Wkv6Inputs::kRows * stride;
  const Wkv6Totals totals(gradient_rows + kCheckpointTokens * Wkv6Gradients::kRows * stride, stride);
  float* first = totals.first + stride;
  clear(totals.stretch_decay, Wkv6Totals::kRows * stride);
  pad_row(args.first, first, size);
  pad_transposed(args.state_gradient, gradient, size);
  const auto inputs = [&](size_t step) RWKV_LAMBDA_INLINE {
    return Wkv6Inputs(rows + step * Wkv6Inputs::kRows * stride, stride);
  };
  const auto gradients = [&](size_t step) RWKV_LAMBDA_INLINE {
    return Wkv6Gradients(gradient_rows + step * Wkv6Gradients::kRows * stride, stride);
  };

  for (size_t stretch = checkpoint_count(args.tokens); stretch-- > 0;) {
    const size_t start = stretch * kCheckpointTokens;
    const size_t steps = start + kCheckpointTokens < args.tokens ? kCheckpointTokens : args.tokens - start;
    for (size_t step = 0; step < steps; step++) {
      const Wkv6Inputs token = inputs(step);
      token.read(args, start + step);
      if (args.out_gradient) pad_row(args.out_gradient.row(start + step), token.out_gradient, size);
      else clear(token.out_gradient, stride);
    }
    clear(gradient_rows, steps * Wkv6Gradients::kRows * stride);
    for (size_t begin = 0; begin < size; begin += kRowGroup) {
      const size_t end = begin + kRowGroup < size ? begin + kRowGroup : size;
      const float* checkpoint = args.record + (stretch * size + begin) * stride;
      const auto before = [&](size_t step) RWKV_LAMBDA_INLINE {
        return step == 0 ? checkpoint : states + (step - 1) * group;
      };
      for (size_t step = 0; step < steps; step++) {
        wkv6_restore(inputs(step), before(step), states + step * group, gradients(step).r, begin, end, stride);
      }
      for (size_t step = steps; step-- > 0;) {
        const Wkv6Inputs token = inputs(step);
        sums_of_rows(gradient, begin, stride, token.k, gradients(step).v);
        wkv6_reverse(token, before(step), gradient + begin * stride, gradients(step), begin, end, stride);
      }
    }
    for (size_t step = steps; step-- > 0;) {
      const Wkv6Gradients done = gradients(step);
      wkv6_finish_token(inputs(step), first, done, totals, stride);
      give(args.r_gradient, start + step, done.r, size);
      give(args.k_gradient, start + step, done.k, size);
      give(args.v_gradient, start + step, done.v, size);
      give(args.decay_gradient, start + step, done.decay, size);
    }
    totals.end_stretch(stride);
  }
  if (args.decay_total) memcpy(args.decay_total, totals.decay, size * sizeof(float));
  if (args.first_total) memcpy(args.first_total, totals.first, size * sizeof(float));
  unpad_transposed(gradient, args.state_gradient, size);
}

void wkv6_backward(const Wkv6BackwardArgs& args, uint8_t* scratch) {
  float* memory = reinterpret_cast<float*>(scratch);
  if (padded_row(args.head_size) == 64) wkv6_backward_unit<64>(args, memory);
  else wkv6_backward_unit<0>(args, memory);
}
