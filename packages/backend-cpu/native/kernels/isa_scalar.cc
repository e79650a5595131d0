/** The kernels in plain C++, for every processor. */
#include <cmath>
#include <cstring>

#include "kernels.h"
#include "pack.h"

#define RWKV_INSTRUCTIONS scalar
#define RWKV_NAME "scalar"

#include "table.inc.h"
