/**
 * One test for all recurrences of training. A recurrence is described by its inputs and by plain double-precision code
 * for its forward and backward pass. That backward pass is held against central differences of that forward pass, and
 * the kernels against both: odd sizes, strides, stretches that end anywhere, gradients assigned, added, absent and of
 * one value read twice, a sequence in two calls, memory with guards, scratch full of NaN.
 */
#pragma once

#include "recurrence-training-memory.h"

#include <algorithm>

namespace rwkv {

inline std::string text(const Recurrence& recurrence, Shape shape) {
  return recurrence.name + " N " + std::to_string(shape.size) + " T " + std::to_string(shape.tokens);
}

/** `block` against the numbers of `wanted` from `at` on; how far off, in its largest number or one that terms have. */
inline double compare(const Block& block, const Numbers& wanted, size_t at, double tolerance, const std::string& what) {
  double largest = 1e-2;
  double worst = 0;
  size_t place = 0;
  for (size_t i = 0; i < block.rows * block.width; i++) {
    largest = std::max(largest, std::fabs(wanted[at + i]));
    const double found = block.at(i / block.width, i % block.width);
    const double error = std::fabs(found - wanted[at + i]);
    if (!(error <= worst)) {
      worst = error;
      place = i;
    }
  }
  if (!(worst <= tolerance * largest)) {
    char numbers[128];
    snprintf(numbers, sizeof numbers, ": row %zu column %zu is %.3g off, largest %.3g", place / block.width,
             place % block.width, worst, largest);
    fail(what + numbers);
  }
  if (!block.gaps_are_untouched()) fail(what + ": wrote outside its rows");
  return worst / largest;
}

inline Numbers gradients_of_results(const Memory& memory) {
  Numbers list;
  if (memory.out_matters) append(list, *memory.out_gradient);
  else list.assign(memory.shape.tokens * memory.shape.size, 0);
  append(list, *memory.state_gradient);
  return list;
}

/** What the backward pass left against what the plain one says, added to `earlier` where it was to be added. */
inline double compare_gradients(const Recurrence& recurrence, const Memory& memory, Numbers wanted,
                                const std::vector<Numbers>& earlier, const std::string& what) {
  double worst = 0;
  size_t at = 0;
  const size_t numbers = memory.shape.tokens * memory.shape.size;
  for (size_t i = 0; i < recurrence.rows.size(); i++, at += numbers) {
    const std::string name = what + " gradient of " + recurrence.rows[i].name;
    if (memory.uses[i] == Use::absent) {
      compare(*memory.row_gradients[i], earlier[i], 0, 0, name + ", which is absent");
      continue;
    }
    if (memory.uses[i] == Use::add) {
      for (size_t n = 0; n < numbers; n++) wanted[at + n] += earlier[i][n];
    }
    worst = std::max(worst, compare(*memory.row_gradients[i], wanted, at, recurrence.tolerance, name));
  }
  for (size_t i = 0; i < recurrence.parameters.size(); i++, at += memory.shape.size) {
    if (!memory.totals_matter) continue;
    const std::string name = what + " gradient of " + recurrence.parameters[i].name;
    worst = std::max(worst, compare(*memory.totals[i], wanted, at, recurrence.tolerance, name));
  }
  return std::max(worst, compare(*memory.state_gradient, wanted, at, recurrence.tolerance,
                                 what + " gradient of the state"));
}

inline std::vector<Numbers> earlier_gradients(const Memory& memory) {
  std::vector<Numbers> earlier(memory.rows.size());
  for (size_t i = 0; i < earlier.size(); i++) append(earlier[i], *memory.row_gradients[i]);
  return earlier;
}

/** The plain backward pass against central differences of the plain forward pass. */
inline void test_plain(const Recurrence& recurrence, Shape shape) {
  const Memory memory = make_memory(recurrence, shape);
  Numbers numbers = given(memory);
  const Numbers by = gradients_of_results(memory);
  const Numbers gradient = recurrence.backward(shape, numbers, by);
  const auto loss = [&] {
    const Numbers results = recurrence.forward(shape, numbers);
    double sum = 0;
    for (size_t i = 0; i < by.size(); i++) sum += by[i] * results[i];
    return sum;
  };
  if (by.size() != recurrence.forward(shape, numbers).size() || gradient.size() != numbers.size()) {
    return fail(text(recurrence, shape) + ": the plain passes do not fit");
  }
  for (size_t i = 0; i < numbers.size(); i++) {
    const double number = numbers[i];
    const double step = 1e-5;
    numbers[i] = number + step;
    const double above = loss();
    numbers[i] = number - step;
    const double below = loss();
    numbers[i] = number;
    const double difference = (above - below) / (2 * step);
    if (!(std::fabs(difference - gradient[i]) <= 1e-6 * std::max(1.0, std::fabs(gradient[i])))) {
      char found[96];
      snprintf(found, sizeof found, ": gradient %zu is %.9g, by differences %.9g", i, gradient[i], difference);
      fail(text(recurrence, shape) + found);
    }
  }
}

/** Both passes against the plain ones; the largest error. */
inline double run_passes(const Recurrence& recurrence, const RecurrenceTraining& kernels, const Memory& memory,
                         const std::string& what) {
  const Numbers numbers = given(memory);
  const Numbers results = recurrence.forward(memory.shape, numbers);
  recurrence.run_forward(kernels, memory);
  double worst = compare(*memory.out, results, 0, recurrence.tolerance, what + " out");
  worst = std::max(worst, compare(*memory.state, results, memory.shape.tokens * memory.shape.size,
                                  recurrence.tolerance, what + " state"));
  const std::vector<Numbers> earlier = earlier_gradients(memory);
  const Numbers wanted = recurrence.backward(memory.shape, numbers, gradients_of_results(memory));
  recurrence.run_backward(kernels, memory);
  if (!memory.record->gaps_are_untouched() || !memory.scratch->gaps_are_untouched()) {
    fail(what + ": wrote before its memory");
  }
  return std::max(worst, compare_gradients(recurrence, memory, wanted, earlier, what));
}

/** Everything that both passes wrote. */
inline std::vector<std::vector<float>> written(const Memory& memory) {
  std::vector<std::vector<float>> all{memory.out->copy(), memory.state->copy(), memory.state_gradient->copy()};
  for (const auto& block : memory.row_gradients) all.push_back(block->copy());
  for (const auto& block : memory.totals) all.push_back(block->copy());
  return all;
}

inline bool same_bits(const std::vector<std::vector<float>>& a, const std::vector<std::vector<float>>& b) {
  for (size_t i = 0; i < a.size(); i++) {
    if (memcmp(a[i].data(), b[i].data(), a[i].size() * sizeof(float)) != 0) return false;
  }
  return true;
}

/** A second run gives the same bits; so does a forward pass that records nothing. */
inline void test_determinism(const Recurrence& recurrence, const RecurrenceTraining& kernels, Shape shape) {
  const uint64_t seed = random_state;
  const auto bits = [&](bool records) {
    random_state = seed;
    Memory memory = make_memory(recurrence, shape);
    recurrence.run_forward(kernels, memory);
    if (!records) {
      random_state = seed;
      Memory again = make_memory(recurrence, shape);
      again.records = false;
      recurrence.run_forward(kernels, again);
      memory.out = std::move(again.out);
      memory.state = std::move(again.state);
    }
    recurrence.run_backward(kernels, memory);
    return written(memory);
  };
  const auto first = bits(true);
  if (!same_bits(first, bits(true))) fail(text(recurrence, shape) + ": other bits in a second run");
  if (!same_bits(first, bits(false))) fail(text(recurrence, shape) + ": other bits without a record");
}

inline void copy_rows(const Block& from, size_t begin, const Block& to, size_t at, size_t count) {
  for (size_t t = 0; t < count; t++) memcpy(to.row(at + t), from.row(begin + t), to.width * sizeof(float));
}

/** A sequence in two calls: the states after the first begin the second, state gradients go back the other way. */
inline void test_cut(const Recurrence& recurrence, const RecurrenceTraining& kernels, Shape shape, size_t cut) {
  const Memory whole = make_memory(recurrence, shape);
  const Numbers wanted = recurrence.backward(shape, given(whole), gradients_of_results(whole));
  const std::vector<Numbers> earlier = earlier_gradients(whole);
  Memory parts[2] = {make_memory(recurrence, {cut, shape.size}),
                     make_memory(recurrence, {shape.tokens - cut, shape.size})};
  copy_rows(*whole.state, 0, *parts[0].state, 0, whole.state->rows);
  for (size_t part = 0; part < 2; part++) {
    const size_t count = parts[part].shape.tokens;
    for (size_t i = 0; i < whole.rows.size(); i++) {
      copy_rows(*whole.rows[i], part * cut, *parts[part].rows[i], 0, count);
    }
    copy_rows(*whole.out_gradient, part * cut, *parts[part].out_gradient, 0, count);
    for (size_t i = 0; i < whole.parameters.size(); i++) {
      copy_rows(*whole.parameters[i], 0, *parts[part].parameters[i], 0, 1);
    }
    if (part == 1) copy_rows(*parts[0].state, 0, *parts[1].state, 0, whole.state->rows);
    recurrence.run_forward(kernels, parts[part]);
  }
  copy_rows(*whole.state_gradient, 0, *parts[1].state_gradient, 0, whole.state->rows);
  recurrence.run_backward(kernels, parts[1]);
  copy_rows(*parts[1].state_gradient, 0, *parts[0].state_gradient, 0, whole.state->rows);
  recurrence.run_backward(kernels, parts[0]);
  for (size_t part = 0; part < 2; part++) {
    for (size_t i = 0; i < whole.rows.size(); i++) {
      copy_rows(*parts[part].row_gradients[i], 0, *whole.row_gradients[i], part * cut, parts[part].shape.tokens);
    }
  }
  for (size_t i = 0; i < whole.totals.size(); i++) {
    for (size_t c = 0; c < shape.size; c++) {
      whole.totals[i]->row(0)[c] = parts[0].totals[i]->row(0)[c] + parts[1].totals[i]->row(0)[c];
    }
  }
  copy_rows(*parts[0].state_gradient, 0, *whole.state_gradient, 0, whole.state->rows);
  compare_gradients(recurrence, whole, wanted, earlier, text(recurrence, shape) + " cut at " + std::to_string(cut));
}

/** Gradients of each input alone; all of them added; none of out's; the first and the last input one value. */
inline void test_uses(const Recurrence& recurrence, const RecurrenceTraining& kernels, Shape shape) {
  const std::string what = text(recurrence, shape);
  for (size_t only = 0; only < recurrence.rows.size(); only++) {
    Memory memory = make_memory(recurrence, shape);
    memory.totals_matter = only % 2 == 0;
    for (size_t i = 0; i < memory.uses.size(); i++) memory.uses[i] = i == only ? Use::add : Use::absent;
    run_passes(recurrence, kernels, memory, what + " alone");
  }
  Memory added = make_memory(recurrence, shape);
  for (Use& use : added.uses) use = Use::add;
  run_passes(recurrence, kernels, added, what + " added");

  Memory stateful = make_memory(recurrence, shape);
  stateful.out_matters = false;
  run_passes(recurrence, kernels, stateful, what + " without a gradient of out");

  Memory twice = make_memory(recurrence, shape);
  const size_t last = recurrence.rows.size() - 1;
  const Numbers wanted = recurrence.backward(shape, given(twice), gradients_of_results(twice));
  Numbers both(shape.tokens * shape.size);
  for (size_t i = 0; i < both.size(); i++) both[i] = wanted[i] + wanted[last * both.size() + i];
  twice.uses[last] = Use::add;
  twice.row_gradients[last] = twice.row_gradients[0];
  recurrence.run_forward(kernels, twice);
  recurrence.run_backward(kernels, twice);
  compare(*twice.row_gradients[0], both, 0, recurrence.tolerance, what + " one value read twice");
}

/** NaN of a token says nothing of the tokens before it, and is not lost. */
inline void test_sickness(const Recurrence& recurrence, const RecurrenceTraining& kernels, Shape shape) {
  const std::string what = text(recurrence, shape);
  const uint64_t seed = random_state;
  const Memory well = make_memory(recurrence, shape);
  recurrence.run_forward(kernels, well);
  for (const float number : {NAN, INFINITY}) {
    random_state = seed;
    const Memory sick = make_memory(recurrence, shape);
    const size_t at = shape.tokens / 2;
    for (const auto& rows : sick.rows) rows->row(at)[shape.size / 2] = number;
    recurrence.run_forward(kernels, sick);
    for (size_t t = 0; t < at; t++) {
      if (memcmp(sick.out->row(t), well.out->row(t), shape.size * sizeof(float)) != 0) {
        return fail(what + ": NaN went back in time");
      }
    }
    bool lost = true;
    for (size_t c = 0; c < shape.size; c++) lost = lost && std::isfinite(sick.out->at(at, c));
    if (lost) fail(what + ": NaN was lost");
    recurrence.run_backward(kernels, sick);
    bool calm = true;
    for (size_t c = 0; c < shape.size; c++) calm = calm && std::isfinite(sick.row_gradients[0]->at(at, c));
    if (calm) fail(what + ": NaN was lost on the way back");
  }
}

/** No tokens: states and their gradients keep their bits, sums are 0. */
inline void test_nothing(const Recurrence& recurrence, const RecurrenceTraining& kernels, size_t size) {
  const Memory memory = make_memory(recurrence, {0, size});
  const auto before = memory.state->copy();
  const auto gradient = memory.state_gradient->copy();
  recurrence.run_forward(kernels, memory);
  recurrence.run_backward(kernels, memory);
  const std::string what = text(recurrence, memory.shape);
  if (!memory.state->same_bits(before) || !memory.state_gradient->same_bits(gradient)) fail(what + ": changed a state");
  for (const auto& total : memory.totals) {
    for (size_t c = 0; c < size; c++) {
      if (total->at(0, c) != 0) return fail(what + ": a sum of nothing");
    }
  }
}

/** Everything above; prints the largest error of whole runs. */
inline void test_recurrence(const Recurrence& recurrence, const Kernels& all) {
  const RecurrenceTraining& kernels = training_kernels(all.name)->recurrences;
  for (const Shape shape : {Shape{1, 2}, Shape{5, 3}, Shape{18, 3}}) test_plain(recurrence, shape);
  double worst = 0;
  for (const size_t size : recurrence.sizes) {
    test_nothing(recurrence, kernels, size);
    for (const size_t tokens : {1, 2, 15, 16, 17, 32, 50}) {
      const Shape shape{tokens, size};
      worst = std::max(worst, run_passes(recurrence, kernels, make_memory(recurrence, shape), text(recurrence, shape)));
    }
    test_determinism(recurrence, kernels, {35, size});
    test_uses(recurrence, kernels, {18, size});
    test_sickness(recurrence, kernels, {19, size});
    for (const size_t cut : {1, 16, 21}) test_cut(recurrence, kernels, {37, size}, cut);
  }
  printf("%s %s: at most %.2g off\n", all.name, recurrence.name.c_str(), worst);
}

}  // namespace rwkv
