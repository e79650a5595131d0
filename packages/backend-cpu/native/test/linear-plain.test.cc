/**
 * Products with f32, f16 and bf16 weights against sums in double precision; groupings of units, absent and present
 * parts of the epilogue, strides, guard numbers around the output, and NaN and infinity that stay with their token.
 *
 * linear-plain.test [instruction set]
 */
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "kernels.h"
#include "pack.h"

using namespace rwkv;

namespace {

int failures = 0;
const char* instructions = "";

void fail(const std::string& what) {
  if (++failures <= 20) printf("%s: %s\n", instructions, what.c_str());
}

uint64_t random_state = 1;
double random_number() {
  random_state = random_state * 6364136223846793005ull + 1442695040888963407ull;
  return static_cast<double>(random_state >> 11) / 4503599627370496.0 - 1.0;
}

uint32_t bits_of(float number) {
  uint32_t bits;
  memcpy(&bits, &number, sizeof(bits));
  return bits;
}
float number_of(uint32_t bits) {
  float number;
  memcpy(&number, &bits, sizeof(number));
  return number;
}
double half_number(uint16_t half) {
  const int exponent = half >> 10 & 31;
  const double fraction = half & 1023;
  const double size = exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25);
  return half >> 15 ? -size : size;
}
float nearest_bfloat(float number) {
  const uint32_t bits = bits_of(number);
  return number_of((bits + 0x7fffu + (bits >> 16 & 1)) & 0xffff0000u);
}

/** 64-byte aligned bytes. */
struct Memory {
  std::vector<uint8_t> bytes;
  explicit Memory(size_t size, uint8_t fill = 0) : bytes(size + 64, fill) {}
  uint8_t* data() { return bytes.data() + (64 - reinterpret_cast<uintptr_t>(bytes.data()) % 64) % 64; }
};

struct Matrix {
  std::vector<double> numbers;
  Memory memory;
  PackedMatrix packed;
};

/** Random weights, packed here by the layout of pack.h, so that this test depends on no other code. */
Matrix random_matrix(Format format, uint32_t rows, uint32_t columns) {
  const size_t panels = (rows + 15) / 16;
  const size_t even = format == Format::bf16 ? (columns + 1) / 2 * 2 : columns;
  const size_t panel_bytes = (even * 16 * (format == Format::f32 ? 4 : 2) + 63) / 64 * 64;
  Matrix matrix{std::vector<double>(static_cast<size_t>(rows) * columns), Memory(panels * panel_bytes), {}};
  matrix.packed = {format, rows, columns, matrix.memory.data()};
  for (size_t row = 0; row < rows; row++) {
    uint8_t* const panel = matrix.memory.data() + row / 16 * panel_bytes;
    for (size_t column = 0; column < columns; column++) {
      double& number = matrix.numbers[row * columns + column];
      if (format == Format::f32) {
        const float exact = static_cast<float>(random_number());
        memcpy(panel + (column * 16 + row % 16) * 4, &exact, 4);
        number = exact;
      } else if (format == Format::f16) {
        const uint16_t half = static_cast<uint16_t>((random_number() + 1) * 0x3c00 / 2) |
                              (random_number() < 0 ? 0x8000 : 0);
        memcpy(panel + (column * 16 + row % 16) * 2, &half, 2);
        number = half_number(half);
      } else {
        const float exact = nearest_bfloat(static_cast<float>(random_number()));
        const uint16_t bits = static_cast<uint16_t>(bits_of(exact) >> 16);
        memcpy(panel + ((column / 2 * 16 + row % 16) * 2 + column % 2) * 2, &bits, 2);
        number = exact;
      }
    }
  }
  return matrix;
}

double activated(double x, Activation activation) {
  switch (activation) {
    case Activation::none: return x;
    case Activation::tanh: return std::tanh(x);
    case Activation::sigmoid: return 1 / (1 + std::exp(-x));
    case Activation::silu: return x / (1 + std::exp(-x));
    case Activation::relu2: return x > 0 ? x * x : 0;
    case Activation::exp: return std::exp(x);
    case Activation::negative_exp: return -std::exp(x);
    case Activation::exp_negative_exp: return std::exp(-std::exp(x));
    case Activation::decay7: return std::exp(-std::exp(-0.5) / (1 + std::exp(-x)));
  }
  return x;
}

