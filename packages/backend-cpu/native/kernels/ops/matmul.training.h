/**
 * c(m, n) = Σ_k a(m, k) b(k, n): the three products of a matmul and its backward, out = x Wᵀ, dx = dout W and
 * dW += doutᵀ x, as one product of operands with any strides.
 *
 *   for k in blocks of kDepth
 *     b of the block as panels [kTileColumns], columns past the edge zero       a panel stays in the first cache
 *     a of the block as tiles of kTileRows rows, rows past the edge zero        all tiles stay in the second cache
 *     for panels, for tiles: kTileRows x kTileColumns sums in registers over the block's k, then c
 *
 * An a whose rows are contiguous is copied row by row, a tile's rows kTileStride apart, which keeps them out of each
 * other's way in the cache; one whose columns are, k by k. A b whose columns are contiguous is turned over.
 *
 * A number of c is a sum over the k of each block, begun from zero, and these are added to c block by block; so it does
 * not depend on how tiles are grouped. Scratch: kRowTiles tiles of a and a panel of b; a range with more rows is done in
 * parts.
 */
#if defined(RWKV_AVX512)
constexpr int kTileRows = 12;
constexpr int kTileVectors = 2;
#elif defined(RWKV_AVX2)
constexpr int kTileRows = 6;
constexpr int kTileVectors = 2;
#elif defined(RWKV_NEON)
constexpr int kTileRows = 6;
constexpr int kTileVectors = 4;
#else
constexpr int kTileRows = 4;
constexpr int kTileVectors = 4;
#endif
constexpr size_t kTileColumns = static_cast<size_t>(kTileVectors) * kLanes;
constexpr size_t kDepth = 256;
/** Rows of a tile, so far apart that they do not share their sets of the cache. */
constexpr size_t kTileStride = kDepth + 16;
constexpr size_t kRowTiles = 264 / kTileRows;
constexpr size_t kTileFloats = kTileRows * kTileStride;
constexpr size_t kPanelFloats = kTileColumns * kDepth;
constexpr size_t kProductScratch = (kRowTiles * kTileFloats + kPanelFloats) * sizeof(float);

/** Where a tile's sums go. */
struct ProductTarget {
  float* c;
  size_t stride;
  size_t rows, columns;
  /** c is not read. */
  bool first;
};

template <class Lanes>
RWKV_INLINE void product_store(const ProductTarget& target, float* c, F sum, Lanes lanes) {
  lanes.write(c, target.first ? sum : lanes.read(c) + sum);
}

/** One tile: a as [kTileRows] rows kTileStride apart, or as [depth][kTileRows]. */
template <bool kRowsTogether>
static void product_tile(const float* a, const float* b, size_t depth, const ProductTarget& target) {
  F sums[kTileRows][kTileVectors];
  unroll<0, kTileRows>([&](auto i) RWKV_LAMBDA_INLINE {
    unroll<0, kTileVectors>([&](auto j) RWKV_LAMBDA_INLINE { sums[i.value][j.value] = zero(); });
  });
  for (size_t k = 0; k < depth; k++) {
    F columns[kTileVectors];
    unroll<0, kTileVectors>([&](auto j) RWKV_LAMBDA_INLINE { columns[j.value] = load(b + j.value * kLanes); });
    unroll<0, kTileRows>([&](auto i) RWKV_LAMBDA_INLINE {
      const F row = broadcast(kRowsTogether ? a[i.value * kTileStride] : a[i.value]);
      unroll<0, kTileVectors>([&](auto j) RWKV_LAMBDA_INLINE {
        sums[i.value][j.value] = fma(row, columns[j.value], sums[i.value][j.value]);
      });
    });
    a += kRowsTogether ? 1 : kTileRows;
    b += kTileColumns;
  }
  unroll<0, kTileRows>([&](auto i) RWKV_LAMBDA_INLINE {
    if (static_cast<size_t>(i.value) >= target.rows) return;
    float* c = target.c + i.value * target.stride;
    unroll<0, kTileVectors>([&](auto j) RWKV_LAMBDA_INLINE {
      const size_t begin = j.value * kLanes;
      const F sum = sums[i.value][j.value];
      if (begin + kLanes <= target.columns) product_store(target, c + begin, sum, WholeLanes{});
      else if (begin < target.columns) product_store(target, c + begin, sum, PartialLanes{target.columns - begin});
    });
  });
}

