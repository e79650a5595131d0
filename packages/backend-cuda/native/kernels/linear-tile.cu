/** Products of many rows in f32 arithmetic. */
#include "kernels/ops/linear-tile.cuh"
