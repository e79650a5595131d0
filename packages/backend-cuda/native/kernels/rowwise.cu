/** Kernels of rows: everything but products and recurrences. */
#include "kernels/ops/bonus7.cuh"
#include "kernels/ops/elementwise.cuh"
#include "kernels/ops/embed.cuh"
#include "kernels/ops/norm.cuh"
#include "kernels/ops/parameter.cuh"
#include "kernels/ops/prepare7.cuh"
#include "kernels/ops/row-matmul.cuh"
#include "kernels/ops/shift-mix.cuh"
