/**
 * out = residual + gate ⊙ activation(bias + x Wᵀ), W packed in panels of 16 rows (pack.h).
 *
 * Plain formats multiply in f32 (linear-plain.h); block formats quantise each row of x to int8 once, 32 numbers to a
 * scale, and multiply integers (linear-block.h). Both have an inner loop for few tokens, which is bound by the memory that
 * the weights come from, and one for many, which is bound by arithmetic. Which one runs follows from T alone.
 */

#include "linear-epilogue.h"
#include "linear-plain.h"
#include "linear-block.h"

RWKV_INLINE bool is_plain(Format format) { return format <= Format::bf16; }

size_t linear_prepared_bytes(const PackedMatrix& weight, uint32_t tokens) {
  return is_plain(weight.format) ? plain_prepared_bytes(weight, tokens) : block_prepared_bytes(weight, tokens);
}

void linear_prepare(const LinearArgs& args, uint32_t tokens, uint8_t* prepared, Range rows) {
  if (is_plain(args.weight.format)) plain_prepare(args, tokens, prepared, rows);
  else block_prepare(args, tokens, prepared, rows);
}

uint32_t linear_units(const PackedMatrix& weight, uint32_t tokens) {
  return is_plain(weight.format) ? plain_units(weight, tokens) : block_units(weight, tokens);
}

void linear(const LinearArgs& args, uint32_t tokens, const uint8_t* prepared, Range units, uint8_t* scratch) {
  if (is_plain(args.weight.format)) plain_linear(args, tokens, prepared, units, scratch);
  else block_linear(args, tokens, prepared, units, scratch);
}
