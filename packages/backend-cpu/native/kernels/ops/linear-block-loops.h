/**
 * The inner loops of block products.
 *
 * Both add, block by block in order, sum ← fma(float(Σ (q - offset) x), scale_w · scale_x, sum), then
 * sum ← fma(min, scale_x Σ x, sum): a token's result has the same bits whichever loop it went through.
 */

/** A tile's records of one block. */
template <class Traits, int kTokens>
struct BlockRecord {
  const uint8_t* data;

  RWKV_INLINE const int8_t* x(int token, int group) const {
    return reinterpret_cast<const int8_t*>(data) + token * static_cast<int>(kQuantBlock) + group * 4;
  }
  RWKV_INLINE float scale(int token) const { return number<float>(0, token); }
  RWKV_INLINE float added(int token) const { return number<float>(1, token); }
  RWKV_INLINE int32_t start(int half, int token) const {
    if constexpr (Traits::kMins) return 0;
    else return number<int32_t>(1 + half, token);
  }

 private:
  template <class Number>
  RWKV_INLINE Number number(int row, int token) const {
    Number value;
    memcpy(&value, data + kTokens * static_cast<int>(kQuantBlock) + (row * kTokens + token) * 4, sizeof value);
    return value;
  }
};

/** What a block's accumulators add to the sums of one vector of rows. */
template <class Traits, int kTokens, class Scale, class Min>
RWKV_INLINE void finish_block(const Accumulator<Traits::kBits> (&dots)[Traits::kScales][kTokens],
                              BlockRecord<Traits, kTokens> record, const Scale& scale, const Min& min, F* sums) {
  unroll<0, Traits::kScales>([&](auto half) RWKV_LAMBDA_INLINE {
    const F factor = scale(half.value);
    unroll<0, kTokens>([&](auto t) RWKV_LAMBDA_INLINE {
      const F product = to_float(dots[half.value][t.value].end(record.start(half.value, t.value)));
      sums[t.value] = fma(product, factor * broadcast(record.scale(t.value)), sums[t.value]);
    });
  });
  if constexpr (Traits::kMins) {
    const F least = min();
    unroll<0, kTokens>([&](auto t) RWKV_LAMBDA_INLINE {
      sums[t.value] = fma(least, broadcast(record.added(t.value)), sums[t.value]);
    });
  }
}

template <class Traits, int kTokens>
RWKV_INLINE void begin_block(Accumulator<Traits::kBits> (&dots)[Traits::kScales][kTokens],
                             BlockRecord<Traits, kTokens> record) {
  unroll<0, Traits::kScales>([&](auto half) RWKV_LAMBDA_INLINE {
    unroll<0, kTokens>([&](auto t) RWKV_LAMBDA_INLINE {
      dots[half.value][t.value].begin(record.start(half.value, t.value));
    });
  });
}

/** A whole panel, unpacked on the way: few tokens. sums [kTokens][16]. */
template <Format kFormat, int kTokens>
void direct_panel(const BlockPanel<kFormat>& panel, size_t blocks, const uint8_t* x, float* sums) {
  using Traits = typename BlockTraits<kFormat>::Loop;
  constexpr size_t kQuantBytes = BlockTraits<kFormat>::kBits == 8 ? 512 : 256;
  constexpr size_t kRecordBytes = (Traits::kHalves ? 44 : 40) * kTokens;
  F totals[kRowVectors][kTokens];
  for (auto& vector : totals) {
    for (F& total : vector) total = zero();
  }
  for (size_t block = 0; block < blocks; ++block) {
    const BlockRecord<Traits, kTokens> record{x + block * kRecordBytes};
    const uint8_t* quants = panel.data + panel.layout.quants + block * kQuantBytes;
    for (size_t line = 0; line < kQuantBytes; line += 64) prefetch(quants + kPrefetchBytes + line);
    for (int v = 0; v < kRowVectors; ++v) {
      Accumulator<Traits::kBits> dots[Traits::kScales][kTokens];
      begin_block<Traits, kTokens>(dots, record);
      panel.groups(block, v, [&](auto group, auto ordinal, Quants q) RWKV_LAMBDA_INLINE {
        constexpr int half = Traits::kHalves ? decltype(group)::value / 4 : 0;
        unroll<0, kTokens>([&](auto t) RWKV_LAMBDA_INLINE {
          dots[half][t.value].template add<decltype(ordinal)::value>(q, record.x(t.value, group.value));
        });
      });
      finish_block<Traits, kTokens>(
          dots, record, [&](int half) RWKV_LAMBDA_INLINE { return panel.scale(block, half, v); },
          [&]() RWKV_LAMBDA_INLINE { return panel.min(block, v); }, totals[v]);
    }
  }
  for (int t = 0; t < kTokens; ++t) {
    for (int v = 0; v < kRowVectors; ++v) store(sums + t * static_cast<int>(kPanelRows) + v * kLanes, totals[v][t]);
  }
}

