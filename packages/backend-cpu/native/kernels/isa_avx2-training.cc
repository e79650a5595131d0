/** Training's kernels for AVX2 with FMA. */
#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>

#include <cmath>
#include <cstring>

#include "training.h"

#include "ops/unroll.h"

#define RWKV_INSTRUCTIONS avx2_training
#define RWKV_AVX2 1

#include "training-table.inc.h"
#endif
