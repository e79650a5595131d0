/** Everything a translation unit of training's kernels holds, in a namespace apart from the other kernels'. */
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
#include "simd/transpose.h"

#include "ops/bonus7.h"
#include "ops/gradient.h"
#include "ops/l2-norm.h"
#include "ops/norm.h"
#include "ops/shift-mix.h"

#include "ops/activate.backward.h"
#include "ops/adam.h"
#include "ops/add.backward.h"
#include "ops/bonus7.backward.h"
#include "ops/cross-entropy.h"
#include "ops/embed.backward.h"
#include "ops/l2-norm.backward.h"
#include "ops/lerp.backward.h"
#include "ops/matmul.training.h"
#include "ops/mul.backward.h"
#include "ops/norm.backward.h"
#include "ops/parameter.backward.h"
#include "ops/row-matmul.backward.h"
#include "ops/scale.backward.h"
#include "ops/select-rows.backward.h"
#include "ops/shift.backward.h"
#include "ops/slice.backward.h"

#include "ops/wkv4.h"

#include "ops/recurrence.training.h"
#include "ops/wkv4.training.h"
#include "ops/wkv6.training.h"
#include "ops/wkv7.training.h"

const TrainingKernels* table() {
  static const TrainingKernels kernels = [] {
    TrainingKernels all{};
    all.tile_rows = kTileRows;
    all.tile_columns = static_cast<uint32_t>(kTileColumns);
    all.product_scratch = kProductScratch;
    all.product = product;
    all.recurrences = {wkv4_training, wkv4_backward, wkv6_training, wkv6_backward, wkv7_training, wkv7_backward};
    all.norm = norm_backward;
    all.l2_norm = l2_norm_backward;
    all.shift = shift_backward;
    all.lerp = lerp_backward;
    all.add = add_backward;
    all.mul = mul_backward;
    all.scale = scale_backward;
    all.activate = activate_backward;
    all.slice = slice_backward;
    all.select_rows = select_rows_backward;
    all.row_matmul = row_matmul_backward;
    all.bonus7 = bonus7_backward;
    all.embed = embed_backward;
    all.cross_entropy = cross_entropy;
    all.parameter = parameter;
    all.parameter_backward = parameter_backward;
    all.squares = squares;
    all.adam = adam;
    return all;
  }();
  return &kernels;
}

}  // namespace RWKV_INSTRUCTIONS
}  // namespace rwkv
