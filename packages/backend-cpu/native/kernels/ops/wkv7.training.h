/**
 * RWKV-7 attention for training, forward and backward (arXiv:2503.14456, section 4.1). With i the value index and j the
 * key index, S the state before a token and S' after it:
 *
 *   z_i = Σ_j S_ij a_j;   S'_ij = S_ij w_j + z_i b_j + v_i k_j;   out_i = Σ_j S'_ij r_j
 *
 * With dx the loss's derivative with respect to x, dS' that of all that comes after, and G = dS' + dout rᵀ:
 *
 *   dr_j = Σ_i S'_ij dout_i      dv_i = Σ_j G_ij k_j     dk_j = Σ_i G_ij v_i
 *   dz_i = Σ_j G_ij b_j          db_j = Σ_i G_ij z_i     dw_j = Σ_i G_ij S_ij
 *   da_j = Σ_i S_ij dz_i         dS_ij = G_ij w_j + dz_i a_j
 *
 * Lanes are key indices in both passes. Rows of S and of dS are independent of each other but for sums over i, which
 * stay in registers while a block of columns walks down all rows; the two sums over j are taken from dS' before G is
 * made: dv_i = Σ_j dS'_ij k_j + dout_i Σ_j r_j k_j, and dz likewise. z of every token is recorded, so that a stretch's
 * states are computed again without a sum over lanes: three operations a number, and the one of dr while S' is in a
 * register. For a token at N = 64 and 16 lanes the forward pass has 5 · 256 operations on vectors and 430 for sums
 * over lanes, the backward pass (4 + 2 + 7) · 256 and 430. All rows go through a token before the next token does:
 * rows would stay nearer in groups, but the sum over lanes that dz is would then be waited for in each of them.
 *
 * This is not the form of matrix products over Q tokens (the recurrence as diagonal plus low rank, z solved for): that
 * has 4 N² + 4 N Q multiplications for a token forward, at N = 64 and Q = 16 the same 5 N², and more than twice as
 * many backward, in products of 16 by 64 that run further from the processor's peak than these passes do; and it
 * divides by products of w, which may be 0.
 *
 * r, w, k, v, a, b, out and their gradients [tokens, N]; S and dS [N(value), N(key)]; the record: states [_, N, P]
 * before every kCheckpointTokens-th token, then z [tokens, P], P = padded_row(N). A unit is one head of one sequence.
 */

/** Neighbouring vectors of a row whose inputs, and in the second case sums, stay in registers; AVX2 has sixteen. */
constexpr int kWkv7Restored = kLanes == 8 ? 2 : 4;
constexpr int kWkv7Reversed = kLanes == 8 ? 1 : 2;

/** One token's padded rows. */
struct Wkv7Inputs {
  float *r, *w, *k, *v, *a, *b, *out_gradient;
  static constexpr size_t kRows = 7;

  RWKV_INLINE Wkv7Inputs(float* memory, size_t stride)
      : r(memory),
        w(r + stride),
        k(w + stride),
        v(k + stride),
        a(v + stride),
        b(a + stride),
        out_gradient(b + stride) {}

  template <class Args>
  RWKV_INLINE void read(const Args& args, size_t t) const {
    const size_t size = args.head_size;
    pad_row(args.r.row(t), r, size);
    pad_row(args.w.row(t), w, size);
    pad_row(args.k.row(t), k, size);
    pad_row(args.v.row(t), v, size);
    pad_row(args.a.row(t), a, size);
    pad_row(args.b.row(t), b, size);
  }
};

// ---- Forward ----------------------------------------------------------------------------------------------------

/** S' of the rows [begin, end), from z. */
RWKV_INLINE void wkv7_advance(const Wkv7Inputs& token, const float* z, float* state, size_t begin, size_t end,
                              size_t stride) {
  for_blocks<kWkv7Restored>(stride, [&](size_t j, auto vectors) RWKV_LAMBDA_INLINE {
    constexpr int kVectors = decltype(vectors)::value;
    F w[kVectors], b[kVectors], k[kVectors];
    for (int n = 0; n < kVectors; n++) {
      w[n] = load(token.w + j + n * kLanes);
      b[n] = load(token.b + j + n * kLanes);
      k[n] = load(token.k + j + n * kLanes);
    }
    for (size_t i = begin; i < end; i++) {
      float* line = state + i * stride + j;
      const F removed = broadcast(z[i]);
      const F value = broadcast(token.v[i]);
      for (int n = 0; n < kVectors; n++) {
        float* place = line + n * kLanes;
        store(place, fma(load(place), w[n], fma(removed, b[n], value * k[n])));
      }
    }
  });
}

/**
 * One token: out, z and the state. out_i = Σ_j S_ij w_j r_j + z_i Σ_j b_j r_j + v_i Σ_j k_j r_j, so that both sums
 * over a row are of the state before.
 */
