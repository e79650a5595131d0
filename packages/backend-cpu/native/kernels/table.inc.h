/** Everything a translation unit of one instruction set holds: vectors, ops, and the table of them. */
namespace rwkv {
namespace RWKV_INSTRUCTIONS {

#if defined(RWKV_AVX512)
#include "simd/avx512.h"
#elif defined(RWKV_AVX2)
#include "simd/avx2.h"
#elif defined(RWKV_NEON)
#include "simd/neon.h"
#else
#include "simd/scalar.h"
#endif

#include "simd/columns.h"
#include "simd/math.h"

#include "ops/activate.h"
#include "ops/add.h"
#include "ops/bonus7.h"
#include "ops/copy.h"
#include "ops/embed.h"
#include "ops/l2-norm.h"
#include "ops/lerp.h"
#include "ops/linear.h"
#include "ops/mul.h"
#include "ops/norm.h"
#include "ops/prepare7.h"
#include "ops/row-matmul.h"
#include "ops/scale.h"
#include "ops/select-rows.h"
#include "ops/shift-mix.h"
#include "ops/top-k.h"
#include "ops/wkv4.h"
#include "ops/wkv6.h"
#include "ops/wkv7.h"

const Kernels* table() {
  static const Kernels kernels = [] {
    Kernels all{};
    all.name = RWKV_NAME;
    all.linear_prepared_bytes = linear_prepared_bytes;
    all.linear_prepare_units = linear_prepare_units;
    all.linear_prepare = linear_prepare;
    all.linear_units = linear_units;
    all.linear = linear;
    all.norm = norm;
    all.l2_norm = l2_norm;
    all.lerp = lerp;
    all.add = add;
    all.mul = mul;
    all.scale = scale;
    all.activate = activate;
    all.copy = copy;
    all.select_rows = select_rows;
    all.top_k = top_k;
    all.row_matmul = row_matmul;
    all.embed = embed;
    all.shift_mix = shift_mix;
    all.commit_shift = commit_shift;
    all.wkv4 = wkv4;
    all.wkv6 = wkv6;
    all.wkv7 = wkv7;
    all.bonus7 = bonus7;
    all.prepare7 = prepare7;
    all.apply_form = apply_form;
    return all;
  }();
  return &kernels;
}

}  // namespace RWKV_INSTRUCTIONS
}  // namespace rwkv
