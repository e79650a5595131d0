/** The kernels for AVX-512 with VNNI and BF16 (Cooper Lake, Sapphire Rapids, Zen 4 and newer). */
#if defined(__x86_64__) || defined(_M_X64)
#if defined(__GNUC__) && !defined(__clang__)
// GCC's own intrinsics start from a register left undefined on purpose, and GCC 12 warns of it.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif
#include <immintrin.h>

#include <cmath>
#include <cstring>

#include "kernels.h"
#include "pack.h"

#define RWKV_INSTRUCTIONS avx512bf16
#define RWKV_NAME "avx512bf16"
#define RWKV_AVX512 1
#define RWKV_BF16 1

#include "table.inc.h"
#endif