/** Some blocks of a panel with everything that does not depend on the token done: quants as bytes, scales as f32. */
struct UnpackedBlocks {
  /** [blocks][8][16][4] */
  const uint8_t* quants;
  /** [blocks][1, or 2 for halves][16] */
  const float* scales;
  /** [blocks][16] */
  const float* mins;
  /** [tokens of the tile][16] */
  float* sums;
};

/**
 * Memory that comes next: the loop asks for some lines of it with every block, so that it arrives while numbers are
 * multiplied.
 */
struct Ahead {
  const uint8_t* at;
  size_t lines_per_block;

  RWKV_INLINE void step() {
    for (size_t line = 0; line < lines_per_block; ++line, at += 64) prefetch_far(at);
  }
};

/** Adds `blocks` blocks of kTilePanels panels to their sums; x is at the first of these blocks. */
template <class Traits, int kTokens>
void tile_blocks(const UnpackedBlocks* panels, size_t blocks, const uint8_t* x, Ahead& ahead) {
  constexpr size_t kRecordBytes = (Traits::kHalves ? 44 : 40) * kTokens;
  for (int first = 0; first < kRowVectors * kTilePanels; first += kTileVectors) {
    const UnpackedBlocks* panel[kTileVectors];
    size_t rows[kTileVectors];
    for (int v = 0; v < kTileVectors; ++v) {
      panel[v] = panels + (first + v) / kRowVectors;
      rows[v] = static_cast<size_t>((first + v) % kRowVectors) * kLanes;
    }
    F totals[kTileVectors][kTokens];
    unroll<0, kTileVectors>([&](auto v) RWKV_LAMBDA_INLINE {
      unroll<0, kTokens>([&](auto t) RWKV_LAMBDA_INLINE {
        totals[v.value][t.value] = load(panel[v.value]->sums + t.value * kPanelRows + rows[v.value]);
      });
    });
    for (size_t block = 0; block < blocks; ++block) {
      const BlockRecord<Traits, kTokens> record{x + block * kRecordBytes};
      Accumulator<Traits::kBits> dots[kTileVectors][Traits::kScales][kTokens];
      unroll<0, kTileVectors>(
          [&](auto v) RWKV_LAMBDA_INLINE { begin_block<Traits, kTokens>(dots[v.value], record); });
      unroll<0, 8>([&](auto group) RWKV_LAMBDA_INLINE {
        constexpr int g = decltype(group)::value;
        Quants q[kTileVectors];
        unroll<0, kTileVectors>([&](auto v) RWKV_LAMBDA_INLINE {
          q[v.value] = load_quants(panel[v.value]->quants + block * 512 + g * 64 + rows[v.value] * 4);
        });
        unroll<0, kTokens>([&](auto t) RWKV_LAMBDA_INLINE {
          unroll<0, kTileVectors>([&](auto v) RWKV_LAMBDA_INLINE {
            auto& dot = dots[v.value][Traits::kHalves ? g / 4 : 0][t.value];
            dot.template add<Traits::kHalves ? g % 4 : g>(q[v.value], record.x(t.value, g));
          });
        });
      });
      if (first == 0) ahead.step();
      unroll<0, kTileVectors>([&](auto v) RWKV_LAMBDA_INLINE {
        finish_block<Traits, kTokens>(
            dots[v.value], record,
            [&](int half) RWKV_LAMBDA_INLINE {
              return load(panel[v.value]->scales + (block * Traits::kScales + half) * kPanelRows + rows[v.value]);
            },
            [&]() RWKV_LAMBDA_INLINE { return load(panel[v.value]->mins + block * kPanelRows + rows[v.value]); },
            totals[v.value]);
      });
    }
    unroll<0, kTileVectors>([&](auto v) RWKV_LAMBDA_INLINE {
      unroll<0, kTokens>([&](auto t) RWKV_LAMBDA_INLINE {
        store(panel[v.value]->sums + t.value * kPanelRows + rows[v.value], totals[v.value][t.value]);
      });
    });
  }
}

/** kTokens = tokens, by halving what is left of 1 … kMost. */
template <class Traits, int kLeast, int kMost>
RWKV_INLINE void tile_of(size_t tokens, const UnpackedBlocks* panels, size_t blocks, const uint8_t* x, Ahead& ahead) {
  if constexpr (kLeast == kMost) {
    tile_blocks<Traits, kLeast>(panels, blocks, x, ahead);
  } else {
    constexpr int kMiddle = (kLeast + kMost) / 2;
    if (tokens <= kMiddle) tile_of<Traits, kLeast, kMiddle>(tokens, panels, blocks, x, ahead);
    else tile_of<Traits, kMiddle + 1, kMost>(tokens, panels, blocks, x, ahead);
  }
}
