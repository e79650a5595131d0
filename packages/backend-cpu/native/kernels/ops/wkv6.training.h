/**
 * RWKV-5 and RWKV-6 attention for training, forward and backward (arXiv:2404.05892, sections 4.1 and 4.2). With i the key
 * index, j the value index, u for `first`, d for `decay`, S the state before a token and S' after it:
 *
 *   out_j = Σ_i r_i (u_i k_i v_j + S_ij);   S'_ij = d_i S_ij + k_i v_j
 *
 * With dx the loss's derivative with respect to x, G = dS' that of all that comes after, and e = Σ_j v_j dout_j:
 *
 *   dr_i = u_i k_i e + Σ_j S_ij dout_j     dk_i = r_i u_i e + Σ_j G_ij v_j     du_i = r_i k_i e
 *   dv_j = dout_j Σ_i r_i u_i k_i + Σ_i G_ij k_i         dd_i = Σ_j G_ij S_ij      dS_ij = d_i G_ij + r_i dout_j
 *
 * Inside, S and dS lie with rows of values and lanes of keys, [N(value), P(key)]: of the five sums over a matrix the
 * three over values then cross no lanes; they stay in registers while a block of columns walks down all rows. A matrix
 * is transposed once when a call begins and once when it ends. States are computed again from the recorded ones together
 * with dr, which needs the state before the token.
 *
 * r, k, v, decay, out and their gradients [tokens, N]; first [N]; S and dS [N(key), N(value)]; the record: states
 * [_, N(value), P(key)] before every kCheckpointTokens-th token, P = padded_row(N). A unit is one head of one sequence.
 */

/** Vectors of a row whose inputs stay in registers. */
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

