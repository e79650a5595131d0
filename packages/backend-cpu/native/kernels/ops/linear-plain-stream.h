/**
 * Few tokens: sums[t, row] = Σ_k x[t, k] w[row, k] for one panel after another.
 *
 * Weights are read once, in the order they lie in memory, and asked for well ahead: across the end of a panel, and beyond
 * the end of a page, where the processor's own prefetching stops. Each sum runs in `chains` parts, k mod chains, added in
 * a fixed order, so that few sums do not wait for the latency of an addition. x is [K][tokens], or rows at `stride`.
 */

/**
 * How far ahead of the multiplication weights are asked for, in bytes: first into the second-level cache, whose misses may
 * be many, then into the first, whose misses are few and would be the limit if they waited for memory.
 */
constexpr size_t kStreamFarAhead = 8192;
constexpr size_t kStreamAhead = 2048;

template <Format format, int tokens>
static void stream_panels(const LinearArgs& args, const float* x, size_t stride, Range panels) {
  constexpr bool strided = tokens > 1 && tokens <= kStridedTokens;
  constexpr int sum_vectors = tokens * kPanelVectors;
  constexpr int chains = sum_vectors * 4 <= kSumVectors ? 4 : sum_vectors * 2 <= kSumVectors ? 2 : 1;
  const size_t columns = args.weight.columns;
  const size_t panel_bytes = plain_panel_bytes<format>(columns);
  const auto x_at = [&](int token, size_t column) RWKV_LAMBDA_INLINE {
    return broadcast(strided ? x[token * stride + column] : x[column * tokens + token]);
  };
  for (size_t index = panels.begin; index < panels.end; index++) {
    const uint8_t* const panel = args.weight.data + index * panel_bytes;
    const uintptr_t address = reinterpret_cast<uintptr_t>(panel);
    F sums[chains][tokens][kPanelVectors];
    each<0, chains>([&](auto chain) RWKV_LAMBDA_INLINE {
      each<0, tokens>([&](auto token) RWKV_LAMBDA_INLINE {
        each<0, kPanelVectors>([&](auto v) RWKV_LAMBDA_INLINE { sums[chain.value][token.value][v.value] = zero(); });
      });
    });
    const auto add_column = [&](auto chain, size_t column, const F* numbers) RWKV_LAMBDA_INLINE {
      each<0, tokens>([&](auto token) RWKV_LAMBDA_INLINE {
        const F by = x_at(token.value, column);
        each<0, kPanelVectors>([&](auto v) RWKV_LAMBDA_INLINE {
          F& sum = sums[chain.value % chains][token.value][v.value];
          sum = fma(numbers[v.value], by, sum);
        });
      });
    };
    F first[kPanelVectors], second[kPanelVectors];
    size_t column = 0;
    for (; column + 4 <= columns; column += 4) {
      constexpr size_t bytes = 4 * kPanelRows * (format == Format::f32 ? 4 : 2);
      each<0, static_cast<int>(bytes / 64)>([&](auto line) RWKV_LAMBDA_INLINE {
        const uintptr_t here = address + column_bytes<format>(column) + line.value * 64;
        prefetch_far(here + kStreamFarAhead);
        prefetch_near(here + kStreamAhead);
      });
      load_two_columns<format>(panel, column, first, second);
      add_column(Index<0>{}, column, first);
      add_column(Index<1>{}, column + 1, second);
      load_two_columns<format>(panel, column + 2, first, second);
      add_column(Index<2>{}, column + 2, first);
      add_column(Index<3>{}, column + 3, second);
    }
    if (column + 2 <= columns) {
      load_two_columns<format>(panel, column, first, second);
      add_column(Index<0>{}, column, first);
      add_column(Index<1>{}, column + 1, second);
      column += 2;
    }
    if (column < columns) {
      load_last_column<format>(panel, column, first);
      add_column(Index<2>{}, column, first);
    }
    alignas(64) float totals[tokens * kPanelRows];
    each<0, tokens>([&](auto token) RWKV_LAMBDA_INLINE {
      each<0, kPanelVectors>([&](auto v) RWKV_LAMBDA_INLINE {
        constexpr int t = token.value, i = v.value;
        F total = sums[0][t][i];
        if constexpr (chains == 2) total = total + sums[1][t][i];
        if constexpr (chains == 4) total = (total + sums[1][t][i]) + (sums[2][t][i] + sums[3][t][i]);
        store(totals + t * kPanelRows + i * kLanes, total);
      });
    });
    finish_tile(args, 0, tokens, index, 1, totals);
  }
}

template <Format format, int tokens>
static void stream_format(const LinearArgs& args, int wanted, const float* x, size_t stride, Range panels) {
  if (wanted == tokens) stream_panels<format, tokens>(args, x, stride, panels);
  else if constexpr (tokens > 1) stream_format<format, tokens - 1>(args, wanted, x, stride, panels);
}

static void stream_units(const LinearArgs& args, uint32_t tokens, const uint8_t* prepared, Range panels) {
  const bool strided = tokens <= kStridedTokens;
  const float* const x = strided ? args.x.data : reinterpret_cast<const float*>(prepared);
  const int count = static_cast<int>(tokens);
  switch (args.weight.format) {
    case Format::f32: return stream_format<Format::f32, kStreamTokens>(args, count, x, args.x.stride, panels);
    case Format::f16: return stream_format<Format::f16, kStreamTokens>(args, count, x, args.x.stride, panels);
    case Format::bf16: return stream_format<Format::bf16, kStreamTokens>(args, count, x, args.x.stride, panels);
    default: return;
  }
}
