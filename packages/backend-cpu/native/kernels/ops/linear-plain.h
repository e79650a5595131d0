/**
 * Products with f32, f16 and bf16 weights: out[t, row] = epilogue(Σ_k x[t, k] w[row, k]).
 *
 * All arithmetic is f32 on exactly converted weights; only bf16 weights of many tokens are multiplied as bf16, x
 * rounded to nearest even, where the instruction set has it (RWKV_BF16). Two loops:
 *
 *   T <= kStreamTokens   linear-plain-stream.h: a unit is a panel (some, of a matrix in columns), its weights converted on their way to the
 *                        multiplier; panels are one sequential stream, and the loop is bound by its memory.
 *   T >  kStreamTokens   linear-plain-tiles.h: a unit is a block of panels times a block of tokens, cut for the caches;
 *                        bound by arithmetic.
 *
 * Prepared x: tokens are cut into groups whose sizes differ by at most one (a single group where T <= kStreamTokens),
 * and group after group is stored [K][tokens of the group], so that a step of the inner loop reads consecutive numbers,
 * whatever the stride of x was. As bf16: [ceil(K / 2)][tokens of the group][2], an odd last column paired with zero.
 */

#include "unroll.h"

#include "linear-plain-weights.h"
#include "linear-plain-prepare.h"
#include "linear-plain-stream.h"
#include "linear-plain-tiles.h"

size_t plain_prepared_bytes(const PackedMatrix& weight, uint32_t tokens) {
  if (tokens <= kStridedTokens) return 0;
  return static_cast<size_t>(tokens) * x_steps(weight, tokens) * sizeof(float);
}

uint32_t plain_prepare_units(const PackedMatrix& weight, uint32_t tokens) {
  if (tokens <= kStridedTokens) return 0;
  return static_cast<uint32_t>(group_count(tokens) * group_pieces(weight));
}

void plain_prepare(const LinearArgs& args, uint32_t tokens, uint8_t* prepared, Range units) {
  if (tokens > kStridedTokens) group_units(args, tokens, prepared, units);
}

uint32_t plain_units(const PackedMatrix& weight, uint32_t tokens) {
  if (tokens == 0) return 0;
  if (tokens <= kStreamTokens) return stream_unit_count(weight);
  const Tiling tiling = tiling_of(weight, tokens);
  return tiling.panel_blocks * tiling.token_blocks;
}

void plain_linear(const LinearArgs& args, uint32_t tokens, const uint8_t* prepared, Range units, uint8_t* scratch) {
  if (tokens == 0) return;
  if (tokens <= kStreamTokens) stream_units(args, tokens, prepared, units);
  else tile_units(args, tokens, prepared, units, scratch);
}
