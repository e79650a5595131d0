/**
 * Many tokens: a unit is the product of a block of panels and a block of token groups, walked as
 *
 *   for columns in blocks of about kBlockColumns
 *     for tiles of kPlainTilePanels panels in the block      weights as f32 [columns][16] in the first-level cache
 *       for groups of tokens in the block                    x of the block in the second-level cache
 *         sums [tokens of the group][panels][16] += x w      all in registers; between blocks of columns in scratch
 *
 * f16 and bf16 are converted, and what lies in columns is made a panel, once for each tile and block of columns; f32 and
 * bfloat products read panels where they are. While a block is multiplied the weights of the next one are asked for, a few lines in each step, so that
 * few groups are bound by the slower of memory and arithmetic, not by their sum.
 *
 * A step takes 4 bytes of each token's x and of each row: a column in f32, or two columns of bfloats.
 */

constexpr size_t kBlockColumns = 256;
/** A unit's tokens and panels: x of a block of columns is 256 KB, sums are 128 KB. */
constexpr uint32_t kPlainUnitGroups = 264 / kPlainTileTokens;
constexpr uint32_t kPlainUnitPanels = 8;
static_assert(sizeof(float) * kPanelRows * (kPlainTilePanels * (2 * kBlockColumns + 64) +
                                            kPlainUnitPanels * kPlainUnitGroups * kPlainTileTokens) <= kThreadScratch,
              "scratch");
/** Fewer units than this and threads would wait for the last one. */
constexpr uint32_t kEnoughUnits = 16;

struct Tiling {
  uint32_t groups, token_blocks, unit_panels, panel_blocks;
};

RWKV_INLINE Tiling tiling_of(const PackedMatrix& weight, uint32_t tokens) {
  const uint32_t panels = panel_count(weight);
  Tiling tiling;
  tiling.groups = static_cast<uint32_t>(group_count(tokens));
  uint32_t unit_groups = kPlainUnitGroups;
  const uint32_t fewest_panels = weight.layout == Layout::columns ? 4 : kPlainTilePanels;
  tiling.unit_panels = tiling.groups <= 4 ? fewest_panels : kPlainUnitPanels;
  for (;;) {
    tiling.token_blocks = parts_of(tiling.groups, unit_groups);
    tiling.panel_blocks = parts_of(panels, tiling.unit_panels);
    if (tiling.token_blocks * static_cast<uint64_t>(tiling.panel_blocks) >= kEnoughUnits) return tiling;
    if (tiling.unit_panels > 4) tiling.unit_panels /= 2;
    else if (unit_groups == kPlainUnitGroups && tiling.groups > unit_groups / 2) unit_groups /= 2;
    else if (tiling.unit_panels > kPlainTilePanels) tiling.unit_panels /= 2;
    else return tiling;
  }
}

/** One run of the inner loop. */
struct Tile {
  /** [steps][16 rows], 4 bytes each. */
  const uint8_t* weights[kPlainTilePanels];
  /** [steps][tokens] */
  const float* x;
  size_t steps;
  /** [tokens][panels][16 rows]; read unless `first`. */
  float* sums;
  bool first;
  /** Asked for on the way: in each second step a line of each, `ahead_stride` bytes after the last one. */
  uintptr_t ahead[kPlainTilePanels];
  size_t ahead_stride;
};

struct Floats {
  static constexpr size_t columns = 1;
  static RWKV_INLINE F add_product(F sum, F weights, F by) { return fma(weights, by, sum); }
};
#if defined(RWKV_BF16)
struct Bfloats {
  static constexpr size_t columns = 2;
  static RWKV_INLINE F add_product(F sum, F weights, F by) {
    __m512bh pairs, by_pairs;
    memcpy(&pairs, &weights, sizeof(pairs));
    memcpy(&by_pairs, &by, sizeof(by_pairs));
    return {_mm512_dpbf16_ps(sum.v, pairs, by_pairs)};
  }
};
#endif

