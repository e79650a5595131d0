/**
 * out[i · repeat + n] = activation(weight[i]) for n < repeat; weight [count] as the file has it, out [count · repeat]
 * f32. Runs once, when a program is compiled; reads no step. A thread owns one number of the weight.
 */
#pragma once

#include "kernels/file-formats.cuh"
#include "kernels/math.cuh"
#include "kernels/step.h"

namespace rwkv {

struct ParameterArguments {
  const unsigned char* weight;
  float* out;
  uint32_t count, format, activation, repeat;
};
DESCRIBE(ParameterArguments, weight, out, count, format, activation, repeat);

KERNEL_BOUNDED(parameter, ParameterArguments, 256, 1) {
  const uint32_t i = blockX() * threadCount() + threadIndex();
  if (i >= arguments.count) return;
  const FileBlock block = fileBlock(arguments.format);
  const unsigned char* at = arguments.weight + static_cast<size_t>(i / block.numbers) * block.bytes;
  const float value = activate(arguments.activation, blockNumber(arguments.format, at, i % block.numbers));
  float* out = arguments.out + static_cast<size_t>(i) * arguments.repeat;
  for (uint32_t n = 0; n < arguments.repeat; n++) out[n] = value;
}

}  // namespace rwkv
