/**
 * What every kernel speaks of: formats, rows of numbers, packed matrices, the step.
 *
 * Letters: T tokens of the step, S sequences, R wanted rows, C channels, H heads, N head size, K inputs of a matrix.
 */
#pragma once

#include <cstddef>
#include <cstdint>

/**
 * These headers are compiled once per instruction set. A function the linker may merge across them could end up as the
 * AVX-512 copy on a machine without it, so whatever is shared is forced inline, and the rest lives in the
 * instruction set's own namespace.
 */
#if defined(_MSC_VER) && !defined(__clang__)
#define RWKV_INLINE __forceinline
#define RWKV_LAMBDA_INLINE
#else
#define RWKV_INLINE inline __attribute__((always_inline))
#define RWKV_LAMBDA_INLINE __attribute__((always_inline))
#endif

namespace rwkv {

/** The order is that of `weightFormats` in src/native.ts. */
enum class Format : int32_t { f32, f16, bf16, q8_0, q4_0, q4_1, q5_0, q5_1, q4_k, q5_k, q6_k };
constexpr int kFormats = 11;

/** How a packed matrix lies in memory (pack.h). The order is that of `layouts` in src/native.ts. */
enum class Layout : int32_t { panels, columns };
constexpr int kLayouts = 2;

/** The order is that of `activations` in src/native.ts. */
enum class Activation : int32_t {
  none,
  tanh,
  sigmoid,
  silu,
  relu2,
  exp,
  negative_exp,
  exp_negative_exp,
  decay7,
};
constexpr int kActivations = 9;

/** Rows of f32 numbers: row t starts at data + t * stride. `data` is null where an operand is absent. */
struct Rows {
  float* data = nullptr;
  size_t stride = 0;

  RWKV_INLINE float* row(size_t t) const { return data + t * stride; }
  RWKV_INLINE explicit operator bool() const { return data != nullptr; }
};

/**
 * A second operand of an element-wise op: rows, or a parameter that every row shares (stride 0).
 */
using Operand = Rows;

/**
 * A matrix [rows, columns] in one of the packed layouts of pack.h. `data` is aligned to 64 bytes.
 */
struct PackedMatrix {
  Format format = Format::f32;
  uint32_t rows = 0;
  uint32_t columns = 0;
  const uint8_t* data = nullptr;
  Layout layout = Layout::panels;
};

/** One step's work, as the contract's `Batch` has it. */
struct Step {
  uint32_t tokens = 0;
  uint32_t sequences = 0;
  uint32_t wanted = 0;
  /** [T] */
  const uint32_t* token_ids = nullptr;
  /** [S + 1] */
  const uint32_t* starts = nullptr;
  /** [S] */
  const uint32_t* slots = nullptr;
  /** [R] */
  const uint32_t* wanted_rows = nullptr;
  /** [E] token indices whose embedding is given, increasing, and their vectors [E, C]. */
  uint32_t embeddings = 0;
  const uint32_t* embedding_at = nullptr;
  const float* embedding_vectors = nullptr;
  /** Whether the caller wants the program's candidates, and the output rows stay with the program. */
  bool candidates = false;
};

/** A recurrent state of one spec: slot s starts at data + s * size. */
struct State {
  float* data = nullptr;
  size_t size = 0;

  RWKV_INLINE float* slot(size_t s) const { return data + s * size; }
};

/** Weight and bias [C], as f32. */
struct Norm {
  const float* weight = nullptr;
  const float* bias = nullptr;
  uint32_t groups = 1;
  float eps = 0;
};

/** The part [begin, end) of an op's units of work that one task does. */
struct Range {
  size_t begin;
  size_t end;
};

/** Cuts `units` into `tasks` parts whose sizes differ by at most one. */
static RWKV_INLINE Range part(size_t units, size_t task, size_t tasks) {
  return {units * task / tasks, units * (task + 1) / tasks};
}

}  // namespace rwkv
