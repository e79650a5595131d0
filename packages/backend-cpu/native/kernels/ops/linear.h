/**
 * out = residual + gate ⊙ activation(bias + x Wᵀ), W packed in panels of 16 rows or in columns (pack.h).
 *
 * Plain formats multiply in f32 (linear-plain.h); block formats quantise each row of x to int8 once, 32 numbers to a
 * scale, and multiply integers (linear-block.h). Both have an inner loop for few tokens, which is bound by the memory that
 * the weights come from, and one for many, which is bound by arithmetic. Which one runs follows from T alone.
 *
 * Columns are for an x that is mostly zero (linear-sparse.h): few tokens read only the columns they need and multiply in
 * f32; more tokens run the loops above on panels that are made of columns.
 */

#include "linear-epilogue.h"
#include "linear-plain.h"
#include "linear-block.h"
#include "linear-sparse.h"

RWKV_INLINE bool is_plain(Format format) { return format <= Format::bf16; }
RWKV_INLINE bool is_sparse(const PackedMatrix& weight, uint32_t tokens) {
  return weight.layout == Layout::columns && runs_sparse(weight, tokens);
}

size_t linear_prepared_bytes(const PackedMatrix& weight, uint32_t tokens) {
  if (is_sparse(weight, tokens)) return sparse_prepared_bytes(weight, tokens);
  return is_plain(weight.format) ? plain_prepared_bytes(weight, tokens) : block_prepared_bytes(weight, tokens);
}

uint32_t linear_prepare_units(const PackedMatrix& weight, uint32_t tokens) {
  if (is_sparse(weight, tokens)) return tokens;
  return is_plain(weight.format) ? plain_prepare_units(weight, tokens) : block_prepare_units(weight, tokens);
}

void linear_prepare(const LinearArgs& args, uint32_t tokens, uint8_t* prepared, Range units) {
  if (is_sparse(args.weight, tokens)) sparse_prepare(args, prepared, units);
  else if (is_plain(args.weight.format)) plain_prepare(args, tokens, prepared, units);
  else block_prepare(args, tokens, prepared, units);
}

uint32_t linear_units(const PackedMatrix& weight, uint32_t tokens) {
  if (weight.layout == Layout::columns) return sparse_units(weight, tokens);
  return is_plain(weight.format) ? plain_units(weight, tokens) : block_units(weight, tokens);
}

void linear(const LinearArgs& args, uint32_t tokens, const uint8_t* prepared, Range units, uint8_t* scratch) {
  if (args.weight.layout == Layout::columns) sparse_linear(args, tokens, prepared, units, scratch);
  else if (is_plain(args.weight.format)) plain_linear(args, tokens, prepared, units, scratch);
  else block_linear(args, tokens, prepared, units, scratch);
}
