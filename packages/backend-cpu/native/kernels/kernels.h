/**
 * The table of kernels, one instance per instruction set. An op is a struct of arguments, a count of units of work that
 * are independent of each other, and a function that does the units [begin, end) of a step.
 *
 * Results never depend on how units are grouped into tasks or on which thread runs them: the same step gives the same
 * bits. Kernels neither allocate nor fail; sizes were checked when the program was compiled.
 *
 * `scratch` is the calling thread's own memory, kThreadScratch bytes, aligned to 64; its content is lost between calls.
 */
#pragma once

#include "types.h"

namespace rwkv {

constexpr size_t kThreadScratch = 2u << 20;
/** Of the recurrences, some of which keep rows of a head in scratch. */
constexpr size_t kMaxHeadSize = 32768;

// ---- Matrix products: linear.h has the layouts and the method ---------------------------------------------------

/** out = residual + gate ⊙ activation(bias + x Wᵀ); bias [rows], gate and residual [_, rows], each optional. */
struct LinearArgs {
  PackedMatrix weight;
  Rows x;
  Rows out;
  const float* bias = nullptr;
  Activation activation = Activation::none;
  Rows gate;
  Rows residual;
};

// ---- Rows in, rows out; a unit is a row -------------------------------------------------------------------------

/** out = (x - mean) / sqrt(variance + eps) ⊙ weight + bias over each of `groups` parts. */
struct NormArgs {
  Rows x, out;
  uint32_t width;
  Norm norm;
};

/** out = x / max(‖x‖₂, eps) over each of `groups` parts. */
struct L2NormArgs {
  Rows x, out;
  uint32_t width, groups;
  float eps;
};

/** out = x + (y - x) ⊙ by. */
struct LerpArgs {
  Rows x, y, out;
  Operand by;
  uint32_t width;
};

/** add: out = x + y; mul: out = x ⊙ y. */
struct PairArgs {
  Rows x, out;
  Operand y;
  uint32_t width;
};

/** out = factor · x. */
struct ScaleArgs {
  Rows x, out;
  uint32_t width;
  float factor;
};

/** out = activation(x). */
struct ActivateArgs {
  Rows x, out;
  uint32_t width;
  Activation activation;
};

/** Copies rows: slice (x starts at the slice's first column). */
struct CopyArgs {
  Rows x, out;
  uint32_t width;
};

/** out = the largest numbers, their columns, Σ exp(x - largest), which is 0 for a row without one; out [_, 2 count + 1]. */
struct TopKArgs {
  Rows x, out;
  uint32_t width, count;
};

/** out[r] = x[wanted[r]]; a unit is a wanted row. */
struct SelectRowsArgs {
  Rows x, out;
  uint32_t width;
};

/** out[t, b] = Σ_a x[t, a] m[t, a·B + b]; x [T, A], m [T, A·B], out [T, B]. */
struct RowMatmulArgs {
  Rows x, m, out;
  uint32_t inputs, width;
};

/** out[t] = table[token[t]], or the embedding vector given for t where `by_input`. */
struct EmbedArgs {
  PackedMatrix table;
  Rows out;
  bool by_input;
};

// ---- Token shift; a unit is a token of the step -----------------------------------------------------------------

constexpr uint32_t kMaxMixes = 8;

/**
 * With x̂ = norm(x) (x itself where `norm.weight` is null) and x' the previous token's x̂ of the same sequence, the state
 * at its first token:
 *   normed = x̂;  shifted = x';  difference = x' - x̂;
 *   toward_previous: mix_i = x̂ + (x' - x̂) ⊙ by_i;   otherwise mix_i = x' + (x̂ - x') ⊙ by_i.
 * Every output is optional. Units run in any order, on any thread, so a unit whose token is not the first of its sequence
 * computes the previous token's x̂ anew where it has not just done so. The last x̂ of each sequence goes to
 * `next_state` [S, C]; `commit_shift` writes it to the state in a later phase, when nobody reads the old one any more.
 */
struct ShiftMixArgs {
  Rows x;
  uint32_t width;
  Norm norm;
  State state;
  float* next_state;
  bool toward_previous;
  uint32_t mixes;
  const float* by[kMaxMixes];
  Rows out[kMaxMixes];
  Rows normed, shifted, difference;
};

/** state[slot of s] = next_state[s]; a unit is a sequence. */
struct CommitShiftArgs {
  State state;
  const float* next_state;
  uint32_t width;
};

// ---- Recurrences ------------------------------------------------------------------------------------------------

/** Wkv4Op of the contract; state [3, C]. A unit is one sequence's block of kWkv4Block channels. */
struct Wkv4Args {
  Rows k, v, out;
  const float* decay;
  const float* first;
  uint32_t channels;
  State state;
};
constexpr uint32_t kWkv4Block = 64;

/**
 * Wkv6Op and TimeMix6Op; state [H, N(key), N(value)]. A unit is one (sequence, head), head fastest.
 * decay: rows [T, C], or stride 0 and [H, N]; a per-head decay or first was spread to [H, N] when it was bound.
 * With `norm.weight`: out = norm_h(y) (⊙ gate).
 */
struct Wkv6Args {
  Rows r, k, v, out;
  Operand decay;
  const float* first;
  uint32_t heads, head_size;
  State state;
  Norm norm;
  Rows gate;
};

/**
 * Wkv7Op and TimeMix7Op; state [H, N(value), N(key)]. A unit is one (sequence, head), head fastest.
 * With `norm.weight`: out = (norm_h(y) + (Σ_n r k bonus)_h v_h) ⊙ gate.
 * With `removal`: the inputs k, a, b are made here from the raw key, as Prepare7Op has it: `k` is the raw key, `rate` [T, C];
 * a and b are absent; and with `amount`, v ← v + (v_first - v) ⊙ amount before use.
 */
struct Wkv7Args {
  Rows r, w, k, v, a, b, out;
  uint32_t heads, head_size;
  State state;
  Norm norm;
  const float* bonus;
  Rows gate;
  const float* removal;
  const float* replacement;
  float key_eps;
  Rows rate, v_first, amount;
};

/** out_h = (Σ_n r k by)_h v_h; a unit is a row. */
struct Bonus7Args {
  Rows r, k, v, out;
  const float* by;
  uint32_t heads, head_size;
};

/** Prepare7Op; a unit is a row. The residual part where `amount`. */
struct Prepare7Args {
  Rows k, rate, key, a, b;
  const float* removal;
  const float* replacement;
  uint32_t heads, head_size;
  float eps;
  Rows v, v_first, amount, v_out;
};

// ---- The table --------------------------------------------------------------------------------------------------

template <class Args>
using Kernel = void (*)(const Args&, const Step&, Range units, uint8_t* scratch);

struct Kernels {
  /** As `instructions` of the options has it: scalar, avx2, avx512, neon, … */
  const char* name;

