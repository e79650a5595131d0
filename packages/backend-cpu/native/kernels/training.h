/**
 * The table of kernels that only training needs: matrix products of plain f32, and the backward of every op. One
 * instance per instruction set of f32 arithmetic; what else an instruction set has is of no use here.
 *
 * In all of them `d…` is the gradient of the loss with respect to what follows. A gradient is written, or added to
 * what is there; one that nobody wants has no data. Row kernels do the rows [begin, end) of a step. What they owe to a
 * parameter that all rows share is a sum over exactly those rows, assigned to memory of the call's own: whoever cuts
 * rows into blocks adds the blocks' sums, in their order.
 */
#pragma once

#include "kernels.h"
#include "training-recurrences.h"

namespace rwkv {

// ---- Matrix products --------------------------------------------------------------------------------------------

/** c(m, n) = Σ_k a(m, k) b(k, n), or added to c. Strides in numbers; of a's two, and of b's, one is 1. */
struct ProductArgs {
  const float* a;
  size_t a_row, a_column;
  const float* b;
  size_t b_row, b_column;
  float* c;
  size_t c_row;
  size_t rows, columns, depth;
  bool accumulate;
};

// ---- Backward of ops on rows ------------------------------------------------------------------------------------

/** dweight = Σ dout x̂, dbias = Σ dout, each where given. */
struct NormBackwardArgs {
  Rows x, dout;
  uint32_t width, groups;
  float eps;
  const float* weight;
  Gradient dx;
  float* dweight;
  float* dbias;
};

struct L2NormBackwardArgs {
  Rows x, dout;
  uint32_t width, groups;
  float eps;
  Gradient dx;
};

/** x' is the row before in the sequence. Of each sequence's last row dx is the gradient of the state that follows. */
struct ShiftBackwardArgs {
  /** No data: zero. */
  Rows dout;
  uint32_t width;
  State dstate;
  Gradient dx;
};

/** For an operand that all rows share (stride 0), `by_sum` or `y_sum`; otherwise the gradient of its rows. */
struct LerpBackwardArgs {
  Rows x, y;
  Operand by;
  Rows dout;
  uint32_t width;
  Gradient dx, dy, dby;
  float* by_sum;
};

struct AddBackwardArgs {
  Rows dout;
  uint32_t width;
  Gradient dx, dy;
  float* y_sum;
};

struct MulBackwardArgs {
  Rows x;
  Operand y;
  Rows dout;
  uint32_t width;
  Gradient dx, dy;
  float* y_sum;
};

struct ScaleBackwardArgs {
  Rows dout;
  uint32_t width;
  float factor;
  Gradient dx;
};

/** `source`: the activation's result where `activation_uses_result` says so, otherwise its argument. */
struct ActivateBackwardArgs {
  Rows source, dout;
  uint32_t width;
  Activation activation;
  Gradient dx;
};

/** Columns [start, start + width) of dx, which is `x_width` wide; an assigned dx is zero elsewhere. */
struct SliceBackwardArgs {
  Rows dout;
  uint32_t width, x_width, start;
  Gradient dx;
};

/** dx of all rows of the step from dout of those wanted. */
struct SelectRowsBackwardArgs {
  Rows dout;
  uint32_t width;
  Gradient dx;
};

struct RowMatmulBackwardArgs {
  Rows x, m, dout;
  uint32_t inputs, width;
  Gradient dx, dm;
};

struct Bonus7BackwardArgs {
  Rows r, k, v, dout;
  const float* by;
  uint32_t heads, head_size;
  Gradient dr, dk, dv;
  float* by_sum;
};

template <class Args>
using BackwardKernel = void (*)(const Args&, const Step&, Range rows);

// ---- Other ------------------------------------------------------------------------------------------------------

/** dtable[token] += dout; a unit is a block of kEmbedColumns columns, whose rows are added in their order. */
struct EmbedBackwardArgs {
  Rows dout;
  float* dtable;
  uint32_t width;
};
constexpr uint32_t kEmbedColumns = 64;

/**
 * The loss of a row is weight · (log Σ exp(logits) - logit of the target). With `dlogits`, which may be the logits
 * themselves, its gradient times scale; there the largest logit's gains scale · weight · penalty · that logit.
 */
struct CrossEntropyArgs {
  Rows logits, dlogits;
  uint32_t width;
  /** [R] */
  const uint32_t* targets;
  /** [R], or none for 1 each. */
  const float* weights;
  double scale, penalty;
  /** [R] */
  double* losses;
};

/** out = form(weight), each number `repeat` times. */
struct ParameterArgs {
  const float* weight;
  float* out;
  size_t count, repeat;
  Activation form;
};

/** gradient += f'(weight) ⊙ the sum over `blocks` rows of sums, and over `repeat` neighbours in each. */
struct ParameterBackwardArgs {
  const float* sums;
  size_t blocks;
  /** [count] */
  const float* weight;
  float* gradient;
  size_t count, repeat;
  Activation form;
};

/** One step of AdamW, as `UpdateOptions` of the contract has it; gradients become zero. */
struct AdamArgs {
  float* values;
  float* gradients;
  float* first_moments;
  float* second_moments;
  float gradient_factor;
  /** β₁, 1 - β₁, β₂, 1 - β₂, each rounded by itself. */
  float beta1, rest1, beta2, rest2;
  /** η λ, η / (1 - β₁ᵗ), 1 / sqrt(1 - β₂ᵗ). */
  float decay, rate, root_factor;
  float epsilon;
};

// ---- The table --------------------------------------------------------------------------------------------------

struct TrainingKernels {
  /** Rows and columns of the tiles that products are cut into, and scratch bytes of a task. */
  uint32_t tile_rows, tile_columns;
  size_t product_scratch;
  /** The tiles in [rows] × [columns]; every number of c is the same however tiles are grouped. */
  void (*product)(const ProductArgs&, Range row_tiles, Range column_tiles, uint8_t* scratch);

  RecurrenceTraining recurrences;

  BackwardKernel<NormBackwardArgs> norm;
  BackwardKernel<L2NormBackwardArgs> l2_norm;
  BackwardKernel<ShiftBackwardArgs> shift;
  BackwardKernel<LerpBackwardArgs> lerp;
  BackwardKernel<AddBackwardArgs> add;
  BackwardKernel<MulBackwardArgs> mul;
  BackwardKernel<ScaleBackwardArgs> scale;
  BackwardKernel<ActivateBackwardArgs> activate;
  BackwardKernel<SliceBackwardArgs> slice;
  BackwardKernel<SelectRowsBackwardArgs> select_rows;
  BackwardKernel<RowMatmulBackwardArgs> row_matmul;
  BackwardKernel<Bonus7BackwardArgs> bonus7;
  BackwardKernel<EmbedBackwardArgs> embed;
  BackwardKernel<CrossEntropyArgs> cross_entropy;
  void (*parameter)(const ParameterArgs&);
  void (*parameter_backward)(const ParameterBackwardArgs&, Range numbers);
  /** Σ numbers². */
  double (*squares)(const float* numbers, size_t count);
  void (*adam)(const AdamArgs&, size_t count);
};

/** Whether an activation's derivative is had from its result rather than its argument. */
inline bool activation_uses_result(Activation activation) {
  return activation == Activation::sigmoid || activation == Activation::exp || activation == Activation::negative_exp;
}

/** Those that go with the kernels of that name; null for a name that no build has. */
const TrainingKernels* training_kernels(const char* name);

}  // namespace rwkv
