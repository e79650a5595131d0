/**
 * Products with matrices in columns: against sums in double precision, and bit for bit against panels where these make the
 * product. Inputs of every share of zeros, groupings of units, guards, NaN and infinity that stay with their token, columns
 * that must not be read, panels too long to gather, and the epilogue.
 *
 * linear-sparse.test [instruction set]
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
  if (++failures <= 20) printf("linear-sparse %s: %s\n", instructions, what.c_str());
}

struct Problem {
  std::vector<std::vector<double>> weights;
  Guarded columns_memory, panels_memory;
  PackedMatrix columns, panels;

  Problem(Format format, uint32_t rows, uint32_t width)
      : columns_memory(packed_bytes(format, rows, width, Layout::columns)),
        panels_memory(packed_bytes(format, rows, width)),
        columns{format, rows, width, columns_memory.data(), Layout::columns},
        panels{format, rows, width, panels_memory.data(), Layout::panels} {
    Random random{width * 1000003u + rows + static_cast<uint64_t>(format)};
    const std::vector<uint8_t> file = random_rows(format, rows, width, random);
    for (uint32_t row = 0; row < rows; ++row) weights.push_back(file_row(format, file.data(), width, row));
    pack(columns, file.data(), columns_memory.data(), {0, pack_parts(rows, Layout::columns)});
    pack(panels, file.data(), panels_memory.data(), {0, pack_parts(rows, Layout::panels)});
  }
  std::string name(uint32_t tokens, int zeros) const {
    return std::string(kFormatNames[static_cast<int>(columns.format)]) + " [" + std::to_string(columns.rows) + ", " +
           std::to_string(columns.columns) + "] T = " + std::to_string(tokens) + ", " + std::to_string(zeros) + " % zeros";
  }
};

/** Rows with a stride, `zeros` percent of whose numbers are zero. */
struct Numbers {
  size_t width, stride;
  std::vector<float> memory;

  Numbers(size_t rows, size_t w, uint64_t seed, int zeros) : width(w), stride(w + 5), memory(rows * stride, NAN) {
    Random random{seed};
    for (size_t r = 0; r < rows; ++r) {
      for (size_t i = 0; i < width; ++i) {
        const float number = std::ldexp(random.number(), static_cast<int>((r * 7 + i / 32 * 5) % 5) - 2);
        memory[r * stride + i] = static_cast<int>(random.bits() >> 8) % 100 < zeros ? 0.0f : number;
      }
    }
  }
  Rows rows() { return {memory.data(), stride}; }
  float* row(size_t r) { return memory.data() + r * stride; }
};

