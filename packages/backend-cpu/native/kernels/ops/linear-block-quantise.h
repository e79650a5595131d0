/**
 * Rows of x as the integer loops read them.
 *
 * Each 32 columns of a token become q = round(x · 127 / max|x|), ties to even, and the scale max|x| / 127. Tokens that
 * share a pass over the weights (a tile) lie side by side, so that the loops read one stream at constant distances:
 *
 *   tile of n tokens: [blocks] of { q i8 [n][32]; scale f32 [n]; sum [1, or 2 where scales are for 16 columns][n] }
 *
 * `sum` is what a block adds apart from the products of quants: -offset Σ q as i32 for formats with an offset, scale ·
 * Σ q as f32 for those with minima. A block with a NaN or an infinity has a scale of NaN and q = 0, so that this
 * token's results are NaN and no conversion to integers goes out of range.
 */

/** Numbers below this, whose inverse would overflow, count as zero. */
constexpr float kSmallestMagnitude = 1e-36f;

RWKV_INLINE size_t block_record_bytes(Format format) { return format == Format::q6_k ? 44 : 40; }

RWKV_INLINE size_t block_token_bytes(const PackedMatrix& weight) {
  return weight.columns / kQuantBlock * block_record_bytes(weight.format);
}

/** Tiles are as equal as they can be: an odd token does not get a pass of its own. */
struct Tiles {
  size_t tokens, count;

  explicit Tiles(size_t all_tokens) : tokens(all_tokens), count((all_tokens + kMaxTile - 1) / kMaxTile) {}
  RWKV_INLINE size_t first(size_t tile) const { return tokens * tile / count; }
};

size_t block_prepared_bytes(const PackedMatrix& weight, uint32_t tokens) {
  return (block_token_bytes(weight) * tokens + 63) / 64 * 64;
}

template <class Traits>
RWKV_INLINE void quantise_block(const float* x, uint8_t* record, size_t tokens, size_t token) {
  constexpr int kVectors = static_cast<int>(kQuantBlock) / kLanes;
  F magnitude = zero(), not_finite = zero();
  for (int i = 0; i < kVectors; ++i) {
    const F numbers = load(x + i * kLanes);
    magnitude = max(abs(numbers), magnitude);
    not_finite = not_finite + (numbers - numbers);
  }
  const float bound = largest(magnitude);
  const bool finite = sum(not_finite) == 0;
  const bool quantised = finite && bound >= kSmallestMagnitude;
  const float scale = finite ? (quantised ? bound / 127 : 0) : bound * 0 + sum(not_finite);
  const F inverse = broadcast(quantised ? 127 / bound : 0);
  int8_t* q = reinterpret_cast<int8_t*>(record) + token * kQuantBlock;
  F totals[Traits::kScales];
  for (F& total : totals) total = zero();
  for (int i = 0; i < kVectors; ++i) {
    const F rounded = quantised ? round(load(x + i * kLanes) * inverse) : zero();
    store_i8(q + i * kLanes, rounded);
    F& total = totals[i * Traits::kScales / kVectors];
    total = total + rounded;
  }
  uint8_t* scales = record + tokens * kQuantBlock + token * sizeof(float);
  memcpy(scales, &scale, sizeof scale);
  for (int half = 0; half < Traits::kScales; ++half) {
    const float total = sum(totals[half]);
    uint8_t* out = scales + (static_cast<size_t>(half) + 1) * tokens * sizeof(float);
    if constexpr (Traits::kMins) {
      const float added = scale * total;
      memcpy(out, &added, sizeof added);
    } else {
      const int32_t start = -Traits::kOffset * static_cast<int32_t>(total);
      memcpy(out, &start, sizeof start);
    }
  }
}

/** Blocks of a unit of preparation. */
constexpr size_t kPieceBlocks = 8;

RWKV_INLINE size_t block_pieces(const PackedMatrix& weight) {
  return (weight.columns / kQuantBlock + kPieceBlocks - 1) / kPieceBlocks;
}

uint32_t block_prepare_units(const PackedMatrix& weight, uint32_t tokens) {
  return static_cast<uint32_t>(Tiles(tokens).count * block_pieces(weight));
}

/** A unit is a piece of the blocks of one tile. */
void block_prepare(const LinearArgs& args, uint32_t tokens, uint8_t* prepared, Range units) {
  const Tiles tiles(tokens);
  const size_t blocks = args.weight.columns / kQuantBlock, pieces = block_pieces(args.weight);
  const size_t token_bytes = block_token_bytes(args.weight), record_bytes = block_record_bytes(args.weight.format);
  with_block_format(args.weight.format, [&](auto traits, auto) {
    for (size_t unit = units.begin; unit < units.end; ++unit) {
      const size_t first = tiles.first(unit / pieces), count = tiles.first(unit / pieces + 1) - first;
      const size_t begin = unit % pieces * kPieceBlocks;
      const size_t end = begin + kPieceBlocks < blocks ? begin + kPieceBlocks : blocks;
      uint8_t* record = prepared + first * token_bytes;
      for (size_t token = 0; token < count; ++token) {
        const float* x = args.x.row(first + token);
        for (size_t block = begin; block < end; ++block) {
          quantise_block<decltype(traits)>(x + block * kQuantBlock, record + block * record_bytes * count, count, token);
        }
      }
    }
  });
}
