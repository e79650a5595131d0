/** Which of training's kernels go with an instruction set: the f32 arithmetic that it is built upon. */
#include <cstring>

#include "training.h"

namespace rwkv {

#define RWKV_DECLARE_TRAINING(instructions) \
  namespace instructions##_training {       \
  const TrainingKernels* table();           \
  }

RWKV_DECLARE_TRAINING(scalar)
#if defined(__x86_64__) || defined(_M_X64)
RWKV_DECLARE_TRAINING(avx2)
RWKV_DECLARE_TRAINING(avx512)
#elif defined(__aarch64__) || defined(_M_ARM64)
RWKV_DECLARE_TRAINING(neon)
#endif

const TrainingKernels* training_kernels(const char* name) {
  struct Choice {
    const char* name;
    const TrainingKernels* (*table)();
  };
  static const Choice choices[] = {
      {"scalar", scalar_training::table},
#if defined(__x86_64__) || defined(_M_X64)
      {"avx2", avx2_training::table},         {"avxvnni", avx2_training::table},
      {"avx512", avx512_training::table},     {"avx512bf16", avx512_training::table},
#elif defined(__aarch64__) || defined(_M_ARM64)
      {"neon", neon_training::table},         {"neon-dotprod", neon_training::table},
      {"neon-i8mm", neon_training::table},
#endif
  };
  for (const Choice& choice : choices) {
    if (strcmp(choice.name, name) == 0) return choice.table();
  }
  return nullptr;
}

}  // namespace rwkv
