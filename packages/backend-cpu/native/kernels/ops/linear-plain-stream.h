/**
 * Few tokens: sums[t, row] = Σ_k x[t, k] w[row, k] for one panel after another.
 *
 * Weights are read once, in long runs, and asked for well ahead: across the end of a run, and of a page, where the
 * processor's own prefetching stops. A run is a panel's columns whose x stays in the first-level cache,
 * [columns][tokens] or rows at `stride`; with one token it is the whole panel. Up to kRunPanels panels take turns at
 * the same columns, so that x is read from further away once for all of them:
 *
 *   for panels in blocks of kRunPanels, for columns in blocks, for panels of the block: a run
 *
 * Of a matrix in columns a panel's run is a piece of each column, and the panels beside it find theirs in the same lines.
 *
 * Within a run each sum has `chains` parts, k mod chains, added in a fixed order when the run ends, so that few sums do
 * not wait for the latency of an addition. Runs depend on K and T alone.
 */

/**
 * How far ahead of the multiplication weights are asked for, in bytes: first into the second-level cache, whose misses
 * may be many, then into the first, whose misses are few and would be the limit if they waited for memory.
 */
constexpr size_t kStreamFarAhead = 8192;
constexpr size_t kStreamAhead = 2048;
/** The same for columns, counted in these. */
constexpr size_t kColumnsFarAhead = 64;
constexpr size_t kColumnsAhead = 16;

constexpr size_t kRunPanels = 8;
/** Bytes of x that a run goes through. */
constexpr size_t kRunInputs = 16384;
/** Panels of a unit: of a matrix in columns so many that every line asked for is used, and its neighbour. */
template <Layout layout>
constexpr size_t kStreamUnitPanels = layout == Layout::columns ? 4 : 1;

/** A run of `columns` columns, added to sums [tokens][16 rows]. */
template <int tokens>
struct Run {
  const uint8_t* weights;
  /** Where the run after this one that reads other lines begins; it is only asked for. */
  uintptr_t next;
  /** Whether this run is the first to read its lines. */
  bool asks;
  const float* x;
  size_t stride;
  size_t columns;
  bool first;
  float* sums;
};

template <Format format, Layout layout, int tokens>
static RWKV_INLINE void stream_run(const Run<tokens>& run) {
  constexpr bool strided = tokens > 1 && tokens <= kStridedTokens;
  constexpr int sum_vectors = tokens * kPanelVectors;
  constexpr int chains = sum_vectors * 4 <= kSumVectors ? 4 : sum_vectors * 2 <= kSumVectors ? 2 : 1;
  constexpr bool in_columns = layout == Layout::columns;
  constexpr size_t bytes = (in_columns ? kChunkRows : kPanelRows) * kNumberBytes<format>;
  constexpr size_t most_far = in_columns ? kColumnsFarAhead : kStreamFarAhead / bytes;
  constexpr size_t most_near = in_columns ? kColumnsAhead : kStreamAhead / bytes;
  constexpr int lines = in_columns ? 4 : static_cast<int>(4 * bytes / 64);
  constexpr size_t line_bytes = in_columns ? bytes : 64;
  const float* const x = run.x;
  const size_t stride = run.stride;
  const uint8_t* const weights = run.weights;
  F sums[chains][tokens][kPanelVectors];
  unroll<0, tokens>([&](auto token) RWKV_LAMBDA_INLINE {
    unroll<0, kPanelVectors>([&](auto v) RWKV_LAMBDA_INLINE {
      sums[0][token.value][v.value] =
          run.first ? zero() : load(run.sums + token.value * kPanelRows + v.value * kLanes);
      unroll<1, chains>([&](auto chain) RWKV_LAMBDA_INLINE { sums[chain.value][token.value][v.value] = zero(); });
    });
  });
  const auto add_column = [&](auto chain, size_t column, const F* numbers) RWKV_LAMBDA_INLINE {
    unroll<0, tokens>([&](auto token) RWKV_LAMBDA_INLINE {
      constexpr size_t t = token.value;
      const F by = broadcast(strided ? x[t * stride + column] : x[column * tokens + t]);
      unroll<0, kPanelVectors>([&](auto v) RWKV_LAMBDA_INLINE {
        F& sum = sums[chain.value % chains][t][v.value];
        sum = fma(numbers[v.value], by, sum);
      });
    });
  };
  F first[kPanelVectors], second[kPanelVectors];
  const size_t fours = run.columns / 4 * 4;
  const size_t far_ahead = fours < most_far ? fours : most_far;
  const size_t ahead = fours < most_near ? fours : most_near;
  const uintptr_t here = reinterpret_cast<uintptr_t>(weights);
  // Three stretches: what is asked for lies in this run, only what is nearer does, nothing does.
  const size_t ends[3] = {fours - far_ahead, fours - ahead, fours};
  size_t column = 0;
  for (int stretch = 0; stretch < 3; stretch++) {
    const uintptr_t far_from = stretch == 0 ? here + far_ahead * bytes : run.next - ends[0] * bytes;
    const uintptr_t from = stretch <= 1 ? here + ahead * bytes : run.next - ends[1] * bytes;
    for (; column < ends[stretch]; column += 4) {
      if (!in_columns || run.asks) {
        unroll<0, lines>([&](auto line) RWKV_LAMBDA_INLINE {
          prefetch_far(far_from + column * bytes + line.value * line_bytes);
          prefetch_near(from + column * bytes + line.value * line_bytes);
        });
      }
      load_two_columns<format, layout>(weights, column, first, second);
      add_column(Constant<0>{}, column, first);
      add_column(Constant<1>{}, column + 1, second);
      load_two_columns<format, layout>(weights, column + 2, first, second);
      add_column(Constant<2>{}, column + 2, first);
      add_column(Constant<3>{}, column + 3, second);
    }
  }
  if (column + 2 <= run.columns) {
    load_two_columns<format, layout>(weights, column, first, second);
    add_column(Constant<0>{}, column, first);
    add_column(Constant<1>{}, column + 1, second);
    column += 2;
  }
  if (column < run.columns) {
    load_last_column<format, layout>(weights, column, first);
    add_column(Constant<2>{}, column, first);
  }
  unroll<0, tokens>([&](auto token) RWKV_LAMBDA_INLINE {
    unroll<0, kPanelVectors>([&](auto v) RWKV_LAMBDA_INLINE {
      constexpr int t = token.value, i = v.value;
      F total = sums[0][t][i];
      if constexpr (chains == 2) total = total + sums[1][t][i];
      if constexpr (chains == 4) total = (total + sums[1][t][i]) + (sums[2][t][i] + sums[3][t][i]);
      store(run.sums + t * kPanelRows + i * kLanes, total);
    });
  });
}

