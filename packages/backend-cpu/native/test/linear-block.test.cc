/**
 * Products with block formats against sums in double precision: of activations quantised here, to float rounding, and
 * of the activations themselves, within what quantising them may cost. Groupings of units, groupings of tokens, guards,
 * NaN and infinity that stay with their token, and the epilogue.
 *
 * linear-block.test [instruction set]
 */
#include <cstdio>
#include <string>

#include "file-formats.h"
#include "kernels.h"
#include "linear-harness.h"

namespace {

using namespace rwkv;
using namespace rwkv_test;

int failures = 0;
const char* instructions = "";

void fail(const std::string& what) {
  if (++failures <= 20) printf("linear-block %s: %s\n", instructions, what.c_str());
}

struct Problem {
  Format format;
  uint32_t rows, columns;
  /** Row by row, exactly. */
  std::vector<std::vector<double>> weights;
  std::vector<uint8_t> packed_memory;
  PackedMatrix matrix;

  Problem(Format f, uint32_t r, uint32_t c) : format(f), rows(r), columns(c) {
    Random random{c * 1000003u + r + static_cast<uint64_t>(f)};
    const std::vector<uint8_t> file = random_rows(format, rows, columns, random);
    for (uint32_t row = 0; row < rows; ++row) weights.push_back(file_row(format, file.data(), columns, row));
    packed_memory.resize(packed_bytes(format, rows, columns) + 64);
    uint8_t* packed = packed_memory.data() + (64 - reinterpret_cast<size_t>(packed_memory.data()) % 64) % 64;
    pack_panels(format, rows, columns, file.data(), packed, {0, (size_t{rows} + 15) / 16});
    matrix = {format, rows, columns, packed};
  }

  std::string name(uint32_t tokens) const {
    return std::string(kFormatNames[static_cast<int>(format)]) + " [" + std::to_string(rows) + ", " +
           std::to_string(columns) + "] T = " + std::to_string(tokens);
  }
};

/** Rows with a stride, numbers of very different size from block to block, a zero block and a tiny one. */
struct Numbers {
  size_t width, stride;
  std::vector<float> memory;

  Numbers(size_t rows, size_t w, uint64_t seed) : width(w), stride(w + 5), memory(rows * stride) {
    Random random{seed};
    for (size_t r = 0; r < rows; ++r) {
      for (size_t i = 0; i < width; ++i) {
        const int exponent = static_cast<int>((r * 7 + i / 32 * 5) % 9) - 4;
        memory[r * stride + i] = std::ldexp(random.number(), exponent);
        if (i / 32 == 1 && r % 3 == 1) memory[r * stride + i] = 0;
        if (i / 32 == 2 && r % 3 == 2) memory[r * stride + i] = random.number() * 1e-38f;
      }
    }
  }
  Rows rows() { return {memory.data(), stride}; }
  const float* row(size_t r) const { return memory.data() + r * stride; }
};

std::vector<float> run(const Kernels& kernels, LinearArgs args, uint32_t tokens, Order order, const std::string& name) {
  return rwkv_test::run(kernels, args, tokens, order, name, fail);
}

/** One token's x as the kernels see it, and the variance that the contract's allowance gives each number. */
struct Quantised {
  std::vector<double> values, variance;

  Quantised(const float* x, size_t columns, size_t allowance_block) : values(columns), variance(columns) {
    for (size_t start = 0; start < columns; start += 32) {
      const float bound = largest(x + start, 32), scale = bound / 127, inverse = 127 / bound;
      for (size_t i = start; i < start + 32; ++i) {
        values[i] = bound < 1e-36f ? 0 : static_cast<double>(std::nearbyint(x[i] * inverse)) * scale;
      }
    }
    for (size_t start = 0; start < columns; start += allowance_block) {
      const double step = static_cast<double>(largest(x + start, allowance_block)) / 127;
      for (size_t i = start; i < start + allowance_block; ++i) variance[i] = step * step / 12;
    }
  }

