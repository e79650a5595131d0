/** Products of few rows by matrix units. */
#include "kernels/ops/linear-few.cuh"
