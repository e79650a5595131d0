/**
 * out = residual + gate ⊙ activation(bias + x Wᵀ) for W in columns (pack.h) and an x that is mostly zero.
 *
 * Few tokens (up to kSparseTokens): a unit is a chunk of 128 rows. For each number of x that is not zero, in order,
 * sums[rows] += x_k · float(q_k), all f32; after each run of columns (linear-sparse-prepare.h) these are scaled, and offset
 * or minimum times Σ x is added. Columns of W whose x is zero are never read: not even a NaN in them is seen.
 *
 * More tokens, whose zeros seldom agree, are multiplied to the same bits as if W lay in panels: the loops for plain
 * formats read columns too (linear-plain.h); for block formats a unit gathers some panels of a chunk into scratch and has
 * the loops for panels multiply these (linear-block.h). Panels too long for scratch are multiplied as for few tokens.
 */

#include "linear-sparse-prepare.h"
#include "linear-sparse-columns.h"

/** Panels whose sums are in registers at once. */
#if defined(RWKV_AVX512)
constexpr int kPartPanels = 8;
#elif defined(RWKV_AVX2) || defined(RWKV_NEON)
constexpr int kPartPanels = 4;
#else
constexpr int kPartPanels = 2;
#endif
constexpr int kChunkPanels = static_cast<int>(kChunkRows / kPanelRows);
constexpr uint32_t kSparseTokens = 2;
/** Entries ahead of its use that a column is asked for: first into the second-level cache, then into the first. */
constexpr size_t kSparseFarAhead = 48;
constexpr size_t kSparseNearAhead = 12;
static_assert(kSparseFarAhead <= kMostAhead, "the list has that many entries to ask for");

#include "linear-sparse-gather.h"

/** What the loops for panels take of scratch; gathered panels get the rest. */
constexpr size_t kProductScratch = 256u << 10;
static_assert(kTilePanels * (kUnpackedBytes + kUnitSums * sizeof(float)) <= kProductScratch, "products");

/** How panels are gathered: `panels` panels of a chunk at a time, for each of `parts` parts of their product. */
struct Gathering {
  size_t panels, pieces, parts;
};

/** Panels that lie in one line of the cache are gathered together, or the line would come from memory for each. */
RWKV_INLINE Gathering gathering_of(const PackedMatrix& weight, uint32_t tokens) {
  const size_t panel_bytes = panel_layout(weight.format, weight.columns).panel_bytes;
  const size_t most = panel_bytes == 0 ? 0 : (kThreadScratch - kProductScratch) / panel_bytes;
  size_t panels = weight.format == Format::q8_0 ? 4 : kChunkPanels;
  // Many tokens: x comes from further away for every unit.
  if (tokens > 64) panels = kChunkPanels;
  while (panels > most) panels /= 2;
  Gathering gathering{panels, 0, 1};
  if (panels == 0) return gathering;
  gathering.pieces = (weight.rows + panels * kPanelRows - 1) / (panels * kPanelRows);
  gathering.parts = (tokens + 255) / 256;
  return gathering;
}

/** Whether this product runs on the numbers that are not zero. */
RWKV_INLINE bool runs_sparse(const PackedMatrix& weight, uint32_t tokens) {
  return tokens <= kSparseTokens || (weight.format > Format::bf16 && gathering_of(weight, tokens).panels == 0);
}