/** S' from S, and dr but for the part of `first`. */
RWKV_INLINE void wkv6_restore(const Wkv6Inputs& token, const float* before, float* after, float* dr, size_t size,
                              size_t stride) {
  for_blocks<kWkv6Columns>(stride, [&](size_t i, auto vectors) RWKV_LAMBDA_INLINE {
    constexpr int kVectors = decltype(vectors)::value;
    F k[kVectors], decay[kVectors], sums[kVectors];
    for (int n = 0; n < kVectors; n++) {
      k[n] = load(token.k + i + n * kLanes);
      decay[n] = load(token.decay + i + n * kLanes);
      sums[n] = zero();
    }
    for (size_t j = 0; j < size; j++) {
      const size_t line = j * stride + i;
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

/** A token's gradients, padded rows; and what the stretch so far adds to the parameters' sums. */
struct Wkv6Gradients {
  float *k, *v, *decay, *stretch_decay, *stretch_first, *decay_total, *first_total, *first;
  static constexpr size_t kRows = 8;

  RWKV_INLINE Wkv6Gradients(float* memory, size_t stride)
      : k(memory),
        v(k + stride),
        decay(v + stride),
        stretch_decay(decay + stride),
        stretch_first(stretch_decay + stride),
        decay_total(stretch_first + stride),
        first_total(decay_total + stride),
        first(first_total + stride) {}
};

/** dS from dS', and the sums over values: dd, and dk but for the part of `first`. */
RWKV_INLINE void wkv6_reverse(const Wkv6Inputs& token, const float* state, float* gradient,
                              const Wkv6Gradients& gradients, size_t size, size_t stride) {
  for_blocks<kWkv6Columns>(stride, [&](size_t i, auto vectors) RWKV_LAMBDA_INLINE {
    constexpr int kVectors = decltype(vectors)::value;
    F r[kVectors], decay[kVectors], dk[kVectors], dd[kVectors];
    for (int n = 0; n < kVectors; n++) {
      r[n] = load(token.r + i + n * kLanes);
      decay[n] = load(token.decay + i + n * kLanes);
      dk[n] = dd[n] = zero();
    }
    for (size_t j = 0; j < size; j++) {
      const size_t line = j * stride + i;
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

/** Everything of one token; `dr` lacks the part of `first`. */
template <size_t kStride>
RWKV_INLINE void wkv6_backward_token(const Wkv6Inputs& token, const float* state, float* gradient, float* dr,
                                     const Wkv6Gradients& gradients, size_t size) {
  const size_t stride = kStride ? kStride : padded_row(size);
  for (size_t j = 0; j < size; j += kRowGroup) sums_of_rows(gradient, j, stride, token.k, gradients.v);
  wkv6_reverse(token, state, gradient, gradients, size, stride);
  const F own = broadcast(dot(token.r, token.k, gradients.first, stride));
  const F e = broadcast(dot(token.v, token.out_gradient, stride));
  for (size_t c = 0; c < stride; c += kLanes) {
    const F k = load(token.k + c);
    const F r_e = load(token.r + c) * e;
    const F first = load(gradients.first + c);
    store(dr + c, fma(first * k, e, load(dr + c)));
    store(gradients.k + c, fma(first, r_e, load(gradients.k + c)));
    store(gradients.v + c, fma(load(token.out_gradient + c), own, load(gradients.v + c)));
    store(gradients.stretch_first + c, fma(r_e, k, load(gradients.stretch_first + c)));
    store(gradients.stretch_decay + c, load(gradients.stretch_decay + c) + load(gradients.decay + c));
  }
}

/** Sums over tokens meet stretch by stretch, so that their error does not grow with every token. */
RWKV_INLINE void wkv6_end_stretch(const Wkv6Gradients& gradients, size_t stride) {
  for (size_t c = 0; c < stride; c += kLanes) {
    store(gradients.decay_total + c, load(gradients.decay_total + c) + load(gradients.stretch_decay + c));
    store(gradients.first_total + c, load(gradients.first_total + c) + load(gradients.stretch_first + c));
  }
  clear(gradients.stretch_decay, 2 * stride);
}

template <size_t kStride>
static void wkv6_backward_unit(const Wkv6BackwardArgs& args, float* scratch) {
  const size_t size = args.head_size;
  const size_t stride = kStride ? kStride : padded_row(size);
  const size_t matrix = size * stride;
  float* gradient = scratch;
  float* states = gradient + matrix + (kRowGroup - 1) * stride;
  float* rows = states + kCheckpointTokens * matrix;
  float* r_gradients = rows + kCheckpointTokens * Wkv6Inputs::kRows * stride;
  const Wkv6Gradients gradients(r_gradients + kCheckpointTokens * stride, stride);
  clear(gradients.k, Wkv6Gradients::kRows * stride);
  pad_row(args.first, gradients.first, size);
  pad_transposed(args.state_gradient, gradient, size);

  for (size_t stretch = checkpoint_count(args.tokens); stretch-- > 0;) {
    const size_t begin = stretch * kCheckpointTokens;
    const size_t end = begin + kCheckpointTokens < args.tokens ? begin + kCheckpointTokens : args.tokens;
    const float* checkpoint = args.record + stretch * matrix;
    const auto inputs = [&](size_t t) RWKV_LAMBDA_INLINE {
      return Wkv6Inputs(rows + (t - begin) * Wkv6Inputs::kRows * stride, stride);
    };
    const auto before = [&](size_t t) RWKV_LAMBDA_INLINE {
      return t == begin ? checkpoint : states + (t - begin - 1) * matrix;
    };
    for (size_t t = begin; t < end; t++) {
      const Wkv6Inputs token = inputs(t);
      token.read(args, t);
      if (args.out_gradient) pad_row(args.out_gradient.row(t), token.out_gradient, size);
      else clear(token.out_gradient, stride);
      wkv6_restore(token, before(t), states + (t - begin) * matrix, r_gradients + (t - begin) * stride, size, stride);
    }
    for (size_t t = end; t-- > begin;) {
      float* dr = r_gradients + (t - begin) * stride;
      wkv6_backward_token<kStride>(inputs(t), before(t), gradient, dr, gradients, size);
      give(args.r_gradient, t, dr, size);
      give(args.k_gradient, t, gradients.k, size);
      give(args.v_gradient, t, gradients.v, size);
      give(args.decay_gradient, t, gradients.decay, size);
    }
    wkv6_end_stretch(gradients, stride);
  }
  if (args.decay_total) memcpy(args.decay_total, gradients.decay_total, size * sizeof(float));
  if (args.first_total) memcpy(args.first_total, gradients.first_total, size * sizeof(float));
  unpad_transposed(gradient, args.state_gradient, size);
}

void wkv6_backward(const Wkv6BackwardArgs& args, uint8_t* scratch) {
  float* memory = reinterpret_cast<float*>(scratch);
  if (padded_row(args.head_size) == 64) wkv6_backward_unit<64>(args, memory);
  else wkv6_backward_unit<0>(args, memory);
}
