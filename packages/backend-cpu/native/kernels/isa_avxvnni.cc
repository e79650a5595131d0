/** The kernels for AVX2 with AVX-VNNI (Alder Lake and newer without AVX-512). */
#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>

#include <cmath>
#include <cstring>

#include "kernels.h"
#include "pack.h"

#define RWKV_INSTRUCTIONS avxvnni
#define RWKV_NAME "avxvnni"
#define RWKV_AVX2 1
#define RWKV_AVX_VNNI 1

#include "table.inc.h"
#endif
