/** How a weight lies in device memory, and rows that were rounded for its products. src/weights/layout.ts computes it. */
#pragma once

#include "kernels/step.h"

namespace rwkv {

/** Matrix [rows, columns]; which regions there are, and what a number in them means, is the format's (weight-formats.cuh). */
struct Matrix {
  const void* quants;
  const void* highs;
  const void* scales;
  uint32_t rows, columns;
  /** Numbers from one stored row (or column, where it lies in columns) to the next in `quants`. */
  uint32_t stride;
  uint32_t unused;
};

/** Rows of x rounded for a product: f16 or bf16 numbers, or signed bytes, with what scales them. */
struct Prepared {
  const void* values;
  const void* scales;
  /** Numbers, and scales, from one row to the next. */
  uint32_t stride, scale_stride;
};

}  // namespace rwkv
