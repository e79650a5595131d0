/**
 * RWKV-4 attention, per channel (arXiv:2305.13048, section 3.1 and appendix D):
 *
 *   q = max(p, first + k);   out = (e^{p-q} a + e^{first+k-q} v) / (e^{p-q} b + e^{first+k-q})
 *   q = max(p + decay, k);   a ← e^{p+decay-q} a + e^{k-q} v;   b ← e^{p+decay-q} b + e^{k-q};   p ← q
 *
 * k, v, out [T, C]; decay, first [C]; state [3, C]: rows a, b and p. One of the two exponents of a line is 0, so that a
 * single exponential of minus their distance makes both factors.
 *
 * A unit is one sequence's block of kWkv4Block channels, block fastest; lanes are channels, and a, b and p stay in
 * registers for all its tokens.
 */

struct Wkv4Factors {
  F past, now;
};

/** e^{past - q} and e^{now - q} for q = max(past, now). */
RWKV_INLINE Wkv4Factors wkv4_factors(F past, F now) {
  const F distance = past - now;
  const F smaller = exp_vector(zero() - abs(distance));
  const F one = broadcast(1.0f);
  return {select_less(distance, zero(), smaller, one), select_less(distance, zero(), one, smaller)};
}

/** kVectors neighbouring vectors of channels from c on, whose chains of exponentials overlap. */
template <int kVectors, class Lanes>
RWKV_INLINE void wkv4_channels(const Wkv4Args& args, const Step& step, size_t s, size_t c, Lanes lanes) {
  float* state_a = args.state.slot(step.slots[s]) + c;
  float* state_b = state_a + args.channels;
  float* state_p = state_b + args.channels;
  F a[kVectors], b[kVectors], p[kVectors];
  for (int i = 0; i < kVectors; i++) {
    a[i] = lanes.read(state_a + i * kLanes);
    b[i] = lanes.read(state_b + i * kLanes);
    p[i] = lanes.read(state_p + i * kLanes);
  }
  for (size_t t = step.starts[s]; t < step.starts[s + 1]; t++) {
    const float* k = args.k.row(t) + c;
    const float* v = args.v.row(t) + c;
    float* out = args.out.row(t) + c;
    for (int i = 0; i < kVectors; i++) {
      const F key = lanes.read(k + i * kLanes);
      const F value = lanes.read(v + i * kLanes);
      const Wkv4Factors seen = wkv4_factors(p[i], lanes.read(args.first + c + i * kLanes) + key);
      const F above = fma(seen.past, a[i], seen.now * value);
      lanes.write(out + i * kLanes, above / fma(seen.past, b[i], seen.now));

      const F decayed = p[i] + lanes.read(args.decay + c + i * kLanes);
      const Wkv4Factors kept = wkv4_factors(decayed, key);
      a[i] = fma(kept.past, a[i], kept.now * value);
      b[i] = fma(kept.past, b[i], kept.now);
      p[i] = max(decayed, key);
    }
  }
  for (int i = 0; i < kVectors; i++) {
    lanes.write(state_a + i * kLanes, a[i]);
    lanes.write(state_b + i * kLanes, b[i]);
    lanes.write(state_p + i * kLanes, p[i]);
  }
}

void wkv4(const Wkv4Args& args, const Step& step, Range units, uint8_t*) {
  constexpr int kVectors = 2;
  const size_t blocks = (args.channels + kWkv4Block - 1) / kWkv4Block;
  for (size_t unit = units.begin; unit < units.end; unit++) {
    const size_t s = unit / blocks;
    size_t c = unit % blocks * kWkv4Block;
    const size_t end = c + kWkv4Block < args.channels ? c + kWkv4Block : args.channels;
    for (; c + kVectors * kLanes <= end; c += kVectors * kLanes) {
      wkv4_channels<kVectors>(args, step, s, c, WholeLanes{});
    }
    for (; c + kLanes <= end; c += kLanes) wkv4_channels<1>(args, step, s, c, WholeLanes{});
    if (c < end) wkv4_channels<1>(args, step, s, c, PartialLanes{end - c});
  }
}
