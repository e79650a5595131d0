/** Training's kernels for AVX-512. */
#if defined(__x86_64__) || defined(_M_X64)
#if defined(__GNUC__) && !defined(__clang__)
// GCC's own intrinsics start from a register left undefined on purpose, and GCC 12 warns of it.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif
#include <immintrin.h>

#include <cmath>
#include <cstring>

#include "training.h"

#include "ops/unroll.h"

#define RWKV_INSTRUCTIONS avx512_training
#define RWKV_AVX512 1

#include "training-table.inc.h"
#endif