  /**
   * A product runs in two stages. `linear_prepare` turns rows of x into what the inner loop likes (int8 with scales for
   * block formats, tokens side by side for plain ones) in memory of `linear_prepared_bytes`, aligned to 64, by
   * `linear_prepare_units` units, of which no two write to one line of the cache, or few do. 0 bytes: this product needs no
   * first stage. Then `linear` does units of `linear_units`.
   */
  size_t (*linear_prepared_bytes)(const PackedMatrix& weight, uint32_t tokens);
  uint32_t (*linear_prepare_units)(const PackedMatrix& weight, uint32_t tokens);
  void (*linear_prepare)(const LinearArgs&, uint32_t tokens, uint8_t* prepared, Range units);
  uint32_t (*linear_units)(const PackedMatrix& weight, uint32_t tokens);
  void (*linear)(const LinearArgs&, uint32_t tokens, const uint8_t* prepared, Range units, uint8_t* scratch);

  Kernel<NormArgs> norm;
  Kernel<L2NormArgs> l2_norm;
  Kernel<LerpArgs> lerp;
  Kernel<PairArgs> add;
  Kernel<PairArgs> mul;
  Kernel<ScaleArgs> scale;
  Kernel<ActivateArgs> activate;
  Kernel<CopyArgs> copy;
  Kernel<SelectRowsArgs> select_rows;
  Kernel<TopKArgs> top_k;
  Kernel<RowMatmulArgs> row_matmul;
  Kernel<EmbedArgs> embed;
  Kernel<ShiftMixArgs> shift_mix;
  Kernel<CommitShiftArgs> commit_shift;
  Kernel<Wkv4Args> wkv4;
  Kernel<Wkv6Args> wkv6;
  Kernel<Wkv7Args> wkv7;
  Kernel<Bonus7Args> bonus7;
  Kernel<Prepare7Args> prepare7;

  /** numbers[i] = activation(numbers[i]): a parameter's form, applied once. */
  void (*apply_form)(float* numbers, size_t count, Activation);
};

/** Instruction sets this build holds, best first but for avx512bf16, which is less exact; ends with scalar. */
struct KernelChoice {
  const char* name;
  bool (*runs_here)();
  const Kernels* (*table)();
};
extern const KernelChoice kKernelChoices[];
extern const size_t kKernelChoiceCount;

}  // namespace rwkv