template <class Numbers, int panels, int tokens>
static void multiply_tile(const Tile& tile) {
  constexpr int vectors = panels * kPanelVectors;
  F sums[tokens][vectors];
  unroll<0, tokens>([&](auto token) RWKV_LAMBDA_INLINE {
    unroll<0, vectors>([&](auto v) RWKV_LAMBDA_INLINE { sums[token.value][v.value] = zero(); });
  });
  if (!tile.first) {
    unroll<0, tokens>([&](auto token) RWKV_LAMBDA_INLINE {
      unroll<0, vectors>([&](auto v) RWKV_LAMBDA_INLINE {
        sums[token.value][v.value] = load(tile.sums + (token.value * vectors + v.value) * kLanes);
      });
    });
  }
  const float* weights[panels];
  uintptr_t ahead[panels];
  unroll<0, panels>([&](auto panel) RWKV_LAMBDA_INLINE {
    weights[panel.value] = reinterpret_cast<const float*>(tile.weights[panel.value]);
    ahead[panel.value] = tile.ahead[panel.value];
  });
  const float* x = tile.x;
  const auto step = [&](auto offset) RWKV_LAMBDA_INLINE {
    F numbers[vectors];
    unroll<0, vectors>([&](auto v) RWKV_LAMBDA_INLINE {
      constexpr int panel = v.value / kPanelVectors;
      constexpr int at = offset.value * static_cast<int>(kPanelRows) + v.value % kPanelVectors * kLanes;
      numbers[v.value] = load(weights[panel] + at);
    });
    unroll<0, tokens>([&](auto token) RWKV_LAMBDA_INLINE {
      const F by = broadcast(x[offset.value * tokens + token.value]);
      unroll<0, vectors>([&](auto v) RWKV_LAMBDA_INLINE {
        F& sum = sums[token.value][v.value];
        sum = Numbers::add_product(sum, numbers[v.value], by);
      });
    });
  };
  const auto advance = [&](auto steps) RWKV_LAMBDA_INLINE {
    unroll<0, panels>([&](auto panel) RWKV_LAMBDA_INLINE { weights[panel.value] += steps.value * kPanelRows; });
    x += steps.value * tokens;
  };
  size_t left = tile.steps;
  for (; left >= 2; left -= 2) {
    unroll<0, panels>([&](auto panel) RWKV_LAMBDA_INLINE {
      prefetch_far(ahead[panel.value]);
      ahead[panel.value] += tile.ahead_stride;
    });
    step(Constant<0>{});
    step(Constant<1>{});
    advance(Constant<2>{});
  }
  if (left != 0) step(Constant<0>{});
  unroll<0, tokens>([&](auto token) RWKV_LAMBDA_INLINE {
    unroll<0, vectors>([&](auto v) RWKV_LAMBDA_INLINE {
      store(tile.sums + (token.value * vectors + v.value) * kLanes, sums[token.value][v.value]);
    });
  });
}

using TileLoop = void (*)(const Tile&);

template <class Numbers, int panels, int tokens>
static TileLoop tile_loop(size_t wanted) {
  if constexpr (tokens > 1) {
    if (wanted < tokens) return tile_loop<Numbers, panels, tokens - 1>(wanted);
  }
  return multiply_tile<Numbers, panels, tokens>;
}

/** Columns [begin, end) of a panel as f32 [columns][16]. */
template <Format format, Layout layout>
static void convert_columns(const uint8_t* panel, size_t begin, size_t end, float* to) {
  F first[kPanelVectors], second[kPanelVectors];
  size_t column = begin;
  for (; column + 2 <= end; column += 2, to += 2 * kPanelRows) {
    load_two_columns<format, layout>(panel, column, first, second);
    unroll<0, kPanelVectors>([&](auto v) RWKV_LAMBDA_INLINE {
      store(to + v.value * kLanes, first[v.value]);
      store(to + kPanelRows + v.value * kLanes, second[v.value]);
    });
  }
  if (column < end) {
    load_last_column<format, layout>(panel, column, first);
    unroll<0, kPanelVectors>([&](auto v) RWKV_LAMBDA_INLINE { store(to + v.value * kLanes, first[v.value]); });
  }
}

#if defined(RWKV_BF16)
/** Columns [begin, end) of a panel that lies in columns as pairs of bfloats; `begin` is even. */
static void pair_columns(const uint8_t* panel, size_t begin, size_t end, float* to) {
  constexpr size_t stride = kChunkRows * kNumberBytes<Format::bf16>;
  for (size_t column = begin; column < end; column += 2, to += kPanelRows) {
    uint16_t even[kPanelRows], odd[kPanelRows] = {}, pairs[2 * kPanelRows];
    memcpy(even, panel + column * stride, sizeof even);
    if (column + 1 < end) memcpy(odd, panel + (column + 1) * stride, sizeof odd);
    for (size_t row = 0; row < kPanelRows; row++) {
      pairs[2 * row] = even[row];
      pairs[2 * row + 1] = odd[row];
    }
    memcpy(to, pairs, sizeof pairs);
  }
}
#endif

