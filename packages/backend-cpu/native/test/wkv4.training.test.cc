/**
 * RWKV-4's recurrence for training; recurrence-training-harness.h has what is tested. The gradients of a, b and p are
 * each taken by itself, so what is given for p after the last token is no more than a random number here.
 *
 * wkv4.training.test [instruction set]
 */
#include "recurrence-training-harness.h"

using namespace rwkv;

namespace {

enum : size_t { kK, kV };

/** Where the inputs lie in the list: rows k and v, then decay and first, then the state a, b, p. */
struct Place {
  Shape shape;
  size_t row(size_t input, size_t t) const { return (input * shape.tokens + t) * shape.size; }
  size_t decay() const { return row(2, 0); }
  size_t first() const { return decay() + shape.size; }
  size_t state() const { return first() + shape.size; }
};

/** One channel before a token. */
struct State {
  double a, b, p;
};

/** What a token computes of one channel. */
struct Step {
  double seen_past, seen_now, above, below;
  double kept_past, kept_now;
  bool past_is_larger;
  State after;
};

Step step(const State& before, double k, double v, double decay, double first) {
  Step made;
  double q = std::max(before.p, first + k);
  made.seen_past = std::exp(before.p - q);
  made.seen_now = std::exp(first + k - q);
  made.above = made.seen_past * before.a + made.seen_now * v;
  made.below = made.seen_past * before.b + made.seen_now;
  q = std::max(before.p + decay, k);
  made.past_is_larger = before.p + decay >= k;
  made.kept_past = std::exp(before.p + decay - q);
  made.kept_now = std::exp(k - q);
  made.after = {made.kept_past * before.a + made.kept_now * v, made.kept_past * before.b + made.kept_now, q};
  return made;
}

/** Every token of channel c. */
std::vector<Step> steps(const Place& place, const Numbers& x, size_t c, std::vector<State>& states) {
  const size_t size = place.shape.size;
  const size_t at = place.state() + c;
  states = {{x[at], x[at + size], x[at + 2 * size]}};
  std::vector<Step> made;
  for (size_t t = 0; t < place.shape.tokens; t++) {
    made.push_back(step(states.back(), x[place.row(kK, t) + c], x[place.row(kV, t) + c], x[place.decay() + c],
                        x[place.first() + c]));
    states.push_back(made.back().after);
  }
  return made;
}

Numbers forward(Shape shape, const Numbers& x) {
  const size_t size = shape.size;
  Numbers results((shape.tokens + 3) * size);
  for (size_t c = 0; c < size; c++) {
    std::vector<State> states;
    const std::vector<Step> made = steps({shape}, x, c, states);
    for (size_t t = 0; t < shape.tokens; t++) results[t * size + c] = made[t].above / made[t].below;
    const double last[] = {states.back().a, states.back().b, states.back().p};
    for (size_t i = 0; i < 3; i++) results[(shape.tokens + i) * size + c] = last[i];
  }
  return results;
}

/** Every line of the forward pass differentiated as it stands, the maxima too. */
Numbers backward(Shape shape, const Numbers& x, const Numbers& by) {
  const Place place{shape};
  const size_t size = shape.size;
  Numbers gradients(x.size(), 0);
  for (size_t c = 0; c < size; c++) {
    std::vector<State> states;
    const std::vector<Step> made = steps(place, x, c, states);
    const double* last = by.data() + shape.tokens * size + c;
    State g{last[0], last[size], last[2 * size]};
    for (size_t t = shape.tokens; t-- > 0;) {
      const State& before = states[t];
      const Step& token = made[t];
      const double v = x[place.row(kV, t) + c];
      double& dk = gradients[place.row(kK, t) + c];
      double& dv = gradients[place.row(kV, t) + c];
      double& decay = gradients[place.decay() + c];
      State earlier{0, 0, 0};

      double past = (g.a * before.a + g.b * before.b) * token.kept_past;
      double now = (g.a * v + g.b) * token.kept_now;
      double q = g.p - past - now;
      (token.past_is_larger ? past : now) += q;
      earlier.p += past;
      decay += past;
      dk += now;
      dv += g.a * token.kept_now;
      earlier.a += g.a * token.kept_past;
      earlier.b += g.b * token.kept_past;

      const double above = by[t * size + c] / token.below;
      const double below = -above * token.above / token.below;
      past = (above * before.a + below * before.b) * token.seen_past;
      now = (above * v + below) * token.seen_now;
      q = -past - now;
      (before.p >= x[place.first() + c] + x[place.row(kK, t) + c] ? past : now) += q;
      earlier.p += past;
      gradients[place.first() + c] += now;
      dk += now;
      dv += above * token.seen_now;
      earlier.a += above * token.seen_past;
      earlier.b += below * token.seen_past;
      g = earlier;
    }
    const double before[] = {g.a, g.b, g.p};
    for (size_t i = 0; i < 3; i++) gradients[place.state() + i * size + c] = before[i];
  }
  return gradients;
}

void run_forward(const RecurrenceTraining& kernels, const Memory& m) {
  Wkv4TrainingArgs args{};
  args.tokens = m.shape.tokens;
  args.channels = m.shape.size;
  args.k = m.rows[kK]->view();
  args.v = m.rows[kV]->view();
  args.decay = m.parameters[0]->data();
  args.first = m.parameters[1]->data();
  args.out = m.out->view();
  args.state = m.state->data();
  args.state_stride = m.state->stride;
  args.record = m.kept();
  kernels.wkv4(args);
}

void run_backward(const RecurrenceTraining& kernels, const Memory& m) {
  Wkv4BackwardArgs args{};
  args.tokens = m.shape.tokens;
  args.channels = m.shape.size;
  args.k = m.rows[kK]->view();
  args.v = m.rows[kV]->view();
  args.decay = m.parameters[0]->data();
  args.first = m.parameters[1]->data();
  args.out_gradient = m.given_out_gradient();
  args.record = m.record->data();
  args.k_gradient = m.gradient(kK);
  args.v_gradient = m.gradient(kV);
  args.decay_total = m.total(0);
  args.first_total = m.total(1);
  args.state_gradient = m.state_gradient->data();
  args.state_stride = m.state_gradient->stride;
  kernels.wkv4_backward(args, m.fresh_scratch());
}

/** Every other channel begins as a sequence does, with sums of 0 and a maximum far below everything. */
float initial(size_t row, size_t channel) {
  if (channel % 2 == 0) return row == 2 ? -1e30f : 0.0f;
  return row == 0 ? random_number() : row == 1 ? random_between(0.5f, 2) : random_between(-4, 4);
}

Recurrence wkv4() {
  Recurrence recurrence;
  recurrence.name = "wkv4";
  recurrence.rows = {{"k", -5, 5}, {"v", -1, 1}};
  recurrence.parameters = {{"decay", -3, -0.01}, {"first", -2, 2}};
  recurrence.sizes = {1, 7, 16, 33, 64, 100};
  recurrence.state_rows = [](size_t) { return size_t{3}; };
  recurrence.state_width = [](size_t channels) { return channels; };
  recurrence.state_has_gaps = true;
  recurrence.initial = initial;
  recurrence.record_floats = [](Shape shape) { return wkv4_record_floats(shape.tokens, shape.size); };
  recurrence.scratch_bytes = [](Shape) { return kWkv4TrainingScratch; };
  recurrence.forward = forward;
  recurrence.backward = backward;
  recurrence.run_forward = run_forward;
  recurrence.run_backward = run_backward;
  // An exponent's rounding is relative to the exponent, which is up to 10 here, and p gathers one for every token.
  recurrence.tolerance = 3e-5;
  return recurrence;
}

}  // namespace

int main(int count, char** arguments) {
  return run_tests(count, arguments, [](const Kernels& kernels) { test_recurrence(wkv4(), kernels); });
}
