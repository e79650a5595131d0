/** Loops whose index is a constant, for arrays that must stay in registers. */
#pragma once

template <int kValue>
struct Constant {
  static constexpr int value = kValue;
};

/** use(Constant<kBegin>), …, use(Constant<kEnd - 1>). */
template <int kBegin, int kEnd, class Use>
RWKV_INLINE void unroll(const Use& use) {
  if constexpr (kBegin < kEnd) {
    use(Constant<kBegin>{});
    unroll<kBegin + 1, kEnd>(use);
  }
}
