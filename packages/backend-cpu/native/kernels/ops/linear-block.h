/**
 * out = residual + gate ⊙ activation(bias + x Wᵀ) for W of a block format: x is quantised (linear-block-quantise.h),
 * then integers are multiplied, 16 rows of W at a time.
 *
 * Few tokens (up to kDirectTokens): a unit is a panel; the loop unpacks quants in registers and is bound by the memory
 * that W comes from. Many: a unit is kTilePanels panels and up to kUnitTiles tiles of up to kMaxTile tokens;
 * kChunkBlocks blocks of the panels are unpacked to scratch, where every tile finds them in the first-level cache, and
 * the next unit's panels are asked for meanwhile. Units of the same tokens follow one another, because these tokens'
 * rows of x are what the second-level cache should keep.
 *
 * Limits: columns are a multiple of 32 (256 for k formats).
 */

#include "unroll.h"

#if defined(RWKV_AVX512)
#include "../simd/avx512-integers.h"
#elif defined(RWKV_AVX2)
#include "../simd/avx2-integers.h"
#elif defined(RWKV_NEON)
#include "../simd/neon-integers.h"
#else
#include "../simd/scalar-integers.h"
#endif

/** Measured: longer chunks, or units of more tokens, evict each other from the caches. */
constexpr size_t kChunkBlocks = 16;
constexpr size_t kUnitTiles = 48 / kMaxTile;
/** How far ahead of its loads the loop for few tokens asks for weights. */
constexpr size_t kPrefetchBytes = 4096;

#include "linear-block-formats.h"
#include "linear-block-quantise.h"
#include "linear-block-loops.h"

RWKV_INLINE size_t block_panels(const PackedMatrix& weight) {
  return (size_t{weight.rows} + kPanelRows - 1) / kPanelRows;
}

/** Groups of tiles that units are made of. */
RWKV_INLINE size_t tile_groups(const Tiles& tiles) { return (tiles.count + kUnitTiles - 1) / kUnitTiles; }

/** How many panels a unit has. */
RWKV_INLINE size_t unit_panels(uint32_t tokens) { return tokens <= kDirectTokens ? 1 : kTilePanels; }

RWKV_INLINE size_t panel_units(const PackedMatrix& weight, uint32_t tokens) {
  return (block_panels(weight) + unit_panels(tokens) - 1) / unit_panels(tokens);
}

uint32_t block_units(const PackedMatrix& weight, uint32_t tokens) {
  return static_cast<uint32_t>(panel_units(weight, tokens) * tile_groups(Tiles(tokens)));
}

/** Bias to residual of one panel, for tokens [first, first + count) with sums [count][16]. */
static void finish_panel(const LinearArgs& args, size_t panel, size_t first, size_t count, const float* sums) {
  const size_t first_row = panel * kPanelRows;
  for (size_t t = 0; t < count; ++t) {
    for (size_t lane = 0; lane < kPanelRows && first_row + lane < args.weight.rows; lane += kLanes) {
      const size_t row = first_row + lane;
      linear_epilogue(args, first + t, row, args.weight.rows - row, load(sums + t * kPanelRows + lane));
    }
  }
}

/**
 * Quants, scales and minima of blocks [begin, end) into `scratch`; quants that are bytes already stay where they are.
 */
template <Format kFormat>
RWKV_INLINE UnpackedBlocks unpack_blocks(const BlockPanel<kFormat>& panel, size_t begin, size_t end, uint8_t* scratch) {
  using Traits = BlockTraits<kFormat>;
  uint8_t* quants = scratch;
  float* scales = reinterpret_cast<float*>(scratch + kChunkBlocks * 512);
  float* mins = scales + kChunkBlocks * Traits::kScales * kPanelRows;
  for (size_t block = begin; block < end; ++block) {
    const size_t at = block - begin;
    for (int v = 0; v < kRowVectors; ++v) {
      if constexpr (Traits::kBits != 8) {
        panel.groups(block, v, [&](auto g, auto, Quants q) RWKV_LAMBDA_INLINE {
          store_quants(quants + at * 512 + g.value * 64 + v * kLanes * 4, q);
        });
      }
      for (int half = 0; half < Traits::kScales; ++half) {
        store(scales + (at * Traits::kScales + half) * kPanelRows + v * kLanes, panel.scale(block, half, v));
      }
      if constexpr (Traits::kMins) store(mins + at * kPanelRows + v * kLanes, panel.min(block, v));
    }
  }
  return {Traits::kBits == 8 ? panel.data + panel.layout.quants + begin * 512 : quants, scales, mins, nullptr};
}