constexpr float kGuard = -12345.5f;
constexpr size_t kGuards = 40;

struct Epilogue {
  bool bias, gate, residual;
  Activation activation;
};

/** x and the operands of an epilogue, with rows further apart than they are wide. */
struct Operands {
  uint32_t tokens;
  std::vector<float> x, bias, gate, residual;
  size_t x_stride, gate_stride, residual_stride, out_stride;

  Operands(uint32_t count, uint32_t rows, uint32_t columns, size_t padding) : tokens(count) {
    x_stride = columns + padding;
    gate_stride = rows + padding;
    residual_stride = rows + 2 * padding;
    out_stride = rows + 3 * padding;
    const auto fill = [](std::vector<float>& numbers, size_t size) {
      numbers.resize(size);
      for (float& number : numbers) number = static_cast<float>(random_number());
    };
    fill(x, count * x_stride);
    fill(bias, rows);
    fill(gate, count * gate_stride);
    fill(residual, count * residual_stride);
  }
};

/** A product in tasks of `task_units` units, backwards when that is odd; [tokens, out_stride], guards around. */
std::vector<float> product(const Kernels& kernels, const PackedMatrix& matrix, Operands& operands,
                           const Epilogue& epilogue, size_t task_units, size_t prepare_units) {
  std::vector<float> out(operands.tokens * operands.out_stride + 2 * kGuards, kGuard);
  LinearArgs args{};
  args.weight = matrix;
  args.x = {operands.x.data(), operands.x_stride};
  args.out = {out.data() + kGuards, operands.out_stride};
  args.activation = epilogue.activation;
  if (epilogue.bias) args.bias = operands.bias.data();
  if (epilogue.gate) args.gate = {operands.gate.data(), operands.gate_stride};
  if (epilogue.residual) args.residual = {operands.residual.data(), operands.residual_stride};

  const size_t prepared_bytes = kernels.linear_prepared_bytes(matrix, operands.tokens);
  Memory prepared(prepared_bytes + 64, 0xff);
  Memory scratch(kThreadScratch, 0xff);
  if (prepared_bytes > 0) {
    const size_t units = kernels.linear_prepare_units(matrix, operands.tokens);
    for (size_t unit = 0; unit < units; unit += prepare_units) {
      const size_t end = unit + prepare_units < units ? unit + prepare_units : units;
      kernels.linear_prepare(args, operands.tokens, prepared.data(), {unit, end});
    }
    for (size_t i = 0; i < 64; i++) {
      if (prepared.data()[prepared_bytes + i] != 0xff) fail("linear_prepare writes beyond its memory");
    }
  }
  const size_t units = kernels.linear_units(matrix, operands.tokens);
  const size_t tasks = (units + task_units - 1) / task_units;
  for (size_t i = 0; i < tasks; i++) {
    const size_t task = task_units % 2 ? tasks - 1 - i : i;
    const size_t end = (task + 1) * task_units < units ? (task + 1) * task_units : units;
    kernels.linear(args, operands.tokens, prepared.data(), {task * task_units, end}, scratch.data());
  }
  return out;
}

std::string describe(const Matrix& matrix, uint32_t tokens, const Epilogue& epilogue) {
  const char* const names[] = {"f32", "f16", "bf16"};
  char text[160];
  snprintf(text, sizeof(text), "%s [%u, %u], %u tokens, bias %d, gate %d, residual %d, activation %d",
           names[static_cast<int>(matrix.packed.format)], matrix.packed.rows, matrix.packed.columns, tokens,
           epilogue.bias, epilogue.gate, epilogue.residual, static_cast<int>(epilogue.activation));
  return text;
}

