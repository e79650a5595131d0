/** Training's kernels for every processor, in plain C++. */
#include <cmath>
#include <cstring>

#include "training.h"

#include "ops/unroll.h"

#define RWKV_INSTRUCTIONS scalar_training

#include "training-table.inc.h"
