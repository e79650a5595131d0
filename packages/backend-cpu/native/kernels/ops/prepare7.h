/**
 * RWKV-7's preparation of the wkv inputs from the raw key and value (arXiv:2503.14456, section 4.1):
 *
 *   κ̂_h = (k ⊙ removal)_h / max(‖(k ⊙ removal)_h‖, eps);   a = -κ̂;   b = κ̂ ⊙ rate;
 *   key = k ⊙ (1 + (rate - 1) ⊙ replacement);   v_out = v + (v_first - v) ⊙ amount, where `amount` is given.
 *
 * k, rate, key, a, b, v, v_first, amount, v_out [T, C]; removal, replacement [C]. A unit is a row. `wkv7` with
 * `removal` does the same for one head at a time.
 */

/** One head's numbers, [N] each. */
struct Prepare7Head {
  const float* k;
  const float* rate;
  const float* removal;
  const float* replacement;
  float* key;
  float* a;
  float* b;
};

RWKV_INLINE void prepare7_head(const Prepare7Head& head, size_t size, float eps) {
  const float squares = sum_columns(size, [&](size_t c, auto lanes) RWKV_LAMBDA_INLINE {
    const F direction = lanes.read(head.k + c) * lanes.read(head.removal + c);
    lanes.write(head.a + c, direction);
    return direction * direction;
  });
  const F factor = broadcast(inverse_length(head.a, size, squares, eps));
  const F one = broadcast(1.0f);
  for_columns(size, [&](size_t c, auto lanes) RWKV_LAMBDA_INLINE {
    const F unit = lanes.read(head.a + c) * factor;
    const F rate = lanes.read(head.rate + c);
    lanes.write(head.a + c, zero() - unit);
    lanes.write(head.b + c, unit * rate);
    const F kept = fma(rate - one, lanes.read(head.replacement + c), one);
    lanes.write(head.key + c, lanes.read(head.k + c) * kept);
  });
}

/** out = v + (first - v) ⊙ amount. */
RWKV_INLINE void prepare7_value(const float* v, const float* first, const float* amount, float* out, size_t size) {
  for_columns(size, [&](size_t c, auto lanes) RWKV_LAMBDA_INLINE {
    const F own = lanes.read(v + c);
    lanes.write(out + c, fma(lanes.read(first + c) - own, lanes.read(amount + c), own));
  });
}

void prepare7(const Prepare7Args& args, const Step&, Range units, uint8_t*) {
  const size_t size = args.head_size;
  for (size_t t = units.begin; t < units.end; t++) {
    for (size_t h = 0; h < args.heads; h++) {
      const size_t start = h * size;
      prepare7_head({args.k.row(t) + start, args.rate.row(t) + start, args.removal + start, args.replacement + start,
                     args.key.row(t) + start, args.a.row(t) + start, args.b.row(t) + start},
                    size, args.eps);
    }
    if (args.amount) {
      prepare7_value(args.v.row(t), args.v_first.row(t), args.amount.row(t), args.v_out.row(t), args.heads * size);
    }
  }
}
