/** The kernels for AVX2 with FMA and F16C (Haswell, Zen and newer). */
#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>

#include <cmath>
#include <cstring>

#include "kernels.h"
#include "pack.h"

#define RWKV_INSTRUCTIONS avx2
#define RWKV_NAME "avx2"
#define RWKV_AVX2 1

#include "table.inc.h"
#endif
