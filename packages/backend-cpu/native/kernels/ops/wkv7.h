/**
 * RWKV-7 attention, per head (arXiv:2503.14456, section 4.1), with the preparation of its inputs before and the norm,
 * bonus and gate after it; `Wkv7Args` has the formulas. With i the value index and j the key index:
 *
 *   z_i = Σ_j S_ij a_j;   S_ij ← S_ij w_j + z_i b_j + v_i k_j;   y_i = Σ_j S_ij r_j
 *
 * r, w, k, v, a, b, out, gate, rate, v_first, amount [T, C]; bonus, removal, replacement [H, N];
 * state S [H, N(value) i, N(key) j].
 *
 * Lanes are key indices. y reads the state after the update, which takes the sums one after the other; written out it
 * is y_i = Σ_j S_ij (w_j r_j) + z_i Σ_j b_j r_j + v_i Σ_j k_j r_j, so both sums over a row come from the state before
 * the update, side by side, and four rows share the shuffles of their eight sums. A token is one walk over S.
 *
 * A unit is one (sequence, head), head fastest. Preparation and finish are short chains of dependent operations, so
 * they run for several tokens or heads at a time, whose chains overlap. A head's S stays in the first cache for
 * kTokenBlock tokens; then comes the next head, because a row of every input is a page of its own and its other heads
 * are near. Scratch holds at most kMaxTogether times six rows of about N numbers, so N is at most kMaxHeadSize.
 */

constexpr size_t kTokenBlock = 16;
constexpr size_t kMaxTogether = 8;

/** One token of one head, [N] each. */
struct Wkv7Token {
  const float* w;
  const float* wr;
  const float* k;
  const float* v;
  const float* a;
  const float* b;
  float* y;
  /** Σ b r and Σ k r. */
  float b_r, k_r;
  /** S, and the token's and the head's place in rows. */
  float* state;
  size_t t, start;
};

/** z and the first term of y for rows [i, i + kRows) of S, kRows at most 4; writes 4 numbers of each. */
template <int kRows>
RWKV_INLINE void wkv7_sums(const Wkv7Token& token, float* z, size_t i, size_t size) {
  const float* lines = token.state + i * size;
  F sums[8];
  for (F& one : sums) one = zero();
  for_columns(size, [&](size_t j, auto lanes) RWKV_LAMBDA_INLINE {
    const F a = lanes.read(token.a + j);
    const F wr = lanes.read(token.wr + j);
    for (int row = 0; row < kRows; row++) {
      const F old = lanes.read(lines + row * size + j);
      sums[row] = fma(old, a, sums[row]);
      sums[4 + row] = fma(old, wr, sums[4 + row]);
    }
  });
  sums_of_eight(sums, z + i, token.y + i);
}

/** Rows [i, i + kRows) of S ← S diag(w) + z bᵀ + v kᵀ. */
template <int kRows>
RWKV_INLINE void wkv7_update(const Wkv7Token& token, const float* z, size_t i, size_t size) {
  float* lines = token.state + i * size;
  F removed[kRows], value[kRows];
  for (int row = 0; row < kRows; row++) {
    removed[row] = broadcast(z[i + row]);
    value[row] = broadcast(token.v[i + row]);
  }
  for_columns(size, [&](size_t j, auto lanes) RWKV_LAMBDA_INLINE {
    const F w = lanes.read(token.w + j);
    const F b = lanes.read(token.b + j);
    const F k = lanes.read(token.k + j);
    for (int row = 0; row < kRows; row++) {
      float* place = lines + row * size + j;
      lanes.write(place, fma(lanes.read(place), w, fma(removed[row], b, value[row] * k)));
    }
  });
}

/** w, b and k in registers, where a row is few enough vectors. */
template <int kVectors>
struct Wkv7Short {
  F w[kVectors], b[kVectors], k[kVectors];

  RWKV_INLINE explicit Wkv7Short(const Wkv7Token& token) {
    for (int j = 0; j < kVectors; j++) {
      w[j] = load(token.w + j * kLanes);
      b[j] = load(token.b + j * kLanes);
      k[j] = load(token.k + j * kLanes);
    }
  }

  RWKV_INLINE void update(const Wkv7Token& token, const float* z, size_t i) const {
    float* line = token.state + i * kVectors * kLanes;
    const F removed = broadcast(z[i]);
    const F value = broadcast(token.v[i]);
    for (int j = 0; j < kVectors; j++) {
      store(line + j * kLanes, fma(load(line + j * kLanes), w[j], fma(removed, b[j], value * k[j])));
    }
  }
};

/** One token of one head: S and y. `z` is memory for N + 3 numbers. */
template <size_t kSize>
RWKV_INLINE void wkv7_token(const Wkv7Token& token, float* z, size_t head_size) {
  const size_t size = kSize ? kSize : head_size;
  constexpr int kVectors = kSize / kLanes;
  if constexpr (kVectors > 0 && kVectors <= 4) {
    // The sums of eight rows, whose latency is long, overlap; more at once would wait for S to come from the second
    // cache.
    const Wkv7Short<kVectors> row(token);
    for (size_t i = 0; i < size; i += 8) {
      wkv7_sums<4>(token, z, i, size);
      wkv7_sums<4>(token, z, i + 4, size);
      for (size_t k = i; k < i + 8; k++) row.update(token, z, k);
    }
  } else {
    const size_t fours = size / 4 * 4;
    for (size_t i = 0; i < fours; i += 4) {
      wkv7_sums<4>(token, z, i, size);
      wkv7_update<4>(token, z, i, size);
    }
    for (size_t i = fours; i < size; i++) {
      wkv7_sums<1>(token, z, i, size);
      wkv7_update<1>(token, z, i, size);
    }
  }
  const F b_r = broadcast(token.b_r);
  const F k_r = broadcast(token.k_r);
  for_columns(size, [&](size_t c, auto lanes) RWKV_LAMBDA_INLINE {
    const F rest = fma(lanes.read(z + c), b_r, lanes.read(token.v + c) * k_r);
    lanes.write(token.y + c, lanes.read(token.y + c) + rest);
  });
}