template <size_t kStride>
RWKV_INLINE void wkv7_forward_token(const Wkv7Inputs& token, float* out, float* y, float* z, float* state,
                                    size_t size) {
  const size_t stride = kStride ? kStride : padded_row(size);
  const float b_r = dot(token.b, token.r, stride);
  const float k_r = dot(token.k, token.r, stride);
  for (size_t j = 0; j < stride; j += kLanes) store(token.r + j, load(token.r + j) * load(token.w + j));
  for (size_t i = 0; i < size; i += kRowGroup) {
    sums_of_rows(state, i, stride, token.a, token.r, z, y);
    wkv7_advance(token, z, state, i, i + kRowGroup < size ? i + kRowGroup : size, stride);
  }
  for_columns(size, [&](size_t c, auto lanes) RWKV_LAMBDA_INLINE {
    const F rest = fma(lanes.read(z + c), broadcast(b_r), lanes.read(token.v + c) * broadcast(k_r));
    lanes.write(out + c, lanes.read(y + c) + rest);
  });
}

template <size_t kStride>
static void wkv7_forward(const Wkv7TrainingArgs& args, float* scratch) {
  const size_t size = args.head_size;
  const size_t stride = kStride ? kStride : padded_row(size);
  float* state = scratch;
  float* rows = state + (size + kRowGroup - 1) * stride;
  const Wkv7Inputs token(rows, stride);
  float* y = token.out_gradient;
  float* kept_z = args.record ? args.record + checkpoint_count(args.tokens) * size * stride : nullptr;
  pad_matrix(args.state, state, size);
  for (size_t t = 0; t < args.tokens; t++) {
    if (args.record && t % kCheckpointTokens == 0) {
      memcpy(args.record + t / kCheckpointTokens * size * stride, state, size * stride * sizeof(float));
    }
    token.read(args, t);
    float* z = kept_z ? kept_z + t * stride : rows + Wkv7Inputs::kRows * stride;
    wkv7_forward_token<kStride>(token, args.out.row(t), y, z, state, size);
  }
  unpad_matrix(state, args.state, size);
}

void wkv7_training(const Wkv7TrainingArgs& args, uint8_t* scratch) {
  float* memory = reinterpret_cast<float*>(scratch);
  if (padded_row(args.head_size) == 64) wkv7_forward<64>(args, memory);
  else wkv7_forward<0>(args, memory);
}

// ---- Backward ---------------------------------------------------------------------------------------------------

/** S' from S, and dr. */
RWKV_INLINE void wkv7_restore(const Wkv7Inputs& token, const float* z, const float* before, float* after, float* dr,
                              size_t size, size_t stride) {
  for_blocks<kWkv7Restored>(stride, [&](size_t j, auto vectors) RWKV_LAMBDA_INLINE {
    constexpr int kVectors = decltype(vectors)::value;
    F w[kVectors], b[kVectors], k[kVectors], sums[kVectors];
    for (int n = 0; n < kVectors; n++) {
      w[n] = load(token.w + j + n * kLanes);
      b[n] = load(token.b + j + n * kLanes);
      k[n] = load(token.k + j + n * kLanes);
      sums[n] = zero();
    }
    for (size_t i = 0; i < size; i++) {
      const size_t line = i * stride + j;
      const F removed = broadcast(z[i]);
      const F value = broadcast(token.v[i]);
      const F out_gradient = broadcast(token.out_gradient[i]);
      for (int n = 0; n < kVectors; n++) {
        const F old = load(before + line + n * kLanes);
        const F next = fma(old, w[n], fma(removed, b[n], value * k[n]));
        store(after + line + n * kLanes, next);
        sums[n] = fma(out_gradient, next, sums[n]);
      }
    }
    for (int n = 0; n < kVectors; n++) store(dr + j + n * kLanes, sums[n]);
  });
}

/** A token's gradients, padded rows. */
struct Wkv7Gradients {
  float *w, *k, *v, *a, *b, *z;
  static constexpr size_t kRows = 6;

  RWKV_INLINE Wkv7Gradients(float* memory, size_t stride)
      : w(memory), k(w + stride), v(k + stride), a(v + stride), b(a + stride), z(b + stride) {}
};

