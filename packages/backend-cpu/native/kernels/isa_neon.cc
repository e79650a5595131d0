/** The kernels for 64-bit ARM. */
#if defined(__aarch64__) || defined(_M_ARM64)
#include <arm_neon.h>

#include <cmath>
#include <cstring>

#include "kernels.h"
#include "pack.h"

#define RWKV_INSTRUCTIONS neon
#define RWKV_NAME "neon"
#define RWKV_NEON 1

#include "table.inc.h"
#endif
