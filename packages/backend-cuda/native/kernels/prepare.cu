/** Kernels that bring weights and rows into the forms that products read. */
#include "kernels/ops/pack.cuh"
#include "kernels/ops/prepare.cuh"
