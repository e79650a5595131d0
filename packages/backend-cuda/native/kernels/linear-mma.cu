/** Products of many rows by matrix units. */
#include "kernels/ops/linear-mma.cuh"
