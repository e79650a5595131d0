/** Products of few rows with plain weights. */
#include "kernels/ops/linear-vector.cuh"