/** The largest difference of a token's row, over what it may be; `rounded`: as if x were bfloats. */
double worst_ratio(const Matrix& matrix, const Operands& operands, const Epilogue& epilogue,
                   const std::vector<float>& out, bool rounded) {
  const size_t rows = matrix.packed.rows, columns = matrix.packed.columns;
  const double tolerance = (columns > 8192 ? 512 : 64) * std::ldexp(1, -24);
  double worst = 0;
  std::vector<double> x(columns);
  // Every token where that is quick, else some.
  const double work = static_cast<double>(rows) * static_cast<double>(columns) * operands.tokens;
  const size_t step = work > 3e7 ? 7 : 1;
  for (size_t t = operands.tokens - 1; t < operands.tokens; t -= step) {
    for (size_t k = 0; k < columns; k++) {
      const float number = operands.x[t * operands.x_stride + k];
      x[k] = rounded ? nearest_bfloat(number) : number;
    }
    double largest = 0, difference = 0;
    for (size_t row = 0; row < rows; row++) {
      double part_sums[4] = {0, 0, 0, 0}, part_squares[4] = {0, 0, 0, 0};
      const double* const weights = matrix.numbers.data() + row * columns;
      for (size_t k = 0; k < columns; k++) {
        const double term = weights[k] * x[k];
        part_sums[k % 4] += term;
        part_squares[k % 4] += term * term;
      }
      const double sum = part_sums[0] + part_sums[1] + part_sums[2] + part_sums[3];
      const double squares = part_squares[0] + part_squares[1] + part_squares[2] + part_squares[3];
      double value = sum + (epilogue.bias ? operands.bias[row] : 0);
      value = activated(value, epilogue.activation);
      if (epilogue.gate) value *= operands.gate[t * operands.gate_stride + row];
      if (epilogue.residual) value += operands.residual[t * operands.residual_stride + row];
      // The terms of a sum may cancel, and an activation may shrink the sum whose rounding it carries.
      largest = std::fmax(largest, std::fmax(std::fabs(value), std::sqrt(squares)));
      // An exponential turns what the sum is off by into a share of its result.
      if (epilogue.activation == Activation::exp || epilogue.activation == Activation::negative_exp) {
        largest = std::fmax(largest, std::fabs(value) * std::sqrt(squares));
      }
      const double got = out[kGuards + t * operands.out_stride + row];
      const double apart = std::fabs(got - value);
      if (!(apart <= difference)) difference = apart;
    }
    const double ratio = difference / (tolerance * std::fmax(largest, 1e-30));
    if (!(ratio <= worst)) worst = ratio;
  }
  return worst;
}