template <Format format, Layout layout, class Numbers>
static void multiply_units(const LinearArgs& args, uint32_t tokens, const float* x, Range units, uint8_t* scratch) {
  const Tiling tiling = tiling_of(args.weight, tokens);
  const size_t columns = args.weight.columns;
  const size_t panels = panel_count(args.weight);
  const size_t steps = x_steps(args.weight, tokens);
  constexpr size_t step_columns = Numbers::columns;
  const size_t blocks = columns == 0 ? 1 : (columns - 1) / kBlockColumns + 1;
  const size_t block_columns = (columns / blocks + 15) / 16 * 16 + 16;
  const size_t widest = tokens / tiling.groups + (tokens % tiling.groups != 0 ? 1 : 0);
  constexpr int most = kPlainTileTokens;
  const TileLoop loops[2][2] = {
      {tile_loop<Numbers, 1, most>(widest), tile_loop<Numbers, 1, most>(widest - 1)},
      {tile_loop<Numbers, kPlainTilePanels, most>(widest), tile_loop<Numbers, kPlainTilePanels, most>(widest - 1)},
  };
  float* const converted = reinterpret_cast<float*>(scratch);
  float* const all_sums = converted + kPlainTilePanels * block_columns * kPanelRows;
  constexpr size_t tile_sums = kPlainTileTokens * kPlainTilePanels * kPanelRows;

  for (size_t unit = units.begin; unit < units.end; unit++) {
    const size_t panel_begin = unit % tiling.panel_blocks * tiling.unit_panels;
    const size_t panel_end = panel_begin + tiling.unit_panels < panels ? panel_begin + tiling.unit_panels : panels;
    const Range groups = part(tiling.groups, unit / tiling.panel_blocks, tiling.token_blocks);
    const size_t unit_groups = groups.end - groups.begin;
    for (size_t block = 0, begin = 0; block < blocks; block++) {
      const size_t end = block + 1 == blocks ? columns : columns * (block + 1) / blocks / 16 * 16;
      const bool last = block + 1 == blocks;
      const size_t ahead_columns = last ? (columns < kBlockColumns ? columns : kBlockColumns) : block_columns;
      for (size_t panel = panel_begin; panel < panel_end; panel += kPlainTilePanels) {
        const size_t tile_panels = panel_end - panel < kPlainTilePanels ? panel_end - panel : kPlainTilePanels;
        Tile tile;
        tile.steps = (end - begin + step_columns - 1) / step_columns;
        tile.first = begin == 0;
        tile.ahead_stride = 0;
        size_t group_bytes = 0, beside = 0;
        if (layout == Layout::columns) {
          // One line holds a tile's rows of a column, or for f32 two; a single group asks for two columns at a time.
          const size_t each_time = unit_groups == 1 && format != Format::f32 ? kPlainTilePanels : 1;
          tile.ahead_stride = column_bytes<format, layout>(each_time);
          beside = format == Format::f32 ? 64 : column_bytes<format, layout>(each_time - 1);
          group_bytes = column_bytes<format, layout>(ahead_columns / unit_groups + 1);
        } else if (tile.steps > 1) {
          group_bytes = column_bytes<format>(ahead_columns) / unit_groups + 1;
          tile.ahead_stride = group_bytes / (tile.steps / 2) + 1;
        }
        const uint8_t* const next = last ? panel_data<format, layout>(args.weight, panel + tiling.unit_panels)
                                         : panel_data<format, layout>(args.weight, panel) + column_bytes<format, layout>(end);
        if (layout == Layout::panels) {
          beside = static_cast<size_t>(panel_data<format, layout>(args.weight, 1) - args.weight.data);
        }
        for (size_t i = 0; i < kPlainTilePanels; i++) {
          const uint8_t* const weights = panel_data<format, layout>(args.weight, panel + (i < tile_panels ? i : 0));
          if constexpr (layout == Layout::panels && (format == Format::f32 || Numbers::columns == 2)) {
            tile.weights[i] = weights + column_bytes<format>(begin);
          } else {
            float* const to = converted + i * block_columns * kPanelRows;
            if (i < tile_panels) {
#if defined(RWKV_BF16)
              if constexpr (Numbers::columns == 2) pair_columns(weights, begin, end, to);
              else
#endif
                convert_columns<format, layout>(weights, begin, end, to);
            }
            tile.weights[i] = reinterpret_cast<const uint8_t*>(to);
          }
        }
        for (size_t group = groups.begin; group < groups.end; group++) {
          const Range mine = part(tokens, group, tiling.groups);
          const size_t size = mine.end - mine.begin;
          for (size_t i = 0; i < kPlainTilePanels; i++) {
            tile.ahead[i] = reinterpret_cast<uintptr_t>(next) + i * beside + (group - groups.begin) * group_bytes;
          }
          tile.x = x + mine.begin * steps + begin / step_columns * size;
          const size_t place = (panel - panel_begin) / kPlainTilePanels * unit_groups + (group - groups.begin);
          tile.sums = all_sums + place * tile_sums;
          loops[tile_panels == 1 ? 0 : 1][size == widest ? 0 : 1](tile);
          if (last) finish_tile(args, mine.begin, size, panel, tile_panels, tile.sums);
        }
      }
      begin = end;
    }
  }
}

template <Layout layout>
static void tile_layout(const LinearArgs& args, uint32_t tokens, const float* x, Range units, uint8_t* scratch) {
#if defined(RWKV_BF16)
  if (args.weight.format == Format::bf16) {
    return multiply_units<Format::bf16, layout, Bfloats>(args, tokens, x, units, scratch);
  }
#endif
  switch (args.weight.format) {
    case Format::f32: return multiply_units<Format::f32, layout, Floats>(args, tokens, x, units, scratch);
    case Format::f16: return multiply_units<Format::f16, layout, Floats>(args, tokens, x, units, scratch);
    case Format::bf16: return multiply_units<Format::bf16, layout, Floats>(args, tokens, x, units, scratch);
    default: return;
  }
}

static void tile_units(const LinearArgs& args, uint32_t tokens, const uint8_t* prepared, Range units,
                       uint8_t* scratch) {
  const float* const x = reinterpret_cast<const float*>(prepared);
  if (args.weight.layout == Layout::columns) tile_layout<Layout::columns>(args, tokens, x, units, scratch);
  else tile_layout<Layout::panels>(args, tokens, x, units, scratch);
}
