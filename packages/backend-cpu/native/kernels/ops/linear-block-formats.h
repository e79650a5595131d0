/**
 * What the block formats are to a product: quants of a few bits, an offset, scales, minima (pack.h has the layouts).
 */

constexpr uint32_t kQuantBlock = 32;
constexpr int kRowVectors = static_cast<int>(kPanelRows) / kLanes;

/** What the loops over unpacked quants depend on, so that formats share them. */
template <int kQuantBits, bool kWithMins, int kScalesOfBlock>
struct LoopTraits {
  static constexpr int kBits = kQuantBits;
  static constexpr bool kMins = kWithMins;
  static constexpr int kScales = kScalesOfBlock;
  static constexpr bool kHalves = kScales == 2;
};

template <Format kFormat>
struct BlockTraits {
  static constexpr bool kSuper = kFormat >= Format::q4_k;
  static constexpr bool kMins =
      kFormat == Format::q4_1 || kFormat == Format::q5_1 || kFormat == Format::q4_k || kFormat == Format::q5_k;
  /** Scales for 16 columns instead of 32. */
  static constexpr bool kHalves = kFormat == Format::q6_k;
  static constexpr int kBits = kFormat == Format::q8_0                                                       ? 8
                               : kFormat == Format::q6_k                                                     ? 6
                               : kFormat == Format::q4_0 || kFormat == Format::q4_1 || kFormat == Format::q4_k ? 4
                                                                                                             : 5;
  static constexpr int kOffset = kMins ? 0 : 1 << (kBits - 1);
  static constexpr int kScales = kHalves ? 2 : 1;
  using Loop = LoopTraits<kSameForAllBits ? 8 : kBits, kMins, kScales>;
};

/** Calls use(BlockTraits, Constant<format>) for a format known at run time. */
template <class Use>
RWKV_INLINE auto with_block_format(Format format, const Use& use) {
  switch (format) {
    case Format::q4_0:
      return use(BlockTraits<Format::q4_0>{}, Constant<static_cast<int>(Format::q4_0)>{});
    case Format::q4_1:
      return use(BlockTraits<Format::q4_1>{}, Constant<static_cast<int>(Format::q4_1)>{});
    case Format::q5_0:
      return use(BlockTraits<Format::q5_0>{}, Constant<static_cast<int>(Format::q5_0)>{});
    case Format::q5_1:
      return use(BlockTraits<Format::q5_1>{}, Constant<static_cast<int>(Format::q5_1)>{});
    case Format::q4_k:
      return use(BlockTraits<Format::q4_k>{}, Constant<static_cast<int>(Format::q4_k)>{});
    case Format::q5_k:
      return use(BlockTraits<Format::q5_k>{}, Constant<static_cast<int>(Format::q5_k)>{});
    case Format::q6_k:
      return use(BlockTraits<Format::q6_k>{}, Constant<static_cast<int>(Format::q6_k)>{});
    default:
      return use(BlockTraits<Format::q8_0>{}, Constant<static_cast<int>(Format::q8_0)>{});
  }
}

/** A panel of 16 rows as vectors; vector v is rows [v · kLanes, (v + 1) · kLanes). */
template <Format kFormat>
struct BlockPanel {
  using Traits = BlockTraits<kFormat>;
  const uint8_t* data;
  PanelLayout layout;

  RWKV_INLINE static F halves_at(const uint8_t* p) { return load_f16(reinterpret_cast<const uint16_t*>(p)); }

  RWKV_INLINE F scale(size_t block, int half, int v) const {
    const uint8_t* scales = data + layout.scales + v * kLanes * 2;
    if constexpr (Traits::kHalves) {
      const uint8_t* block_scales = data + layout.block_scales + block * 32 + half * 16;
      return halves_at(scales + block / 8 * 32) * load_i8(block_scales + v * kLanes);
    } else if constexpr (Traits::kSuper) {
      return halves_at(scales + block / 8 * 32) * load_u8(data + layout.block_scales + block * 16 + v * kLanes);
    } else {
      return halves_at(scales + block * 32);
    }
  }

  /** What is added to scale · q. */
  RWKV_INLINE F min(size_t block, int v) const {
    const uint8_t* mins = data + layout.mins + v * kLanes * 2;
    if constexpr (Traits::kSuper) {
      const F m = halves_at(mins + block / 8 * 32) * load_u8(data + layout.block_mins + block * 16 + v * kLanes);
      return zero() - m;
    } else {
      return halves_at(mins + block * 32);
    }
  }

  /**
   * use(Constant<group>, Constant<ordinal>, Quants) for the 8 groups of a block, in the order that unpacks them best.
   */
  template <class Use>
  RWKV_INLINE void groups(size_t block, int v, const Use& use) const {
    const size_t lane = static_cast<size_t>(v) * kLanes * 4;
    if constexpr (Traits::kBits == 8) {
      const uint8_t* quants = data + layout.quants + block * 512 + lane;
      unroll<0, 8>([&](auto g) RWKV_LAMBDA_INLINE { use(g, g, load_quants(quants + g.value * 64)); });
    } else {
      const uint8_t* nibbles = data + layout.quants + block * 256 + lane;
      const uint8_t* upper = data + layout.upper + block * (Traits::kBits == 6 ? 128 : 64) + lane;
      unroll<0, 4>([&](auto constant) RWKV_LAMBDA_INLINE {
        constexpr int j = decltype(constant)::value;
        const Quants both = load_quants(nibbles + j * 64);
        Quants low = low_nibbles(both), high = high_nibbles(both);
        if constexpr (Traits::kBits == 5) {
          const Quants fifths = load_quants(upper);
          low = merge_bits<4 - j, 16>(low, fifths);
          high = merge_bits<-j, 16>(high, fifths);
        }
        if constexpr (Traits::kBits == 6) {
          low = merge_bits<4 - 2 * j, 48>(low, load_quants(upper));
          high = merge_bits<4 - 2 * j, 48>(high, load_quants(upper + 64));
        }
        use(Constant<j>{}, Constant<Traits::kHalves ? j : 2 * j>{}, low);
        use(Constant<j + 4>{}, Constant<Traits::kHalves ? j : 2 * j + 1>{}, high);
      });
    }
  }
};
