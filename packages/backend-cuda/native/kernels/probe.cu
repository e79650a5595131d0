/** What a device can do, measured. */
#include "kernels/ops/probe.cuh"
