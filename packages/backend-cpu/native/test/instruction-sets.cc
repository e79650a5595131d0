/** Prints the instruction sets of this build that run here, best first, one a line. */
#include <cstdio>

#include "kernels.h"

int main() {
  for (size_t choice = 0; choice < rwkv::kKernelChoiceCount; ++choice) {
    if (rwkv::kKernelChoices[choice].runs_here()) puts(rwkv::kKernelChoices[choice].name);
  }
  return 0;
}