/** Adds what run `run` of one token's list gives panels [kFirst, kFirst + kPartPanels) of the chunk to `totals`. */
template <Format kFormat, int kFirst>
RWKV_INLINE void add_run(const ColumnChunk<kFormat>& chunk, const Nonzeros& list, size_t run, float* totals) {
  using Chunk = ColumnChunk<kFormat>;
  using Traits = typename Chunk::Traits;
  constexpr int vectors = kPartPanels * kRowVectors, first_row = kFirst * static_cast<int>(kPanelRows);
  const size_t end = list.starts[run + 1];
  F sums[vectors];
  unroll<0, vectors>([&](auto v) RWKV_LAMBDA_INLINE { sums[v.value] = zero(); });
  for (size_t i = list.starts[run]; i < end; ++i) {
    const size_t column = list.at[i];
    if constexpr (kFirst == 0) {
      const uintptr_t far = reinterpret_cast<uintptr_t>(chunk.quants(list.at[i + kSparseFarAhead]));
      const uintptr_t near = reinterpret_cast<uintptr_t>(chunk.quants(list.at[i + kSparseNearAhead]));
      unroll<0, static_cast<int>(Chunk::kQuantBytes / 64)>([&](auto line) RWKV_LAMBDA_INLINE {
        prefetch_far(far + line.value * 64);
        prefetch_near(near + line.value * 64);
      });
      if constexpr (Chunk::kUpperBytes != 0) {
        prefetch_far(reinterpret_cast<uintptr_t>(chunk.upper(list.at[i + kSparseFarAhead])));
        prefetch_near(reinterpret_cast<uintptr_t>(chunk.upper(list.at[i + kSparseNearAhead])));
      }
    }
    const F by = broadcast(list.value[i]);
    const uint8_t* const quants = chunk.quants(column);
    const uint8_t* const upper = chunk.upper(column);
    unroll<0, vectors>([&](auto v) RWKV_LAMBDA_INLINE {
      sums[v.value] = fma(chunk.template numbers<first_row + v.value * kLanes>(quants, upper), by, sums[v.value]);
    });
  }
  const F all = broadcast(list.sums[run]);
  const F offset = broadcast(-static_cast<float>(Traits::kOffset));
  unroll<0, vectors>([&](auto v) RWKV_LAMBDA_INLINE {
    const size_t at = first_row + v.value * kLanes;
    F sum = sums[v.value], total = load(totals + at);
    if constexpr (Chunk::kPlain) {
      total = total + sum;
    } else {
      if constexpr (Traits::kOffset != 0) sum = fma(offset, all, sum);
      total = fma(chunk.scale(run, at), sum, total);
      if constexpr (Traits::kMins) total = fma(chunk.min(run, at), all, total);
    }
    store(totals + at, total);
  });
}

/** The lines that the end of run `run` reads, where they are new. */
template <Format kFormat>
RWKV_INLINE void prefetch_scales(const ColumnChunk<kFormat>& chunk, size_t run) {
  using Traits = typename ColumnChunk<kFormat>::Traits;
  if constexpr (!ColumnChunk<kFormat>::kPlain) {
    const auto lines = [&](size_t part, size_t index, size_t bytes) RWKV_LAMBDA_INLINE {
      const uintptr_t at = reinterpret_cast<uintptr_t>(chunk.data + part + index * kChunkRows * bytes);
      for (size_t line = 0; line < kChunkRows * bytes; line += 64) prefetch_near(at + line);
    };
    constexpr size_t runs = Traits::kHalves ? 16 : Traits::kSuper ? 8 : 1;
    if (run % runs == 0) {
      lines(chunk.layout.scales, run / runs, 2);
      if constexpr (Traits::kMins) lines(chunk.layout.mins, run / runs, 2);
    }
    if constexpr (Traits::kSuper) lines(chunk.layout.block_scales, run, 1);
    if constexpr (Traits::kSuper && Traits::kMins) lines(chunk.layout.block_mins, run, 1);
  }
}

template <Format kFormat>
static void sparse_chunk(const LinearArgs& args, Range tokens, const uint8_t* prepared, size_t index) {
  constexpr size_t kScalesAhead = 3;
  const ColumnChunk<kFormat> chunk(args.weight, index);
  const size_t count = tokens.end - tokens.begin, runs = Nonzeros::run_count(args.weight);
  alignas(64) float totals[kSparseTokens][kChunkRows] = {};
  for (size_t run = 0; run < runs; ++run) {
    for (size_t t = 0; t < count; ++t) {
      const Nonzeros list(args.weight, prepared, tokens.begin + t);
      if (run + kScalesAhead < runs && list.starts[run + kScalesAhead] != list.starts[run + kScalesAhead + 1]) {
        prefetch_scales(chunk, run + kScalesAhead);
      }
      if (list.starts[run] == list.starts[run + 1]) continue;
      unroll<0, kChunkPanels / kPartPanels>([&](auto part) RWKV_LAMBDA_INLINE {
        add_run<kFormat, part.value * kPartPanels>(chunk, list, run, totals[t]);
      });
    }
  }
  const size_t first = index * kChunkRows;
  for (size_t t = 0; t < count; ++t) {
    for (size_t at = 0; at < kChunkRows && first + at < args.weight.rows; at += kLanes) {
      linear_epilogue(args, tokens.begin + t, first + at, args.weight.rows - first - at, load(totals[t] + at));
    }
  }
}