/** Rows [row, row + count) and k [begin, begin + depth) of a, as a tile. */
static void product_pack_rows(const ProductArgs& args, size_t row, size_t count, Range depths, float* tile) {
  const size_t depth = depths.end - depths.begin;
  const float* from = args.a + row * args.a_row + depths.begin * args.a_column;
  if (args.a_column == 1) {
    for (size_t i = 0; i < kTileRows; i++, tile += kTileStride) {
      if (i < count) memcpy(tile, from + i * args.a_row, depth * sizeof(float));
      else memset(tile, 0, depth * sizeof(float));
    }
    return;
  }
  // Whole vectors are stored; what reaches into the next k is overwritten there.
  for (size_t k = 0; k < depth; k++, from += args.a_column, tile += kTileRows) {
    for (size_t i = 0; i < kTileRows; i += kLanes) {
      const size_t left = count > i ? count - i : 0;
      const size_t lanes = kTileRows - i < kLanes ? kTileRows - i : kLanes;
      store(tile + i, load_partial(from + (left ? i : 0), left < lanes ? left : lanes));
    }
  }
}

/** Columns [column, column + count) and the k of a block of b, as a panel. */
static void product_pack_columns(const ProductArgs& args, size_t column, size_t count, Range depths, float* panel) {
  const size_t depth = depths.end - depths.begin;
  const float* from = args.b + column * args.b_column + depths.begin * args.b_row;
  if (args.b_column == 1) {
    for (size_t k = 0; k < depth; k++, from += args.b_row, panel += kTileColumns) {
      if (count == kTileColumns) {
        for (size_t j = 0; j < kTileColumns; j += kLanes) store(panel + j, load(from + j));
      } else {
        memcpy(panel, from, count * sizeof(float));
        memset(panel + count, 0, (kTileColumns - count) * sizeof(float));
      }
    }
    return;
  }
  if (count < kTileColumns) memset(panel, 0, depth * kTileColumns * sizeof(float));
  size_t j = 0;
  for (; j + kTransposed <= count; j += kTransposed) {
    const float* own = from + j * args.b_column;
    size_t k = 0;
    for (; k + kTransposed <= depth; k += kTransposed) {
      transpose(own + k, args.b_column, panel + k * kTileColumns + j, kTileColumns);
    }
    for (; k < depth; k++) {
      for (size_t i = 0; i < kTransposed; i++) panel[k * kTileColumns + j + i] = own[i * args.b_column + k];
    }
  }
  for (; j < count; j++) {
    for (size_t k = 0; k < depth; k++) panel[k * kTileColumns + j] = from[j * args.b_column + k];
  }
}

/** As many rows as fit scratch, for all k. */
static void product_part(const ProductArgs& args, Range row_tiles, Range column_tiles, float* tiles, float* panel) {
  const size_t rows_end = args.rows < row_tiles.end * kTileRows ? args.rows : row_tiles.end * kTileRows;
  const size_t columns_end =
      args.columns < column_tiles.end * kTileColumns ? args.columns : column_tiles.end * kTileColumns;
  const size_t first_row = row_tiles.begin * kTileRows;
  const size_t first_column = column_tiles.begin * kTileColumns;
  const auto rows_at = [&](size_t row) { return rows_end - row < kTileRows ? rows_end - row : kTileRows; };
  const auto columns_at = [&](size_t column) {
    return columns_end - column < kTileColumns ? columns_end - column : kTileColumns;
  };
  for (size_t k = 0; k < args.depth; k += kDepth) {
    const Range depths{k, args.depth < k + kDepth ? args.depth : k + kDepth};
    float* tile = tiles;
    for (size_t row = first_row; row < rows_end; row += kTileRows, tile += kTileFloats) {
      product_pack_rows(args, row, rows_at(row), depths, tile);
    }
    for (size_t column = first_column; column < columns_end; column += kTileColumns) {
      product_pack_columns(args, column, columns_at(column), depths, panel);
      tile = tiles;
      for (size_t row = first_row; row < rows_end; row += kTileRows, tile += kTileFloats) {
        const ProductTarget target{args.c + row * args.c_row + column, args.c_row, rows_at(row), columns_at(column),
                                   k == 0 && !args.accumulate};
        const size_t depth = depths.end - depths.begin;
        if (args.a_column == 1) product_tile<true>(tile, panel, depth, target);
        else product_tile<false>(tile, panel, depth, target);
      }
    }
  }
}

void product(const ProductArgs& args, Range row_tiles, Range column_tiles, uint8_t* scratch) {
  float* tiles = reinterpret_cast<float*>(scratch);
  float* panel = tiles + kRowTiles * kTileFloats;
  for (size_t row = row_tiles.begin; row < row_tiles.end; row += kRowTiles) {
    const Range rows{row, row_tiles.end < row + kRowTiles ? row_tiles.end : row + kRowTiles};
    product_part(args, rows, column_tiles, tiles, panel);
  }
}