void check_guards(const Matrix& matrix, const Operands& operands, const Epilogue& epilogue,
                  const std::vector<float>& out) {
  for (size_t i = 0; i < out.size(); i++) {
    const bool inside = i >= kGuards && i - kGuards < operands.tokens * operands.out_stride &&
                        (i - kGuards) % operands.out_stride < matrix.packed.rows;
    if (!inside && bits_of(out[i]) != bits_of(kGuard)) {
      return fail("writes beyond a row: " + describe(matrix, operands.tokens, epilogue));
    }
  }
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

void check(const Kernels& kernels, const Matrix& matrix, uint32_t tokens, const Epilogue& epilogue) {
  Operands operands(tokens, matrix.packed.rows, matrix.packed.columns, tokens % 2 ? 3 : 0);
  const std::vector<float> out = product(kernels, matrix.packed, operands, epilogue, 1u << 30, 1u << 30);
  double ratio = worst_ratio(matrix, operands, epilogue, out, false);
  // Where bfloats are multiplied the step rounds x, all of it.
  if (ratio > 1 && matrix.packed.format == Format::bf16 && strcmp(kernels.name, "avx512bf16") == 0) {
    ratio = worst_ratio(matrix, operands, epilogue, out, true);
  }
  if (!(ratio <= 1)) {
    char text[64];
    snprintf(text, sizeof(text), "%.3g of the tolerance: ", ratio);
    fail(text + describe(matrix, tokens, epilogue));
  }
  check_guards(matrix, operands, epilogue, out);
  for (const size_t task_units : {size_t{1}, size_t{2}, size_t{5}}) {
    if (!same_bits(out, product(kernels, matrix.packed, operands, epilogue, task_units, 2 * task_units - 1))) {
      fail("units grouped otherwise change the result: " + describe(matrix, tokens, epilogue));
    }
  }
}

/** One token's NaN or infinity leaves the bits of the others as they were. */
void check_isolation(const Kernels& kernels, const Matrix& matrix, uint32_t tokens) {
  const Epilogue plain = {false, false, false, Activation::none};
  Operands operands(tokens, matrix.packed.rows, matrix.packed.columns, 1);
  const std::vector<float> clean = product(kernels, matrix.packed, operands, plain, 1, 1u << 30);
  for (const float poison : {NAN, INFINITY}) {
    for (const uint32_t token : {0u, tokens / 2, tokens - 1}) {
      for (const size_t column : {size_t{0}, static_cast<size_t>(matrix.packed.columns) - 1}) {
        float& number = operands.x[token * operands.x_stride + column];
        const float before = number;
        number = poison;
        const std::vector<float> out = product(kernels, matrix.packed, operands, plain, 1u << 30, 3);
        number = before;
        for (size_t t = 0; t < tokens; t++) {
          for (size_t row = 0; row < matrix.packed.rows; row++) {
            const size_t i = kGuards + t * operands.out_stride + row;
            if (t == token ? std::isfinite(out[i]) : bits_of(out[i]) != bits_of(clean[i])) {
              return fail("NaN or infinity strays: " + describe(matrix, tokens, plain));
            }
          }
        }
      }
    }
  }
}

void test(const Kernels& kernels) {
  const Epilogue plain = {false, false, false, Activation::none};
  const uint32_t few_and_many[] = {1, 2, 5, 13, 33, 257};
  for (const Format format : {Format::f32, Format::f16, Format::bf16}) {
    for (const uint32_t columns : {1u, 8u, 67u, 768u}) {
      for (const uint32_t rows : {1u, 37u, 128u}) {
        const Matrix matrix = random_matrix(format, rows, columns);
        for (const uint32_t tokens : few_and_many) check(kernels, matrix, tokens, plain);
      }
    }
    const Matrix small = random_matrix(format, 37, 67);
    for (uint32_t tokens = 1; tokens <= 40; tokens++) check(kernels, small, tokens, plain);
    for (const uint32_t tokens : {3u, 19u}) {
      for (int activation = 0; activation < kActivations; activation++) {
        for (int parts = 0; parts < 8; parts++) {
          check(kernels, small, tokens,
                {(parts & 1) != 0, (parts & 2) != 0, (parts & 4) != 0, static_cast<Activation>(activation)});
        }
      }
    }
    for (const uint32_t tokens : few_and_many) check_isolation(kernels, small, tokens);
    const Matrix long_rows = random_matrix(format, 37, 16411);
    for (const uint32_t tokens : {1u, 5u, 33u}) check(kernels, long_rows, tokens, plain);
    const Matrix tall = random_matrix(format, 65537, 8);
    for (const uint32_t tokens : {1u, 33u}) check(kernels, tall, tokens, plain);

    Operands none(0, small.packed.rows, small.packed.columns, 0);
    product(kernels, small.packed, none, plain, 1, 1);
  }
}

}  // namespace

int main(int count, char** arguments) {
  bool found = false;
  for (size_t i = 0; i < kKernelChoiceCount; i++) {
    const KernelChoice& choice = kKernelChoices[i];
    if (count > 1 && strcmp(choice.name, arguments[1]) != 0) continue;
    if (!choice.runs_here()) {
      printf("%s: does not run here\n", choice.name);
      continue;
    }
    found = true;
    instructions = choice.name;
    test(*choice.table());
  }
  if (!found) printf("no such instruction set\n");
  if (failures > 0) printf("%d failures\n", failures);
  return found && failures == 0 ? 0 : 1;
}
