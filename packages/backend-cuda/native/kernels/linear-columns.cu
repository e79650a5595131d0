/** Products of few rows that are mostly zeros. */
#include "kernels/ops/linear-columns.cuh"
