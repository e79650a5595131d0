/**
 * Numbers of out from numbers of the same place; x, y, by, out [rows, width], f32. Any operand may be a parameter that
 * all rows share (a stride of 0), and out may be one of the operands.
 *
 *   lerp: x + (y - x) ⊙ by     add: x + y     mul: x ⊙ y     scale: factor · x     activate: activation(x)
 *   copy: x, whose rows may begin at any column of wider ones     select_rows: out[r] = x[wanted[r]]
 *
 * A block owns kElementwiseColumns columns of one row: blockX is the row, blockY the part. A thread owns every
 * threadCount()-th of them, and reads all of its numbers before it writes.
 */
#pragma once

#include "kernels/math.cuh"
#include "kernels/step.h"

namespace rwkv {

constexpr uint32_t kElementwiseColumns = 1024;
constexpr uint32_t kElementwiseThreads = 256;

/** `value(column)` for each column of this block's part. */
template <class Value>
DEVICE void elementwise(float* out, uint32_t width, Value value) {
  constexpr uint32_t kOwn = kElementwiseColumns / kElementwiseThreads;
  const uint32_t first = blockY() * kElementwiseColumns + threadIndex();
  float results[kOwn];
  UNROLL
  for (uint32_t i = 0; i < kOwn; i++) {
    const uint32_t column = first + i * kElementwiseThreads;
    results[i] = column < width ? value(column) : 0.0f;
  }
  UNROLL
  for (uint32_t i = 0; i < kOwn; i++) {
    const uint32_t column = first + i * kElementwiseThreads;
    if (column < width) out[column] = results[i];
  }
}

struct LerpArguments {
  ConstRows x, y, by;
  Rows out;
  uint32_t rows, width;
};
DESCRIBE(LerpArguments, x, y, by, out, rows, width);

KERNEL_BOUNDED(lerp, LerpArguments, 256, 4) {
  const uint32_t row = blockX();
  if (row >= step->counts[arguments.rows]) return;
  const float* x = arguments.x.row(row);
  const float* y = arguments.y.row(row);
  const float* by = arguments.by.row(row);
  elementwise(arguments.out.row(row), arguments.width, [=](uint32_t c) { return fused(y[c] - x[c], by[c], x[c]); });
}

struct AddArguments {
  ConstRows x, y;
  Rows out;
  uint32_t rows, width;
};
DESCRIBE(AddArguments, x, y, out, rows, width);

KERNEL_BOUNDED(add, AddArguments, 256, 4) {
  const uint32_t row = blockX();
  if (row >= step->counts[arguments.rows]) return;
  const float* x = arguments.x.row(row);
  const float* y = arguments.y.row(row);
  elementwise(arguments.out.row(row), arguments.width, [=](uint32_t c) { return x[c] + y[c]; });
}

struct MulArguments {
  ConstRows x, y;
  Rows out;
  uint32_t rows, width;
};
DESCRIBE(MulArguments, x, y, out, rows, width);

KERNEL_BOUNDED(mul, MulArguments, 256, 4) {
  const uint32_t row = blockX();
  if (row >= step->counts[arguments.rows]) return;
  const float* x = arguments.x.row(row);
  const float* y = arguments.y.row(row);
  elementwise(arguments.out.row(row), arguments.width, [=](uint32_t c) { return x[c] * y[c]; });
}

struct ScaleArguments {
  ConstRows x;
  Rows out;
  uint32_t rows, width;
  float factor;
};
DESCRIBE(ScaleArguments, x, out, rows, width, factor);

KERNEL_BOUNDED(scale, ScaleArguments, 256, 4) {
  const uint32_t row = blockX();
  if (row >= step->counts[arguments.rows]) return;
  const float* x = arguments.x.row(row);
  const float factor = arguments.factor;
  elementwise(arguments.out.row(row), arguments.width, [=](uint32_t c) { return factor * x[c]; });
}

struct ActivateArguments {
  ConstRows x;
  Rows out;
  uint32_t rows, width, activation;
};
DESCRIBE(ActivateArguments, x, out, rows, width, activation);

KERNEL_BOUNDED(activate, ActivateArguments, 256, 4) {
  const uint32_t row = blockX();
  if (row >= step->counts[arguments.rows]) return;
  const float* x = arguments.x.row(row);
  const uint32_t activation = arguments.activation;
  elementwise(arguments.out.row(row), arguments.width, [=](uint32_t c) { return activate(activation, x[c]); });
}

struct CopyArguments {
  ConstRows x;
  Rows out;
  uint32_t rows, width;
};
DESCRIBE(CopyArguments, x, out, rows, width);

KERNEL_BOUNDED(copy, CopyArguments, 256, 4) {
  const uint32_t row = blockX();
  if (row >= step->counts[arguments.rows]) return;
  const float* x = arguments.x.row(row);
  elementwise(arguments.out.row(row), arguments.width, [=](uint32_t c) { return x[c]; });
}

struct SelectRowsArguments {
  ConstRows x;
  Rows out;
  uint32_t width;
};
DESCRIBE(SelectRowsArguments, x, out, width);

KERNEL_BOUNDED(select_rows, SelectRowsArguments, 256, 4) {
  const uint32_t row = blockX();
  if (row >= step->counts[kWanted]) return;
  const float* x = arguments.x.row(step->wanted(row));
  elementwise(arguments.out.row(row), arguments.width, [=](uint32_t c) { return x[c]; });
}

}  // namespace rwkv