constexpr size_t kUnpackedBytes = kChunkBlocks * (512 + 3 * kPanelRows * sizeof(float));
constexpr size_t kUnitSums = kUnitTiles * kMaxTile * kPanelRows;
static_assert(kTilePanels * (kUnpackedBytes + kUnitSums * sizeof(float)) <= kThreadScratch, "scratch");

template <Format kFormat>
void block_unit_many(const LinearArgs& args, const Tiles& tiles, const uint8_t* prepared, size_t group,
                     size_t first_panel, const PanelLayout& layout, uint8_t* scratch) {
  using Loop = typename BlockTraits<kFormat>::Loop;
  const size_t blocks = args.weight.columns / kQuantBlock, groups = tile_groups(tiles);
  const size_t token_bytes = block_token_bytes(args.weight), record_bytes = block_record_bytes(kFormat);
  const size_t tile_begin = tiles.count * group / groups, tile_end = tiles.count * (group + 1) / groups;
  const size_t first = tiles.first(tile_begin), count = tiles.first(tile_end) - first;
  const size_t here = block_panels(args.weight) - first_panel;
  const uint8_t* data = args.weight.data + first_panel * layout.panel_bytes;
  const size_t lines = kTilePanels * layout.panel_bytes / 64, steps = (tile_end - tile_begin) * blocks;
  Ahead ahead{data + kTilePanels * layout.panel_bytes, (lines + steps - 1) / steps};
  float* sums = reinterpret_cast<float*>(scratch + kTilePanels * kUnpackedBytes);
  memset(sums, 0, kTilePanels * kUnitSums * sizeof(float));
  for (size_t begin = 0; begin < blocks; begin += kChunkBlocks) {
    const size_t end = begin + kChunkBlocks < blocks ? begin + kChunkBlocks : blocks;
    UnpackedBlocks unpacked[kTilePanels];
    for (size_t p = 0; p < kTilePanels; ++p) {
      // A panel that the matrix lacks is its neighbour once more, whose second results nobody reads.
      const BlockPanel<kFormat> panel{data + (p < here ? p : 0) * layout.panel_bytes, layout};
      unpacked[p] = unpack_blocks(panel, begin, end, scratch + p * kUnpackedBytes);
    }
    for (size_t tile = tile_begin; tile < tile_end; ++tile) {
      const size_t token = tiles.first(tile), n = tiles.first(tile + 1) - token;
      for (size_t p = 0; p < kTilePanels; ++p) unpacked[p].sums = sums + p * kUnitSums + (token - first) * kPanelRows;
      const uint8_t* x = prepared + token * token_bytes + begin * record_bytes * n;
      tile_of<Loop, 1, kMaxTile>(n, unpacked, end - begin, x, ahead);
    }
  }
  for (size_t p = 0; p < kTilePanels && p < here; ++p) {
    finish_panel(args, first_panel + p, first, count, sums + p * kUnitSums);
  }
}

template <Format kFormat, int kTokens>
RWKV_INLINE void block_unit_few(size_t tokens, const BlockPanel<kFormat>& panel, size_t blocks, const uint8_t* x,
                                float* sums) {
  if constexpr (kTokens > 0) {
    if (tokens == kTokens) direct_panel<kFormat, kTokens>(panel, blocks, x, sums);
    else block_unit_few<kFormat, kTokens - 1>(tokens, panel, blocks, x, sums);
  }
}

void block_linear(const LinearArgs& args, uint32_t tokens, const uint8_t* prepared, Range units, uint8_t* scratch) {
  static_assert(kDirectTokens <= kMaxTile, "few tokens are one tile");
  if (tokens == 0) return;
  const Tiles tiles(tokens);
  const size_t panels = panel_units(args.weight, tokens), blocks = args.weight.columns / kQuantBlock;
  const PanelLayout layout = panel_layout(args.weight.format, args.weight.columns);
  with_block_format(args.weight.format, [&](auto, auto constant) {
    constexpr Format kFormat = static_cast<Format>(decltype(constant)::value);
    for (size_t unit = units.begin; unit < units.end; ++unit) {
      const size_t index = unit % panels;
      if (tokens <= kDirectTokens) {
        const BlockPanel<kFormat> panel{args.weight.data + index * layout.panel_bytes, layout};
        float* sums = reinterpret_cast<float*>(scratch);
        block_unit_few<kFormat, kDirectTokens>(tokens, panel, blocks, prepared, sums);
        finish_panel(args, index, 0, tokens, sums);
      } else {
        block_unit_many<kFormat>(args, tiles, prepared, unit / panels, index * kTilePanels, layout, scratch);
      }
    }
  });
}
