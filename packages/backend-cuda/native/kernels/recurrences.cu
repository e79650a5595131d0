/** Kernels that carry state from token to token. */
#include "kernels/ops/wkv4.cuh"
#include "kernels/ops/wkv6-chunk.cuh"
#include "kernels/ops/wkv6.cuh"
#include "kernels/ops/wkv7-chunk.cuh"
#include "kernels/ops/wkv7.cuh"
