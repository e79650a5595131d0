/** Products of plain f32 in their three forms: their numbers, their bits in any tiles, nothing touched outside. */
#include "ops-harness.h"
#include "training.h"

using namespace rwkv;

namespace {

enum class Form { forward, backward, weight };

uint8_t* own_scratch(const TrainingKernels& kernels) {
  static std::vector<uint8_t> memory;
  memory.assign(kernels.product_scratch + 64, 0xff);
  return memory.data() + (64 - reinterpret_cast<uintptr_t>(memory.data()) % 64) % 64;
}

void test_product(const TrainingKernels& kernels, Form form, size_t tokens, size_t inputs, size_t outputs) {
  Block x(tokens, inputs, 3), w(outputs, inputs), y(tokens, outputs, 1);
  for (Block* block : {&x, &w, &y}) block->random();
  const size_t xs = x.stride, ys = y.stride;
  ProductArgs args{};
  Block* out = nullptr;
  switch (form) {
    case Form::forward:
      out = &y;
      args = {x.data(), xs, 1, w.data(), 1, inputs, y.data(), ys, tokens, outputs, inputs, false};
      break;
    case Form::backward:
      out = &x;
      args = {y.data(), ys, 1, w.data(), inputs, 1, x.data(), xs, tokens, inputs, outputs, false};
      break;
    case Form::weight:
      out = &w;
      args = {y.data(), 1, ys, x.data(), xs, 1, w.data(), inputs, outputs, inputs, tokens, false};
      break;
  }
  const std::string what = "form " + std::to_string(static_cast<int>(form)) + " T " + std::to_string(tokens) + " in " +
                           std::to_string(inputs) + " out " + std::to_string(outputs);
  const std::vector<float> before = out->copy();
  Block expected(args.rows, args.columns);
  for (const bool accumulate : {false, true}) {
    args.accumulate = accumulate;
    out->restore(before);
    double magnitude = 1;
    std::vector<double> sums(args.rows * args.columns);
    for (size_t m = 0; m < args.rows; m++) {
      for (size_t n = 0; n < args.columns; n++) {
        double total = accumulate ? out->at(m, n) : 0;
        for (size_t k = 0; k < args.depth; k++) {
          total += static_cast<double>(args.a[m * args.a_row + k * args.a_column]) *
                   args.b[k * args.b_row + n * args.b_column];
        }
        sums[m * args.columns + n] = total;
        magnitude = std::max(magnitude, std::fabs(total));
      }
    }
    const size_t rows = (args.rows + kernels.tile_rows - 1) / kernels.tile_rows;
    const size_t columns = (args.columns + kernels.tile_columns - 1) / kernels.tile_columns;
    kernels.product(args, {0, rows}, {0, columns}, own_scratch(kernels));
    const double units = 4 + 2 * std::sqrt(static_cast<double>(args.depth));
    expect(*out, [&](size_t m, size_t n) { return sums[m * args.columns + n]; }, units, what, magnitude);
    if (!out->gaps_are_untouched()) fail(what + ": wrote outside its rows");
    const std::vector<float> whole = out->copy();
    out->restore(before);
    for (size_t row = rows; row-- > 0;) {
      for (size_t column = 0; column < columns; column += 2) {
        kernels.product(args, {row, row + 1}, {column, std::min(columns, column + 2)}, own_scratch(kernels));
      }
    }
    if (!out->same_bits(whole)) fail(what + ": other bits in other tiles");
  }
}

void test_all(const Kernels& base) {
  const TrainingKernels* kernels = training_kernels(base.name);
  if (!kernels) return fail("no kernels for training");
  const size_t shapes[][3] = {{1, 1, 1},    {1, 40, 7},   {3, 5, 2},     {13, 33, 65},
                              {40, 300, 9}, {290, 17, 31}, {600, 24, 40}, {25, 260, 270}};
  for (const auto& [tokens, inputs, outputs] : shapes) {
    for (const Form form : {Form::forward, Form::backward, Form::weight}) {
      test_product(*kernels, form, tokens, inputs, outputs);
    }
  }
}

}  // namespace

int main(int count, char** arguments) { return run_tests(count, arguments, test_all); }