 private:
  static float largest(const float* x, size_t count) {
    float result = 0;
    for (size_t i = 0; i < count; ++i) result = std::fabs(x[i]) > result ? std::fabs(x[i]) : result;
    return result;
  }
};

void check_token(const Problem& problem, const float* x, const float* out, const std::string& name) {
  const Quantised quantised(x, problem.columns, problem.format >= Format::q4_k ? 256 : 32);
  for (uint32_t row = 0; row < problem.rows; ++row) {
    const std::vector<double>& w = problem.weights[row];
    double rounded = 0, exact = 0, variance = 0, magnitude = 0;
    for (size_t start = 0; start < problem.columns; start += 16) {
      double part = 0, width = 0;
      for (size_t i = start; i < start + 16; ++i) {
        part += w[i] * quantised.values[i];
        exact += w[i] * x[i];
        variance += w[i] * w[i] * quantised.variance[i];
        width = std::fmax(width, std::fabs(w[i] * quantised.values[i]));
      }
      rounded += part;
      // Minima and the rest are added apart, so that the parts may be larger than what they give together.
      magnitude += std::fmax(std::fabs(part), width);
    }
    if (!(std::fabs(out[row] - rounded) <= 64 * 0x1p-24 * magnitude)) {
      fail(name + " row " + std::to_string(row) + ": got " + std::to_string(out[row]) + ", expected " +
           std::to_string(rounded));
      return;
    }
    if (!(std::fabs(out[row] - exact) <= 6 * std::sqrt(variance) + 64 * 0x1p-24 * magnitude)) {
      fail(name + " row " + std::to_string(row) + ": beyond the allowance for quantised activations");
      return;
    }
  }
}

bool same_bits(const float* a, const float* b, size_t count) { return memcmp(a, b, count * sizeof(float)) == 0; }

void check_product(const Kernels& kernels, const Problem& problem, uint32_t tokens) {
  const std::string name = problem.name(tokens);
  Numbers x(tokens, problem.columns, tokens);
  LinearArgs args;
  args.weight = problem.matrix;
  args.x = x.rows();
  const std::vector<float> out = run(kernels, args, tokens, Order::one_range, name);
  const size_t stride = problem.rows + 3;
  for (size_t t = 0; t < tokens; t += tokens > 16 ? 19 : 1) {
    check_token(problem, x.row(t), out.data() + t * stride, name + " token " + std::to_string(t));
  }
  if (run(kernels, args, tokens, Order::single_units, name) != out) fail(name + ": unit by unit gives other bits");
  if (run(kernels, args, tokens, Order::backwards, name) != out) fail(name + ": units backwards give other bits");
  args.x.data += (tokens - 1) * x.stride;
  const std::vector<float> alone = run(kernels, args, 1, Order::one_range, name);
  if (!same_bits(alone.data(), out.data() + (tokens - 1) * stride, problem.rows)) {
    fail(name + ": the last token alone gives other bits");
  }
}

void check_not_finite(const Kernels& kernels, const Problem& problem, uint32_t tokens) {
  const std::string name = problem.name(tokens) + " not finite";
  Numbers x(tokens, problem.columns, 3);
  LinearArgs args;
  args.weight = problem.matrix;
  args.x = x.rows();
  const std::vector<float> clean = run(kernels, args, tokens, Order::one_range, name);
  x.memory[1 * x.stride + 7] = NAN;
  x.memory[3 * x.stride + problem.columns - 1] = -INFINITY;
  x.memory[4 * x.stride + 31] = INFINITY;
  x.memory[4 * x.stride + 3] = NAN;
  const std::vector<float> out = run(kernels, args, tokens, Order::one_range, name);
  const size_t stride = problem.rows + 3;
  for (size_t t = 0; t < tokens; ++t) {
    const float* row = out.data() + t * stride;
    if (t == 1 || t == 3 || t == 4) {
      for (size_t i = 0; i < problem.rows; ++i) {
        if (!std::isnan(row[i])) fail(name + ": a number that should be NaN");
      }
    } else if (!same_bits(row, clean.data() + t * stride, problem.rows)) {
      fail(name + ": another token changed");
    }
  }
}

void check_epilogue(const Kernels& kernels, const Problem& problem, uint32_t tokens) {
  const std::string name = problem.name(tokens) + " epilogue";
  Numbers x(tokens, problem.columns, 4), gate(tokens, problem.rows, 5), residual(tokens, problem.rows, 6);
  Numbers bias(1, problem.rows, 7);
  LinearArgs args;
  args.weight = problem.matrix;
  args.x = x.rows();
  const std::vector<float> plain = run(kernels, args, tokens, Order::one_range, name);
  args.bias = bias.row(0);
  args.activation = Activation::relu2;
  args.gate = gate.rows();
  args.residual = residual.rows();
  const std::vector<float> out = run(kernels, args, tokens, Order::one_range, name);
  for (size_t t = 0; t < tokens; ++t) {
    for (size_t i = 0; i < problem.rows; ++i) {
      const size_t at = t * (problem.rows + 3) + i;
      const float positive = std::fmax(plain[at] + bias.row(0)[i], 0.0f);
      const double expected = static_cast<double>(positive) * positive * gate.row(t)[i] + residual.row(t)[i];
      if (!(std::fabs(out[at] - expected) <= 1e-6 * (std::fabs(expected) + std::fabs(residual.row(t)[i])))) {
        fail(name + ": bias, activation, gate or residual");
        return;
      }
    }
  }
}

void check_all(const Kernels& kernels) {
  for (int f = static_cast<int>(Format::q8_0); f < kFormats; ++f) {
    const Format format = static_cast<Format>(f);
    for (const uint32_t columns : {32u, 96u, 256u, 768u, 3072u}) {
      if (columns % 256 != 0 && format >= Format::q4_k) continue;
      for (const uint32_t rows : {1u, 37u, 43u, 128u, 1000u}) {
        const Problem problem(format, rows, columns);
        for (const uint32_t tokens : {1u, 2u, 5u, 13u, 33u, 257u}) {
          if (size_t{rows} * columns * tokens <= 8u << 20) check_product(kernels, problem, tokens);
        }
      }
    }
    const Problem problem(format, 43, 256);
    for (uint32_t tokens = 1; tokens < 40; ++tokens) check_product(kernels, problem, tokens);
    check_product(kernels, problem, 300);
    for (const uint32_t tokens : {5u, 14u}) check_not_finite(kernels, problem, tokens);
    for (const uint32_t tokens : {1u, 3u, 14u}) check_epilogue(kernels, problem, tokens);
    LinearArgs args;
    args.weight = problem.matrix;
    run(kernels, args, 0, Order::one_range, "no tokens");
  }
}

}  // namespace

int main(int argc, char** argv) {
  bool any = false;
  for (size_t i = 0; i < kKernelChoiceCount; ++i) {
    const KernelChoice& choice = kKernelChoices[i];
    if (argc > 1 ? std::string(argv[1]) != choice.name : !choice.runs_here()) continue;
    any = true;
    instructions = choice.name;
    const int before = failures;
    check_all(*choice.table());
    if (failures == before) printf("linear-block %s: all formats agree\n", instructions);
  }
  if (!any) printf("linear-block: no such instruction set in this build\n");
  return failures != 0 || !any;
}