template <Format format, Layout layout, int tokens>
static void stream_panels(const LinearArgs& args, const float* x, size_t stride, Range panels) {
  constexpr bool strided = tokens > 1 && tokens <= kStridedTokens;
  constexpr size_t line_panels = kLinePanels<format, layout>;
  const size_t columns = args.weight.columns;
  constexpr size_t most_columns = kRunInputs / sizeof(float) / tokens;
  const size_t runs = tokens == 1 || columns == 0 ? 1 : (columns - 1) / most_columns + 1;
  const size_t run_columns = (columns / runs + 16) / 16 * 16;
  alignas(64) float sums[kRunPanels][tokens * kPanelRows];
  for (size_t begin = panels.begin; begin < panels.end; begin += kRunPanels) {
    const size_t count = panels.end - begin < kRunPanels ? panels.end - begin : kRunPanels;
    const auto run_from = [&](size_t i, size_t column) RWKV_LAMBDA_INLINE {
      return panel_data<format, layout>(args.weight, begin + i) + column_bytes<format, layout>(column);
    };
    size_t column = 0;
    do {
      const size_t left = columns - column;
      const bool last = left <= run_columns || runs == 1;
      Run<tokens> run;
      run.x = x + (strided ? column : column * tokens);
      run.stride = stride;
      run.columns = last ? left : run_columns;
      run.first = column == 0;
      for (size_t i = 0; i < count; i++) {
        const size_t other_lines = i / line_panels * line_panels + line_panels;
        const uint8_t* const next = other_lines < count ? run_from(other_lines, column)
                                    : last              ? run_from(count, 0)
                                                        : run_from(0, column + run_columns);
        run.next = reinterpret_cast<uintptr_t>(next);
        run.asks = i % line_panels == 0;
        run.weights = run_from(i, column);
        run.sums = sums[i];
        stream_run<format, layout>(run);
        if (last) finish_tile(args, 0, tokens, begin + i, 1, sums[i]);
      }
      column += run.columns;
    } while (column < columns);
  }
}

template <Format format, Layout layout, int tokens>
static void stream_format(const LinearArgs& args, int wanted, const float* x, size_t stride, Range panels) {
  if (wanted == tokens) stream_panels<format, layout, tokens>(args, x, stride, panels);
  else if constexpr (tokens > 1) stream_format<format, layout, tokens - 1>(args, wanted, x, stride, panels);
}

template <Layout layout>
static void stream_layout(const LinearArgs& args, uint32_t tokens, const uint8_t* prepared, Range units) {
  const bool strided = tokens <= kStridedTokens;
  const float* const x = strided ? args.x.data : reinterpret_cast<const float*>(prepared);
  const int count = static_cast<int>(tokens);
  const size_t stride = args.x.stride, all = panel_count(args.weight), each = kStreamUnitPanels<layout>;
  const Range panels = {units.begin * each, units.end * each < all ? units.end * each : all};
  switch (args.weight.format) {
    case Format::f32: return stream_format<Format::f32, layout, kStreamTokens>(args, count, x, stride, panels);
    case Format::f16: return stream_format<Format::f16, layout, kStreamTokens>(args, count, x, stride, panels);
    case Format::bf16: return stream_format<Format::bf16, layout, kStreamTokens>(args, count, x, stride, panels);
    default: return;
  }
}

static uint32_t stream_unit_count(const PackedMatrix& weight) {
  const bool in_columns = weight.layout == Layout::columns;
  return parts_of(panel_count(weight), in_columns ? kStreamUnitPanels<Layout::columns> : kStreamUnitPanels<Layout::panels>);
}

static void stream_units(const LinearArgs& args, uint32_t tokens, const uint8_t* prepared, Range units) {
  if (args.weight.layout == Layout::columns) stream_layout<Layout::columns>(args, tokens, prepared, units);
  else stream_layout<Layout::panels>(args, tokens, prepared, units);
}
