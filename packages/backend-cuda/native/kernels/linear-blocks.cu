/** Products of few rows with weights in blocks. */
#include "kernels/ops/linear-blocks.cuh"
