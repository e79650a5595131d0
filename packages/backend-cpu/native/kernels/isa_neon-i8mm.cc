/** The kernels for 64-bit ARM with matrix products of int8 (ARMv8.6, Apple M2 and newer). */
#if defined(__aarch64__) || defined(_M_ARM64)
#include <arm_neon.h>

#include <cmath>
#include <cstring>

#include "kernels.h"
#include "pack.h"

#define RWKV_INSTRUCTIONS neon_i8mm
#define RWKV_NAME "neon-i8mm"
#define RWKV_NEON 1
#define RWKV_DOTPROD 1
#define RWKV_I8MM 1

#include "table.inc.h"
#endif
