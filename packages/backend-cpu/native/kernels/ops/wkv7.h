/**
 * RWKV-7 attention, per head (arXiv:2503.14456, section 4.1), with the preparation of its inputs before and the norm,
 * bonus and gate after it; `Wkv7Args` has the formulas. With i the value index and j the key index:
 *
 *   z_i = Σ_j S_ij a_j;   S_ij ← S_ij w_j + z_i b_j + v_i k_j;   y_i = Σ_j S_ij r_j
 *
 * r, w, k, v, a, b, out, gate, rate, v_first, amount [T, C]; bonus, removal, replacement [H, N];
 * state S [H, N(value) i, N(key) j].
 *
 * Lanes are key indices. y reads the state after the update, which takes the sums one after the other; written out it is
 * y_i = Σ_j S_ij (w_j r_j) + z_i Σ_j b_j r_j + v_i Σ_j k_j r_j, so both sums over a row come from the state before the
 * update, side by side, and four rows share the shuffles of their eight sums. A token is one pass over S.
 *
 * A unit is one (sequence, head), head fastest; its S stays in the first cache for all tokens of the sequence. Scratch
 * holds six rows of N numbers, so N is at most kMaxHeadSize.
 */

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
};

/** Rows [i, i + kRows) of S, kRows at most 4. */
template <int kRows, size_t kSize>
RWKV_INLINE void wkv7_rows(const Wkv7Token& token, float* state, size_t i, size_t head_size) {
  const size_t size = kSize ? kSize : head_size;
  float* lines = state + i * size;
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
  float totals[8];
  sums_of_eight(sums, totals);
  for (int row = 0; row < kRows; row++) {
    const float v = token.v[i + row];
    const float z = totals[row];
    token.y[i + row] = totals[4 + row] + (z * token.b_r + v * token.k_r);
  }
  for_columns(size, [&](size_t j, auto lanes) RWKV_LAMBDA_INLINE {
    const F w = lanes.read(token.w + j);
    const F b = lanes.read(token.b + j);
    const F k = lanes.read(token.k + j);
    for (int row = 0; row < kRows; row++) {
      float* place = lines + row * size + j;
      const F added = fma(broadcast(totals[row]), b, broadcast(token.v[i + row]) * k);
      lanes.write(place, fma(lanes.read(place), w, added));
    }
  });
}

template <size_t kSize>
RWKV_INLINE void wkv7_token(const Wkv7Token& token, float* state, size_t head_size) {
  const size_t size = kSize ? kSize : head_size;
  const size_t fours = size / 4 * 4;
  for (size_t i = 0; i < fours; i += 4) wkv7_rows<4, kSize>(token, state, i, size);
  for (size_t i = fours; i < size; i++) wkv7_rows<1, kSize>(token, state, i, size);
}

/** out = (norm_h(y) + bonus v) ⊙ gate, each part only where it is given; column `start` of the row is the head's first. */
RWKV_INLINE void wkv7_finish(const Wkv7Args& args, const Wkv7Token& token, size_t t, size_t start, size_t size) {
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

/** The inputs of token t, from the args or, where those give the raw key, made in `scratch`. */
RWKV_INLINE Wkv7Token wkv7_prepare(const Wkv7Args& args, size_t t, size_t start, size_t size, float* scratch) {
  float* rows[6];
  for (int i = 0; i < 6; i++) rows[i] = scratch + i * size;
  const float* r = args.r.row(t) + start;
  Wkv7Token token{};
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

template <size_t kSize>
static void wkv7_units(const Wkv7Args& args, const Step& step, Range units, float* scratch) {
  const size_t size = kSize ? kSize : args.head_size;
  for (size_t unit = units.begin; unit < units.end; unit++) {
    const size_t s = unit / args.heads;
    const size_t start = unit % args.heads * size;
    float* state = args.state.slot(step.slots[s]) + start * size;
    for (size_t t = step.starts[s]; t < step.starts[s + 1]; t++) {
      const Wkv7Token token = wkv7_prepare(args, t, start, size, scratch);
      wkv7_token<kSize>(token, state, size);
      wkv7_finish(args, token, t, start, size);
    }
  }
}

void wkv7(const Wkv7Args& args, const Step& step, Range units, uint8_t* scratch) {
  float* rows = reinterpret_cast<float*>(scratch);
  if (args.head_size == 64) wkv7_units<64>(args, step, units, rows);
  else wkv7_units<0>(args, step, units, rows);
}
