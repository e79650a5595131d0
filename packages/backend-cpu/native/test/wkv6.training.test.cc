/**
 * The recurrence of RWKV-5 and RWKV-6 for training, with decays that are values and that are parameters;
 * recurrence-training-harness.h has what is tested.
 *
 * wkv6.training.test [instruction set]
 */
#include "recurrence-training-harness.h"

using namespace rwkv;

namespace {

enum : size_t { kR, kK, kV, kDecay };

/** Where the inputs lie in the list: rows r, k, v and a decay that is a value; first and another decay; the state. */
struct Place {
  Shape shape;
  bool by_token;
  size_t row(size_t input, size_t t) const { return (input * shape.tokens + t) * shape.size; }
  size_t first() const { return row(by_token ? 4 : 3, 0); }
  size_t decay(size_t t) const { return by_token ? row(kDecay, t) : first() + shape.size; }
  size_t state() const { return first() + (by_token ? 1 : 2) * shape.size; }
};

/** The state [key, value] after a token in place of the state before. */
void advance(const Place& place, const Numbers& x, size_t t, Numbers& state) {
  const size_t size = place.shape.size;
  for (size_t i = 0; i < size; i++) {
    for (size_t j = 0; j < size; j++) {
      state[i * size + j] = state[i * size + j] * x[place.decay(t) + i] +
                            x[place.row(kK, t) + i] * x[place.row(kV, t) + j];
    }
  }
}

Numbers forward(bool by_token, Shape shape, const Numbers& x) {
  const Place place{shape, by_token};
  const size_t size = shape.size;
  Numbers state(x.begin() + static_cast<ptrdiff_t>(place.state()), x.end());
  Numbers results(shape.tokens * size, 0);
  for (size_t t = 0; t < shape.tokens; t++) {
    for (size_t i = 0; i < size; i++) {
      for (size_t j = 0; j < size; j++) {
        const double own = x[place.first() + i] * x[place.row(kK, t) + i] * x[place.row(kV, t) + j];
        results[t * size + j] += x[place.row(kR, t) + i] * (own + state[i * size + j]);
      }
    }
    advance(place, x, t, state);
  }
  results.insert(results.end(), state.begin(), state.end());
  return results;
}

Numbers backward(bool by_token, Shape shape, const Numbers& x, const Numbers& by) {
  const Place place{shape, by_token};
  const size_t size = shape.size;
  std::vector<Numbers> states{Numbers(x.begin() + static_cast<ptrdiff_t>(place.state()), x.end())};
  for (size_t t = 0; t < shape.tokens; t++) {
    states.push_back(states.back());
    advance(place, x, t, states.back());
  }
  Numbers gradients(x.size(), 0);
  Numbers g(by.begin() + static_cast<ptrdiff_t>(shape.tokens * size), by.end());
  for (size_t t = shape.tokens; t-- > 0;) {
    for (size_t i = 0; i < size; i++) {
      const double r = x[place.row(kR, t) + i];
      const double k = x[place.row(kK, t) + i];
      const double first = x[place.first() + i];
      for (size_t j = 0; j < size; j++) {
        const double v = x[place.row(kV, t) + j];
        const double out_gradient = by[t * size + j];
        const double state = states[t][i * size + j];
        double& later = g[i * size + j];
        gradients[place.row(kR, t) + i] += out_gradient * (first * k * v + state);
        gradients[place.row(kK, t) + i] += out_gradient * r * first * v + later * v;
        gradients[place.row(kV, t) + j] += out_gradient * r * first * k + later * k;
        gradients[place.first() + i] += out_gradient * r * k * v;
        gradients[place.decay(t) + i] += later * state;
        later = later * x[place.decay(t) + i] + r * out_gradient;
      }
    }
  }
  std::copy(g.begin(), g.end(), gradients.begin() + static_cast<ptrdiff_t>(place.state()));
  return gradients;
}

void run_forward(bool by_token, const RecurrenceTraining& kernels, const Memory& m) {
  Wkv6TrainingArgs args{};
  args.tokens = m.shape.tokens;
  args.head_size = m.shape.size;
  args.r = m.rows[kR]->view();
  args.k = m.rows[kK]->view();
  args.v = m.rows[kV]->view();
  args.decay = by_token ? m.rows[kDecay]->view() : m.parameters[1]->shared();
  args.first = m.parameters[0]->data();
  args.out = m.out->view();
  args.state = m.state->data();
  args.record = m.kept();
  kernels.wkv6(args, m.fresh_scratch());
}

void run_backward(bool by_token, const RecurrenceTraining& kernels, const Memory& m) {
  Wkv6BackwardArgs args{};
  args.tokens = m.shape.tokens;
  args.head_size = m.shape.size;
  args.r = m.rows[kR]->view();
  args.k = m.rows[kK]->view();
  args.v = m.rows[kV]->view();
  args.decay = by_token ? m.rows[kDecay]->view() : m.parameters[1]->shared();
  args.first = m.parameters[0]->data();
  args.out_gradient = m.given_out_gradient();
  args.record = m.record->data();
  args.r_gradient = m.gradient(kR);
  args.k_gradient = m.gradient(kK);
  args.v_gradient = m.gradient(kV);
  if (by_token) args.decay_gradient = m.gradient(kDecay);
  else args.decay_total = m.total(1);
  args.first_total = m.total(0);
  args.state_gradient = m.state_gradient->data();
  kernels.wkv6_backward(args, m.fresh_scratch());
}

Recurrence wkv6(bool by_token) {
  using namespace std::placeholders;
  Recurrence recurrence;
  recurrence.name = by_token ? "wkv6" : "wkv6 with a decay for all tokens";
  recurrence.rows = {{"r", -1, 1}, {"k", -1, 1}, {"v", -1, 1}};
  recurrence.parameters = {{"first", -1, 1}};
  (by_token ? recurrence.rows : recurrence.parameters).push_back({"decay", 0.2, 1});
  recurrence.sizes = {1, 7, 37, 63, 64, 67, 128};
  recurrence.state_rows = [](size_t) { return size_t{1}; };
  recurrence.state_width = [](size_t size) { return size * size; };
  recurrence.initial = [](size_t, size_t) { return random_number(); };
  recurrence.record_floats = [](Shape shape) { return wkv6_record_floats(shape.tokens, shape.size); };
  recurrence.scratch_bytes = [](Shape shape) { return wkv6_training_scratch_bytes(shape.size); };
  recurrence.forward = std::bind(forward, by_token, _1, _2);
  recurrence.backward = std::bind(backward, by_token, _1, _2, _3);
  recurrence.run_forward = std::bind(run_forward, by_token, _1, _2);
  recurrence.run_backward = std::bind(run_backward, by_token, _1, _2);
  recurrence.tolerance = 1e-5;
  return recurrence;
}

}  // namespace

int main(int count, char** arguments) {
  return run_tests(count, arguments, [](const Kernels& kernels) {
    for (const bool by_token : {true, false}) test_recurrence(wkv6(by_token), kernels);
  });
}