/** dS from dS', and the sums over rows. */
RWKV_INLINE void wkv7_reverse(const Wkv7Inputs& token, const float* z, const float* state, float* gradient,
                              const Wkv7Gradients& gradients, size_t size, size_t stride) {
  for_blocks<kWkv7Reversed>(stride, [&](size_t j, auto vectors) RWKV_LAMBDA_INLINE {
    constexpr int kVectors = decltype(vectors)::value;
    F r[kVectors], w[kVectors], a[kVectors], dw[kVectors], dk[kVectors], da[kVectors], db[kVectors];
    for (int n = 0; n < kVectors; n++) {
      r[n] = load(token.r + j + n * kLanes);
      w[n] = load(token.w + j + n * kLanes);
      a[n] = load(token.a + j + n * kLanes);
      dw[n] = dk[n] = da[n] = db[n] = zero();
    }
    for (size_t i = 0; i < size; i++) {
      const size_t line = i * stride + j;
      const F out_gradient = broadcast(token.out_gradient[i]);
      const F value = broadcast(token.v[i]);
      const F removed = broadcast(z[i]);
      const F removed_gradient = broadcast(gradients.z[i]);
      for (int n = 0; n < kVectors; n++) {
        float* place = gradient + line + n * kLanes;
        const F old = load(state + line + n * kLanes);
        const F whole = fma(out_gradient, r[n], load(place));
        store(place, fma(whole, w[n], removed_gradient * a[n]));
        dk[n] = fma(value, whole, dk[n]);
        db[n] = fma(removed, whole, db[n]);
        dw[n] = fma(whole, old, dw[n]);
        da[n] = fma(removed_gradient, old, da[n]);
      }
    }
    for (int n = 0; n < kVectors; n++) {
      store(gradients.w + j + n * kLanes, dw[n]);
      store(gradients.k + j + n * kLanes, dk[n]);
      store(gradients.a + j + n * kLanes, da[n]);
      store(gradients.b + j + n * kLanes, db[n]);
    }
  });
}

/** Everything of one token but dr. */
template <size_t kStride>
RWKV_INLINE void wkv7_backward_token(const Wkv7Inputs& token, const float* z, const float* state, float* gradient,
                                     const Wkv7Gradients& gradients, size_t size) {
  const size_t stride = kStride ? kStride : padded_row(size);
  for (size_t i = 0; i < size; i += kRowGroup) {
    sums_of_rows(gradient, i, stride, token.b, token.k, gradients.z, gradients.v);
  }
  const F r_b = broadcast(dot(token.r, token.b, stride));
  const F r_k = broadcast(dot(token.r, token.k, stride));
  for (size_t c = 0; c < stride; c += kLanes) {
    const F out_gradient = load(token.out_gradient + c);
    store(gradients.z + c, fma(out_gradient, r_b, load(gradients.z + c)));
    store(gradients.v + c, fma(out_gradient, r_k, load(gradients.v + c)));
  }
  wkv7_reverse(token, z, state, gradient, gradients, size, stride);
}

template <size_t kStride>
static void wkv7_backward_unit(const Wkv7BackwardArgs& args, float* scratch) {
  const size_t size = args.head_size;
  const size_t stride = kStride ? kStride : padded_row(size);
  const size_t matrix = size * stride;
  float* gradient = scratch;
  float* states = gradient + matrix + (kRowGroup - 1) * stride;
  float* rows = states + kCheckpointTokens * matrix;
  float* r_gradients = rows + kCheckpointTokens * Wkv7Inputs::kRows * stride;
  const Wkv7Gradients gradients(r_gradients + kCheckpointTokens * stride, stride);
  const float* kept_z = args.record + checkpoint_count(args.tokens) * matrix;
  clear(gradients.w, Wkv7Gradients::kRows * stride);
  pad_matrix(args.state_gradient, gradient, size);

  for (size_t stretch = checkpoint_count(args.tokens); stretch-- > 0;) {
    const size_t begin = stretch * kCheckpointTokens;
    const size_t end = begin + kCheckpointTokens < args.tokens ? begin + kCheckpointTokens : args.tokens;
    const float* checkpoint = args.record + stretch * matrix;
    const auto inputs = [&](size_t t) RWKV_LAMBDA_INLINE {
      return Wkv7Inputs(rows + (t - begin) * Wkv7Inputs::kRows * stride, stride);
    };
    const auto before = [&](size_t t) RWKV_LAMBDA_INLINE {
      return t == begin ? checkpoint : states + (t - begin - 1) * matrix;
    };
    for (size_t t = begin; t < end; t++) {
      const Wkv7Inputs token = inputs(t);
      token.read(args, t);
      if (args.out_gradient) pad_row(args.out_gradient.row(t), token.out_gradient, size);
      else clear(token.out_gradient, stride);
      wkv7_restore(token, kept_z + t * stride, before(t), states + (t - begin) * matrix,
                   r_gradients + (t - begin) * stride, size, stride);
    }
    for (size_t t = end; t-- > begin;) {
      wkv7_backward_token<kStride>(inputs(t), kept_z + t * stride, before(t), gradient, gradients, size);
      give(args.r_gradient, t, r_gradients + (t - begin) * stride, size);
      give(args.w_gradient, t, gradients.w, size);
      give(args.k_gradient, t, gradients.k, size);
      give(args.v_gradient, t, gradients.v, size);
      give(args.a_gradient, t, gradients.a, size);
      give(args.b_gradient, t, gradients.b, size);
    }
  }
  unpad_matrix(gradient, args.state_gradient, size);
}

void wkv7_backward(const Wkv7BackwardArgs& args, uint8_t* scratch) {
  float* memory = reinterpret_cast<float*>(scratch);
  if (padded_row(args.head_size) == 64) wkv7_backward_unit<64>(args, memory);
  else wkv7_backward_unit<0>(args, memory);
}
