/** Kernels of rows: everything but products and recurrences. */
#include "kernels/ops/norm.cuh"