std::vector<float> run(const Kernels& kernels, LinearArgs args, uint32_t tokens, Order order, const std::string& name) {
  return rwkv_test::run(kernels, args, tokens, order, name, fail);
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

/** `quantised`: x was rounded to int8 or bfloats before. */
void check_token(const Problem& problem, const float* x, const float* out, bool quantised, const std::string& name) {
  const size_t width = problem.columns.columns;
  for (size_t row = 0; row < problem.columns.rows; ++row) {
    const std::vector<double>& w = problem.weights[row];
    double exact = 0, magnitude = 0, rounding = 0;
    for (size_t start = 0; start < width; start += 32) {
      const size_t end = start + 32 < width ? start + 32 : width;
      double largest_w = 0, largest_x = 0, sum_x = 0, sum_w = 0;
      for (size_t i = start; i < end; ++i) {
        const double size_w = std::fabs(w[i]), size_x = std::fabs(x[i]);
        exact += w[i] * x[i];
        largest_w = size_w > largest_w ? size_w : largest_w;
        largest_x = size_x > largest_x ? size_x : largest_x;
        sum_x += size_x;
        sum_w += size_w;
      }
      magnitude += largest_w * sum_x;
      rounding += sum_w * largest_x;
    }
    const double allowed = 64 * 0x1p-24 * magnitude + (quantised ? rounding / 200 : 0);
    if (!(std::fabs(out[row] - exact) <= allowed)) {
      return fail(name + " row " + std::to_string(row) + ": got " + std::to_string(out[row]) + ", expected " +
                  std::to_string(exact));
    }
  }
}

/** Whether panels make this product. */
bool is_gathered(const Kernels& kernels, const PackedMatrix& columns, const PackedMatrix& panels, uint32_t tokens) {
  return kernels.linear_prepared_bytes(columns, tokens) == kernels.linear_prepared_bytes(panels, tokens);
}

void check_product(const Kernels& kernels, const Problem& problem, uint32_t tokens, int zeros) {
  const std::string name = problem.name(tokens, zeros);
  Numbers x(tokens, problem.columns.columns, tokens + static_cast<uint64_t>(zeros), zeros);
  LinearArgs args;
  args.weight = problem.columns;
  args.x = x.rows();
  const std::vector<float> out = run(kernels, args, tokens, Order::one_range, name);
  const bool gathered = is_gathered(kernels, problem.columns, problem.panels, tokens);
  const size_t stride = problem.columns.rows + 3;
  for (size_t t = 0; t < tokens; t += tokens > 8 ? 16 : 1) {
    check_token(problem, x.row(t), out.data() + t * stride, gathered, name + " token " + std::to_string(t));
  }
  if (!same_bits(run(kernels, args, tokens, Order::single_units, name), out)) fail(name + ": unit by unit gives other bits");
  if (!same_bits(run(kernels, args, tokens, Order::backwards, name), out)) fail(name + ": units backwards give other bits");
  if (!gathered) return;
  args.weight = problem.panels;
  if (!same_bits(run(kernels, args, tokens, Order::one_range, name), out)) fail(name + ": panels give other bits");
}

void check_not_finite(const Kernels& kernels, const Problem& problem, uint32_t tokens, float number) {
  const std::string name = problem.name(tokens, 50) + " not finite";
  Numbers x(tokens, problem.columns.columns, 3, 50);
  LinearArgs args;
  args.weight = problem.columns;
  args.x = x.rows();
  const std::vector<float> clean = run(kernels, args, tokens, Order::one_range, name);
  const size_t bad = tokens - 1, stride = problem.columns.rows + 3;
  x.row(bad)[problem.columns.columns - 1] = number;
  const std::vector<float> out = run(kernels, args, tokens, Order::one_range, name);
  for (size_t t = 0; t < tokens; ++t) {
    for (size_t i = 0; i < problem.columns.rows; ++i) {
      const float got = out[t * stride + i];
      if (t == bad ? std::isfinite(got) : memcmp(&got, &clean[t * stride + i], sizeof got) != 0) {
        return fail(name + (t == bad ? ": a number should not be finite" : ": another token changed"));
      }
    }
  }
}

void check_epilogue(const Kernels& kernels, const Problem& problem, uint32_t tokens) {
  const std::string name = problem.name(tokens, 50) + " epilogue";
  const uint32_t rows = problem.columns.rows;
  Numbers x(tokens, problem.columns.columns, 4, 50), gate(tokens, rows, 5, 0), residual(tokens, rows, 6, 0);
  Numbers bias(1, rows, 7, 0);
  LinearArgs args;
  args.weight = problem.columns;
  args.x = x.rows();
  const std::vector<float> plain = run(kernels, args, tokens, Order::one_range, name);
  args.bias = bias.row(0);
  args.activation = Activation::relu2;
  args.gate = gate.rows();
  args.residual = residual.rows();
  const std::vector<float> out = run(kernels, args, tokens, Order::one_range, name);
  for (size_t t = 0; t < tokens; ++t) {
    for (size_t i = 0; i < rows; ++i) {
      const size_t at = t * (rows + 3) + i;
      const float positive = std::fmax(plain[at] + bias.row(0)[i], 0.0f);
      const double expected = static_cast<double>(positive) * positive * gate.row(t)[i] + residual.row(t)[i];
      if (!(std::fabs(out[at] - expected) <= 1e-6 * (std::fabs(expected) + std::fabs(residual.row(t)[i])))) {
        return fail(name + ": bias, activation, gate or residual");
      }
    }
  }
}

/** NaN in the columns whose x is zero. */
void check_unread(const Kernels& kernels) {
  constexpr uint32_t kRows = 130, kColumns = 300;
  std::vector<float> file(size_t{kRows} * kColumns, 0.5f);
  Numbers x(1, kColumns, 9, 60);
  for (size_t i = 0; i < file.size(); ++i) {
    if (x.row(0)[i % kColumns] == 0) file[i] = NAN;
  }
  Guarded memory(packed_bytes(Format::f32, kRows, kColumns, Layout::columns));
  LinearArgs args;
  args.weight = {Format::f32, kRows, kColumns, memory.data(), Layout::columns};
  pack(args.weight, reinterpret_cast<const uint8_t*>(file.data()), memory.data(), {0, pack_parts(kRows, Layout::columns)});
  args.x = x.rows();
  const std::vector<float> out = run(kernels, args, 1, Order::one_range, "unread");
  for (uint32_t i = 0; i < kRows; ++i) {
    if (!std::isfinite(out[i])) return fail("columns whose x is zero are read");
  }
}

void check_all(const Kernels& kernels) {
  check_unread(kernels);
  for (int f = 0; f < kFormats; ++f) {
    const Format format = static_cast<Format>(f);
    const bool plain = format <= Format::bf16, k = format >= Format::q4_k;
    const bool wide = format == Format::f16 || format == Format::q5_1 || format == Format::q6_k;
    for (const uint32_t width : {plain ? 1u : 32u, plain ? 77u : 96u, 256u, 768u, 3072u}) {
      if ((k && width % 256 != 0) || (width == 3072 && !wide)) continue;
      for (const uint32_t rows : {1u, 43u, 768u, 1000u}) {
        if (size_t{rows} * width > 1u << 20 && rows != 768) continue;
        const Problem problem(format, rows, width);
        for (const uint32_t tokens : {1u, 2u, 3u, 5u, 33u, 70u}) {
          const size_t products = size_t{rows} * width * tokens;
          if (products > 8u << 20) continue;
          for (const int zeros : {50, 0, 90, 100}) {
            check_product(kernels, problem, tokens, zeros);
            if (products > 1u << 20) break;
          }
        }
      }
    }
    const Problem problem(format, 300, 512);
    for (const uint32_t tokens : {1u, 2u, 5u}) {
      for (const float number : {NAN, INFINITY, -INFINITY}) check_not_finite(kernels, problem, tokens, number);
    }
    for (const uint32_t tokens : {1u, 2u, 14u}) check_epilogue(kernels, problem, tokens);
    check_product(kernels, problem, 300, 50);
    LinearArgs args;
    args.weight = problem.columns;
    run(kernels, args, 0, Order::one_range, "no tokens");
  }
  check_product(kernels, Problem(Format::f32, 17, 30000), 5, 50);
  check_product(kernels, Problem(Format::q8_0, 150, 16384), 5, 50);
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
    if (failures == before) printf("linear-sparse %s: all formats agree\n", instructions);
  }
  if (!any) printf("linear-sparse: no such instruction set in this build\n");
  return failures != 0 || !any;
}
