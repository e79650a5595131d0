/**
 * Matrix units (tensor cores) and the copies that feed them, behind names that the emulation shares (device.h). All of
 * it is for whole warps in step.
 *
 * A product D += A B is 16 x 8 x 16. With g = lane / 4 and t = lane % 4 a lane has, two 16-bit numbers a word:
 *
 *   A [16][16]  a[0] row g, columns 2t, 2t + 1;   a[1] row g + 8;   a[2], a[3] the same rows, columns 2t + 8, 2t + 9
 *   B [16][8]   b[0] rows 2t, 2t + 1 of column g; b[1] rows 2t + 8, 2t + 9
 *   D [16][8]   d[0], d[1] row g, columns 2t, 2t + 1; d[2], d[3] row g + 8
 */
#pragma once

#include "kernels/device.h"

#if defined(__CUDACC__)

namespace rwkv {

/** Blocks with 48 KiB of shared memory each that a multiprocessor holds. */
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800
constexpr unsigned kBlocksOf48K = 1;
#else
constexpr unsigned kBlocksOf48K = 2;
#endif

// What needs all lanes of a warp is volatile: the compiler must not move it into a branch that not all of them take.

DEVICE uint32_t sharedAddress(const void* at) { return static_cast<uint32_t>(__cvta_generic_to_shared(at)); }

DEVICE void multiplyF16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
#if __CUDA_ARCH__ >= 800
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
  asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5}, {%6}, {%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(b[0]));
  asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5}, {%6}, {%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[2]), "r"(a[3]), "r"(b[1]));
#endif
}

/** Not before sm_80, where kernels that use it are never launched. */
DEVICE void multiplyBf16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
#if __CUDA_ARCH__ >= 800
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
               "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#endif
}

/**
 * Four 8 x 8 matrices of 16-bit numbers from shared memory: lane l says where row l % 8 of matrix l / 8 begins, at a
 * multiple of 16 bytes. to[i] has numbers 2t, 2t + 1 of row g of matrix i; transposed, those of column g.
 */
DEVICE void loadMatrices(uint32_t (&to)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"(sharedAddress(row))
               : "memory");
}
DEVICE void loadMatricesTransposed(uint32_t (&to)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"(sharedAddress(row))
               : "memory");
}

/**
 * Sixteen bytes from global to shared memory, or zeros where they do not exist (`from` is then any address that does).
 * They are there for this thread after a wait for their group, and for others after the next barrier.
 */
DEVICE void copyLater(void* to, const void* from, bool exists) {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(sharedAddress(to)), "l"(from), "r"(exists ? 16 : 0)
               : "memory");
#else
  *static_cast<Words4*>(to) = exists ? load(static_cast<const Words4*>(from)) : Words4{};
#endif
}
/** Ends a group of copies; it may be empty. */
DEVICE void endCopies() {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}
/** Waits for all groups of this thread but the `last` ones. */
template <unsigned last>
DEVICE void waitForCopies() {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.wait_group %0;" ::"n"(last) : "memory");
#endif
}

/** Of both f16 numbers of a word, each rounded once. */
DEVICE uint32_t addHalves(uint32_t a, uint32_t b) {
  uint32_t sum;
  asm("add.rn.f16x2 %0, %1, %2;" : "=r"(sum) : "r"(a), "r"(b));
  return sum;
}
DEVICE uint32_t multiplyHalves(uint32_t a, uint32_t b) {
  uint32_t product;
  asm("mul.rn.f16x2 %0, %1, %2;" : "=r"(product) : "r"(a), "r"(b));
  return product;
}
DEVICE uint32_t fusedHalves(uint32_t a, uint32_t b, uint32_t c) {
  uint32_t sum;
  asm("fma.rn.f16x2 %0, %1, %2, %3;" : "=r"(sum) : "r"(a), "r"(b), "r"(c));
  return sum;
}

}  // namespace rwkv

#else
#include "emulation/matrix-units.h"
#endif

namespace rwkv {

DEVICE uint32_t bothHalves(uint16_t f16) { return f16 | static_cast<uint32_t>(f16) << 16; }

}  // namespace rwkv
