/**
 * RWKV-7's recurrence for training; recurrence-training-harness.h has what is tested.
 *
 * wkv7.training.test [instruction set]
 */
#include "recurrence-training-harness.h"

using namespace rwkv;

namespace {

/** Where the inputs lie in the list: rows r, w, k, v, a, b, then the state [value, key]. */
struct Place {
  Shape shape;
  size_t row(size_t input, size_t t) const { return (input * shape.tokens + t) * shape.size; }
  size_t state() const { return 6 * shape.tokens * shape.size; }
};
enum : size_t { kR, kW, kK, kV, kA, kB };

/** z = S a, then the state after a token in place of the state before. */
Numbers advance(const Place& place, const Numbers& x, size_t t, Numbers& state) {
  const size_t size = place.shape.size;
  Numbers z(size, 0);
  for (size_t i = 0; i < size; i++) {
    for (size_t j = 0; j < size; j++) z[i] += state[i * size + j] * x[place.row(kA, t) + j];
  }
  for (size_t i = 0; i < size; i++) {
    for (size_t j = 0; j < size; j++) {
      state[i * size + j] = state[i * size + j] * x[place.row(kW, t) + j] + z[i] * x[place.row(kB, t) + j] +
                            x[place.row(kV, t) + i] * x[place.row(kK, t) + j];
    }
  }
  return z;
}

Numbers forward(Shape shape, const Numbers& x) {
  const Place place{shape};
  const size_t size = shape.size;
  Numbers state(x.begin() + static_cast<ptrdiff_t>(place.state()), x.end());
  Numbers results(shape.tokens * size, 0);
  for (size_t t = 0; t < shape.tokens; t++) {
    advance(place, x, t, state);
    for (size_t i = 0; i < size; i++) {
      for (size_t j = 0; j < size; j++) results[t * size + i] += state[i * size + j] * x[place.row(kR, t) + j];
    }
  }
  results.insert(results.end(), state.begin(), state.end());
  return results;
}

Numbers backward(Shape shape, const Numbers& x, const Numbers& by) {
  const Place place{shape};
  const size_t size = shape.size;
  std::vector<Numbers> states{Numbers(x.begin() + static_cast<ptrdiff_t>(place.state()), x.end())};
  std::vector<Numbers> z;
  for (size_t t = 0; t < shape.tokens; t++) {
    states.push_back(states.back());
    z.push_back(advance(place, x, t, states.back()));
  }
  Numbers gradients(x.size(), 0);
  Numbers g(by.begin() + static_cast<ptrdiff_t>(shape.tokens * size), by.end());
  for (size_t t = shape.tokens; t-- > 0;) {
    const auto input = [&](size_t which, size_t c) { return x[place.row(which, t) + c]; };
    const auto gradient = [&](size_t which, size_t c) -> double& { return gradients[place.row(which, t) + c]; };
    Numbers dz(size, 0);
    for (size_t i = 0; i < size; i++) {
      const double out_gradient = by[t * size + i];
      for (size_t j = 0; j < size; j++) {
        double& whole = g[i * size + j];
        gradient(kR, j) += states[t + 1][i * size + j] * out_gradient;
        whole += out_gradient * input(kR, j);
        gradient(kV, i) += whole * input(kK, j);
        gradient(kK, j) += whole * input(kV, i);
        gradient(kB, j) += whole * z[t][i];
        gradient(kW, j) += whole * states[t][i * size + j];
        dz[i] += whole * input(kB, j);
      }
      for (size_t j = 0; j < size; j++) {
        gradient(kA, j) += states[t][i * size + j] * dz[i];
        g[i * size + j] = g[i * size + j] * input(kW, j) + dz[i] * input(kA, j);
      }
    }
  }
  std::copy(g.begin(), g.end(), gradients.begin() + static_cast<ptrdiff_t>(place.state()));
  return gradients;
}

void run_forward(const RecurrenceTraining& kernels, const Memory& m) {
  Wkv7TrainingArgs args{};
  args.tokens = m.shape.tokens;
  args.head_size = m.shape.size;
  args.r = m.rows[kR]->view();
  args.w = m.rows[kW]->view();
  args.k = m.rows[kK]->view();
  args.v = m.rows[kV]->view();
  args.a = m.rows[kA]->view();
  args.b = m.rows[kB]->view();
  args.out = m.out->view();
  args.state = m.state->data();
  args.record = m.kept();
  kernels.wkv7(args, m.fresh_scratch());
}

void run_backward(const RecurrenceTraining& kernels, const Memory& m) {
  Wkv7BackwardArgs args{};
  args.tokens = m.shape.tokens;
  args.head_size = m.shape.size;
  args.r = m.rows[kR]->view();
  args.w = m.rows[kW]->view();
  args.k = m.rows[kK]->view();
  args.v = m.rows[kV]->view();
  args.a = m.rows[kA]->view();
  args.b = m.rows[kB]->view();
  args.out_gradient = m.given_out_gradient();
  args.record = m.record->data();
  args.r_gradient = m.gradient(kR);
  args.w_gradient = m.gradient(kW);
  args.k_gradient = m.gradient(kK);
  args.v_gradient = m.gradient(kV);
  args.a_gradient = m.gradient(kA);
  args.b_gradient = m.gradient(kB);
  args.state_gradient = m.state_gradient->data();
  kernels.wkv7_backward(args, m.fresh_scratch());
}

Recurrence wkv7() {
  Recurrence recurrence;
  recurrence.name = "wkv7";
  // Removals are small enough for states to stay of one size at every head size here.
  recurrence.rows = {{"r", -1, 1}, {"w", 0.5, 1}, {"k", -1, 1}, {"v", -1, 1}, {"a", -0.15, 0.15}, {"b", -0.15, 0.15}};
  recurrence.sizes = {1, 7, 37, 63, 64, 67, 128};
  recurrence.state_rows = [](size_t) { return size_t{1}; };
  recurrence.state_width = [](size_t size) { return size * size; };
  recurrence.initial = [](size_t, size_t) { return random_number(); };
  recurrence.record_floats = [](Shape shape) { return wkv7_record_floats(shape.tokens, shape.size); };
  recurrence.scratch_bytes = [](Shape shape) { return wkv7_training_scratch_bytes(shape.size); };
  recurrence.forward = forward;
  recurrence.backward = backward;
  recurrence.run_forward = run_forward;
  recurrence.run_backward = run_backward;
  recurrence.tolerance = 1e-5;
  return recurrence;
}

}  // namespace

int main(int count, char** arguments) {
  return run_tests(count, arguments, [](const Kernels& kernels) { test_recurrence(wkv7(), kernels); });
}
