/**
 * Which instruction sets this build holds and this processor runs. Compiled for the plainest processor of its
 * architecture, as it runs before anything is known.
 *
 * On x86 both the processor and the operating system are asked: the latter must save the wide registers when it
 * switches threads. macOS turns the AVX-512 ones on only at their first use, so a Mac that has them uses AVX2.
 */
#include "kernels.h"

#if defined(__x86_64__) || defined(_M_X64)
#if defined(_MSC_VER) && !defined(__clang__)
#include <immintrin.h>
#include <intrin.h>
#else
#include <cpuid.h>
#endif
#elif defined(__aarch64__) || defined(_M_ARM64)
#if defined(__linux__)
#include <sys/auxv.h>
#elif defined(__APPLE__)
#include <sys/sysctl.h>
#elif defined(_WIN32)
#include <windows.h>
#endif
#endif

namespace rwkv {

#define RWKV_DECLARE(instructions) \
  namespace instructions {         \
  const Kernels* table();          \
  }

RWKV_DECLARE(scalar)

namespace {

bool always() { return true; }

}  // namespace

#if defined(__x86_64__) || defined(_M_X64)

RWKV_DECLARE(avx2)
RWKV_DECLARE(avxvnni)
RWKV_DECLARE(avx512)
RWKV_DECLARE(avx512bf16)

namespace {

struct Registers {
  uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
};

/** All zero for a leaf that the processor lacks. */
Registers cpuid(uint32_t leaf, uint32_t subleaf) {
  Registers found;
#if defined(_MSC_VER) && !defined(__clang__)
  int highest[4];
  __cpuid(highest, 0);
  if (static_cast<uint32_t>(highest[0]) < leaf) return found;
  int four[4];
  __cpuidex(four, static_cast<int>(leaf), static_cast<int>(subleaf));
  found.eax = static_cast<uint32_t>(four[0]);
  found.ebx = static_cast<uint32_t>(four[1]);
  found.ecx = static_cast<uint32_t>(four[2]);
  found.edx = static_cast<uint32_t>(four[3]);
#else
  if (!__get_cpuid_count(leaf, subleaf, &found.eax, &found.ebx, &found.ecx, &found.edx)) return Registers{};
#endif
  return found;
}

bool has(uint32_t bits, int bit) { return (bits >> bit & 1) != 0; }

/** The registers that the operating system saves; only where cpuid says that it can be asked (OSXSAVE). */
uint64_t saved_registers() {
#if defined(_MSC_VER) && !defined(__clang__)
  return _xgetbv(0);
#else
  uint32_t low;
  uint32_t high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return static_cast<uint64_t>(high) << 32 | low;
#endif
}

struct Features {
  bool avx2 = false, avxvnni = false, avx512 = false, avx512bf16 = false;
};

Features detect() {
  constexpr uint64_t kYmm = 0x6;
  constexpr uint64_t kZmm = 0xe6;
  Features features;
  const Registers basic = cpuid(1, 0);
  const bool answers = has(basic.ecx, 27);
  if (!answers) return features;
  const uint64_t saved = saved_registers();
  const Registers extended = cpuid(7, 0);
  // The subleaf exists where leaf 7 says that it has more than one.
  const Registers more = extended.eax >= 1 ? cpuid(7, 1) : Registers{};
  const bool fma = has(basic.ecx, 12);
  const bool avx = has(basic.ecx, 28);
  const bool f16c = has(basic.ecx, 29);
  features.avx2 = (saved & kYmm) == kYmm && avx && fma && f16c && has(extended.ebx, 5);
  features.avxvnni = features.avx2 && has(more.eax, 4);
  const bool foundation = has(extended.ebx, 16) && has(extended.ebx, 17);  // F, DQ
  const bool widths = has(extended.ebx, 30) && has(extended.ebx, 31);      // BW, VL
  const bool vnni = has(extended.ecx, 11);
  features.avx512 = features.avx2 && (saved & kZmm) == kZmm && foundation && widths && vnni;
  features.avx512bf16 = features.avx512 && has(more.eax, 5);
  return features;
}

const Features& features() {
  static const Features found = detect();
  return found;
}

bool runs_avx2() { return features().avx2; }
bool runs_avxvnni() { return features().avxvnni; }
bool runs_avx512() { return features().avx512; }
bool runs_avx512bf16() { return features().avx512bf16; }

}  // namespace

const KernelChoice kKernelChoices[] = {
    {"avx512", runs_avx512, avx512::table},
    // Rounds activations to bfloats where weights are, and is slower on some processors that have it: never the default.
    {"avx512bf16", runs_avx512bf16, avx512bf16::table},
    {"avxvnni", runs_avxvnni, avxvnni::table},
    {"avx2", runs_avx2, avx2::table},
    {"scalar", always, scalar::table},
};

#elif defined(__aarch64__) || defined(_M_ARM64)

RWKV_DECLARE(neon)
RWKV_DECLARE(neon_dotprod)
RWKV_DECLARE(neon_i8mm)

namespace {

#if defined(__linux__)

// The kernel's own numbers, which older headers lack.
bool has_dotprod() { return (getauxval(AT_HWCAP) >> 20 & 1) != 0; }
bool has_i8mm() { return (getauxval(AT_HWCAP2) >> 13 & 1) != 0; }

#elif defined(__APPLE__)

bool has(const char* feature) {
  int value = 0;
  size_t size = sizeof value;
  return sysctlbyname(feature, &value, &size, nullptr, 0) == 0 && value != 0;
}
bool has_dotprod() { return has("hw.optional.arm.FEAT_DotProd"); }
bool has_i8mm() { return has("hw.optional.arm.FEAT_I8MM"); }

#elif defined(_WIN32)

// PF_ARM_V82_DP_INSTRUCTIONS_AVAILABLE and PF_ARM_V82_I8MM_INSTRUCTIONS_AVAILABLE, which older headers lack.
bool has_dotprod() { return IsProcessorFeaturePresent(43) != 0; }
bool has_i8mm() { return IsProcessorFeaturePresent(66) != 0; }

#else

bool has_dotprod() { return false; }
bool has_i8mm() { return false; }

#endif

bool runs_i8mm() { return has_dotprod() && has_i8mm(); }

}  // namespace

const KernelChoice kKernelChoices[] = {
    {"neon-i8mm", runs_i8mm, neon_i8mm::table},
    {"neon-dotprod", has_dotprod, neon_dotprod::table},
    {"neon", always, neon::table},
    {"scalar", always, scalar::table},
};

#else

const KernelChoice kKernelChoices[] = {{"scalar", always, scalar::table}};

#endif

const size_t kKernelChoiceCount = sizeof kKernelChoices / sizeof kKernelChoices[0];

}  // namespace rwkv