/** The product of part `part` of the units of `panels` panels from row `row` on. */
template <Format kFormat>
static void gathered_unit(const LinearArgs& args, uint32_t tokens, const uint8_t* prepared, const Gathering& gathering,
                          size_t unit, uint8_t* scratch) {
  const PanelLayout layout = panel_layout(kFormat, args.weight.columns);
  const size_t row = unit % gathering.pieces * gathering.panels * kPanelRows;
  const size_t rows = args.weight.rows - row < gathering.panels * kPanelRows ? args.weight.rows - row
                                                                             : gathering.panels * kPanelRows;
  const ColumnChunk<kFormat> chunk(args.weight, row / kChunkRows);
  uint8_t* const panels = scratch + kProductScratch;
  gather_panels<kFormat>(chunk, args.weight.columns, row % kChunkRows / kPanelRows, (rows + kPanelRows - 1) / kPanelRows,
                         layout, panels);
  LinearArgs own = args;
  own.weight = {kFormat, static_cast<uint32_t>(rows), args.weight.columns, panels};
  own.out.data += row;
  if (own.bias) own.bias += row;
  if (own.gate) own.gate.data += row;
  if (own.residual) own.residual.data += row;
  const size_t units = block_units(own.weight, tokens);
  block_linear(own, tokens, prepared, part(units, unit / gathering.pieces, gathering.parts), scratch);
}

/** Calls use(Constant<format>) for a format known at run time. */
template <class Use>
RWKV_INLINE void with_format(Format format, const Use& use) {
  switch (format) {
    case Format::f32: return use(Constant<static_cast<int>(Format::f32)>{});
    case Format::f16: return use(Constant<static_cast<int>(Format::f16)>{});
    case Format::bf16: return use(Constant<static_cast<int>(Format::bf16)>{});
    default: return with_block_format(format, [&](auto, auto constant) RWKV_LAMBDA_INLINE { use(constant); });
  }
}

uint32_t sparse_units(const PackedMatrix& weight, uint32_t tokens) {
  if (tokens == 0) return 0;
  if (runs_sparse(weight, tokens)) return static_cast<uint32_t>((weight.rows + kChunkRows - 1) / kChunkRows);
  if (weight.format <= Format::bf16) return plain_units(weight, tokens);
  const Gathering gathering = gathering_of(weight, tokens);
  return static_cast<uint32_t>(gathering.pieces * gathering.parts);
}

void sparse_linear(const LinearArgs& args, uint32_t tokens, const uint8_t* prepared, Range units, uint8_t* scratch) {
  if (tokens == 0) return;
  const bool sparse = runs_sparse(args.weight, tokens);
  if (!sparse && args.weight.format <= Format::bf16) return plain_linear(args, tokens, prepared, units, scratch);
  const Gathering gathering = gathering_of(args.weight, tokens);
  with_format(args.weight.format, [&](auto constant) {
    constexpr Format kFormat = static_cast<Format>(decltype(constant)::value);
    for (size_t unit = units.begin; unit < units.end; ++unit) {
      if constexpr (!ColumnChunk<kFormat>::kPlain) {
        if (!sparse) {
          gathered_unit<kFormat>(args, tokens, prepared, gathering, unit, scratch);
          continue;
        }
      }
      for (size_t first = 0; first < tokens; first += kSparseTokens) {
        const size_t end = first + kSparseTokens < tokens ? first + kSparseTokens : tokens;
        sparse_chunk<kFormat>(args, {first, end}, prepared, unit);
      }
    }
  });
}