/**
 * out = (norm_h(y) + bonus v) ⊙ gate, each part only where it is given; column `start` of the row is the head's first.
 */
RWKV_INLINE void wkv7_finish(const Wkv7Args& args, const Wkv7Token& token, size_t size) {
  const size_t t = token.t;
  const size_t start = token.start;
  float* out = args.out.row(t) + start;
  const float* gate = args.gate ? args.gate.row(t) + start : nullptr;
  const float* y = token.y;
  const bool normalises = args.norm.weight != nullptr;
  const Standard standard(normalises ? statistics(y, size, args.norm.eps) : Statistics{0, 0, 1});
  const float own = args.bonus ? bonus7_sum(args.r.row(t) + start, token.k, args.bonus + start, size) : 0.0f;
  for_columns(size, [&](size_t c, auto lanes) RWKV_LAMBDA_INLINE {
    F value = lanes.read(y + c);
    if (normalises) {
      value = standard(value, lanes.read(args.norm.weight + start + c), lanes.read(args.norm.bias + start + c));
    }
    if (args.bonus) value = fma(broadcast(own), lanes.read(token.v + c), value);
    if (gate) value = value * lanes.read(gate + c);
    lanes.write(out + c, value);
  });
}

/** Numbers of scratch that one token of one head takes; sums over rows are written four at a time. */
RWKV_INLINE size_t wkv7_row(size_t size) { return (size + 15) / 16 * 16; }

/** The inputs of token t, from the args or, where those give the raw key, made in `scratch`. */
RWKV_INLINE Wkv7Token wkv7_prepare(const Wkv7Args& args, size_t t, size_t start, size_t size, float* scratch) {
  float* rows[6];
  for (int i = 0; i < 6; i++) rows[i] = scratch + i * wkv7_row(size);
  const float* r = args.r.row(t) + start;
  Wkv7Token token{};
  token.t = t;
  token.start = start;
  token.w = args.w.row(t) + start;
  token.v = args.v.row(t) + start;
  token.wr = rows[0];
  token.y = rows[1];
  if (args.removal) {
    prepare7_head({args.k.row(t) + start, args.rate.row(t) + start, args.removal + start, args.replacement + start,
                   rows[2], rows[3], rows[4]},
                  size, args.key_eps);
    token.k = rows[2];
    token.a = rows[3];
    token.b = rows[4];
  } else {
    token.k = args.k.row(t) + start;
    token.a = args.a.row(t) + start;
    token.b = args.b.row(t) + start;
  }
  if (args.amount) {
    prepare7_value(token.v, args.v_first.row(t) + start, args.amount.row(t) + start, rows[5], size);
    token.v = rows[5];
  }
  for_columns(size, [&](size_t c, auto lanes) RWKV_LAMBDA_INLINE {
    lanes.write(rows[0] + c, lanes.read(token.w + c) * lanes.read(r + c));
  });
  const auto against_r = [&](const float* row) RWKV_LAMBDA_INLINE {
    return sum_columns(size, [&](size_t c, auto lanes) RWKV_LAMBDA_INLINE {
      return lanes.read(row + c) * lanes.read(r + c);
    });
  };
  token.b_r = against_r(token.b);
  token.k_r = against_r(token.k);
  return token;
}

/** Tokens and heads whose chains overlap; within a head they are in the order of the sequence. */
template <size_t kSize>
struct Wkv7Together {
  const Wkv7Args& args;
  float* scratch;
  size_t size = kSize ? kSize : args.head_size;
  size_t most = size <= 64 ? kMaxTogether : 1;
  size_t count = 0;
  Wkv7Token tokens[kMaxTogether] = {};

  RWKV_INLINE void add(size_t t, size_t start, float* state) {
    const size_t row = wkv7_row(size);
    tokens[count] = wkv7_prepare(args, t, start, size, scratch + row + 6 * row * count);
    tokens[count].state = state;
    if (++count == most) finish();
  }

  void finish() {
    for (size_t i = 0; i < count; i++) wkv7_token<kSize>(tokens[i], scratch, size);
    for (size_t i = 0; i < count; i++) wkv7_finish(args, tokens[i], size);
    count = 0;
  }
};

template <size_t kSize>
static void wkv7_units(const Wkv7Args& args, const Step& step, Range units, float* scratch) {
  Wkv7Together<kSize> together{args, scratch};
  const size_t size = together.size;
  // Units of one sequence at a time.
  for (size_t unit = units.begin; unit < units.end;) {
    const size_t s = unit / args.heads;
    const size_t next = (s + 1) * args.heads;
    const Range heads{unit % args.heads, (next < units.end ? args.heads : units.end - s * args.heads)};
    float* state = args.state.slot(step.slots[s]);
    const size_t end = step.starts[s + 1];
    for (size_t block = step.starts[s]; block < end; block += kTokenBlock) {
      const size_t block_end = block + kTokenBlock < end ? block + kTokenBlock : end;
      for (size_t h = heads.begin; h < heads.end; h++) {
        for (size_t t = block; t < block_end; t++) together.add(t, h * size, state + h * size * size);
      }
    }
    unit = next;
  }
  together.finish();
}

void wkv7(const Wkv7Args& args, const Step& step, Range units, uint8_t* scratch) {
  float* rows = reinterpret_cast<float*>(scratch);
  if (args.head_size == 64) wkv7_units<64>(args, step, units, rows);
  else wkv7_units<0>(args, step, units, rows);
}
