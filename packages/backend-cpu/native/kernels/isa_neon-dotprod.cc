/** The kernels for 64-bit ARM with dot products of int8 (ARMv8.2). */
#if defined(__aarch64__) || defined(_M_ARM64)
#include <arm_neon.h>

#include <cmath>
#include <cstring>

#include "kernels.h"
#include "pack.h"

#define RWKV_INSTRUCTIONS neon_dotprod
#define RWKV_NAME "neon-dotprod"
#define RWKV_NEON 1
#define RWKV_DOTPROD 1

#include "table.inc.h"
#endif
