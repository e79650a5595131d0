/**
 * norm, token shift and up to kMaxMixes blends of the two in one pass; the formulas are at `ShiftMixArgs`.
 * x, normed, shifted, difference, out_i [T, C]; by_i, weight, bias [C]; state [slots, C]; next_state [S, C].
 *
 * A unit is a token. Only the previous token's statistics are needed beside its x, so a unit that begins a task
 * computes them anew and no unit waits for another; the bits do not depend on it. x̂ and x' live in registers, every
 * by_i and out_i is touched once. `out` must not be `x`: the next token still reads it.
 */

/** One sequence's token: where x̂ and x' come from. */
struct ShiftPlace {
  const float* x;
  /** The previous token's x, or the state, which holds x̂ already. */
  const float* previous;
  bool previous_is_normed;
  /** [C], where this is the sequence's last token; otherwise null. */
  float* next_state;
};

/** The range of columns that share statistics. */
struct ShiftColumns {
  size_t begin;
  size_t end;
  Statistics now;
  Statistics before;
};

/** kVectors neighbouring vectors of columns from c on. */
template <int kVectors, class Lanes>
RWKV_INLINE void shift_mix_columns(const ShiftMixArgs& args, const ShiftPlace& place, const Standard& now,
                                   const Standard& before, size_t t, size_t c, Lanes lanes) {
  const float* weight = args.norm.weight;
  const float* bias = args.norm.bias;
  F from[kVectors];
  F step[kVectors];
  for (int i = 0; i < kVectors; i++) {
    const size_t at = c + i * kLanes;
    F normed = lanes.read(place.x + at);
    F shifted = lanes.read(place.previous + at);
    if (weight) {
      const F w = lanes.read(weight + at);
      const F b = lanes.read(bias + at);
      normed = now(normed, w, b);
      if (!place.previous_is_normed) shifted = before(shifted, w, b);
    }
    if (args.normed) lanes.write(args.normed.row(t) + at, normed);
    if (args.shifted) lanes.write(args.shifted.row(t) + at, shifted);
    if (args.difference) lanes.write(args.difference.row(t) + at, shifted - normed);
    if (place.next_state) lanes.write(place.next_state + at, normed);
    from[i] = args.toward_previous ? normed : shifted;
    step[i] = args.toward_previous ? shifted - normed : normed - shifted;
  }
  for (uint32_t mix = 0; mix < args.mixes; mix++) {
    const float* by = args.by[mix] + c;
    float* out = args.out[mix].row(t) + c;
    for (int i = 0; i < kVectors; i++) {
      lanes.write(out + i * kLanes, fma(step[i], lanes.read(by + i * kLanes), from[i]));
    }
  }
}

RWKV_INLINE void shift_mix_part(const ShiftMixArgs& args, const ShiftPlace& place, const ShiftColumns& part, size_t t) {
  constexpr int kVectors = 4;
  const Standard now(part.now);
  const Standard before(part.before);
  size_t c = part.begin;
  for (; c + kVectors * kLanes <= part.end; c += kVectors * kLanes) {
    shift_mix_columns<kVectors>(args, place, now, before, t, c, WholeLanes{});
  }
  for (; c + kLanes <= part.end; c += kLanes) shift_mix_columns<1>(args, place, now, before, t, c, WholeLanes{});
  if (c < part.end) shift_mix_columns<1>(args, place, now, before, t, c, PartialLanes{part.end - c});
}

/** The sequence that token t belongs to. */
RWKV_INLINE uint32_t sequence_of(const Step& step, size_t t) {
  uint32_t low = 0;
  uint32_t high = step.sequences;
  while (low + 1 < high) {
    const uint32_t middle = low + (high - low) / 2;
    if (step.starts[middle] <= t) low = middle;
    else high = middle;
  }
  return low;
}

void shift_mix(const ShiftMixArgs& args, const Step& step, Range units, uint8_t*) {
  if (units.begin >= units.end) return;
  const bool normalises = args.norm.weight != nullptr;
  const size_t groups = normalises ? args.norm.groups : 1;
  const size_t size = args.width / groups;
  const Statistics none{0, 0, 1};
  // With one group, a token's statistics serve its successor as well.
  Statistics last = none;
  bool last_is_known = false;
  uint32_t s = sequence_of(step, units.begin);
  for (size_t t = units.begin; t < units.end; t++) {
    while (t >= step.starts[s + 1]) s++;
    const bool is_first = t == step.starts[s];
    const bool is_last = t + 1 == step.starts[s + 1];
    const ShiftPlace place{args.x.row(t), is_first ? args.state.slot(step.slots[s]) : args.x.row(t - 1), is_first,
                           is_last ? args.next_state + s * static_cast<size_t>(args.width) : nullptr};
    for (size_t group = 0; group < groups; group++) {
      const size_t start = group * size;
      ShiftColumns part{start, start + size, none, none};
      if (normalises) {
        part.now = statistics(place.x + start, size, args.norm.eps);
        if (!is_first) {
          part.before = last_is_known ? last : statistics(place.previous + start, size, args.norm.eps);
        }
      }
      shift_mix_part(args, place, part, t);
      last = part.now;
    }
    last_is_known = groups == 1;
  }
}

/** A sequence without tokens keeps its state. */
void commit_shift(const CommitShiftArgs& args, const Step& step, Range units, uint8_t*) {
  for (size_t s = units.begin; s < units.end; s++) {
    if (step.starts[s] == step.starts[s + 1]) continue;
    memcpy(args.state.slot(step.slots[s]), args.next_state + s * args.width, args.width * sizeof(float));
  }
}
