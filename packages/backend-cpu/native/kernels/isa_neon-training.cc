/** Training's kernels for 64-bit ARM. */
#if defined(__aarch64__) || defined(_M_ARM64)
#include <arm_neon.h>

#include <cmath>
#include <cstring>

#include "training.h"

#include "ops/unroll.h"

#define RWKV_INSTRUCTIONS neon_training
#define RWKV_NEON 1

#include "training-table.inc.h"
#endif
