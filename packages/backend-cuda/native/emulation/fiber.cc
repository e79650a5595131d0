#include "emulation/fiber.h"

#include <cstdint>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

#if !defined(__x86_64__) && !defined(__aarch64__)
#error "The emulation's fibers are written for x86-64 and AArch64."
#endif

extern "C" {
/** Keeps the callee-saved registers on this stack, its pointer in *from, and goes on at `to`. */
void rwkv_fiber_switch(void** from, void* to);
/** Where a new fiber begins: calls the entry with its argument, both of which `start` put into registers. */
void rwkv_fiber_begin();
}

#if defined(__x86_64__)
asm(R"(
.text
.globl rwkv_fiber_switch
.hidden rwkv_fiber_switch
rwkv_fiber_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.globl rwkv_fiber_begin
.hidden rwkv_fiber_begin
rwkv_fiber_begin:
  movq %r12, %rdi
  callq *%r13
  ud2
)");
#else
asm(R"(
.text
.globl rwkv_fiber_switch
.hidden rwkv_fiber_switch
rwkv_fiber_switch:
  sub sp, sp, #160
  stp x19, x20, [sp, #0]
  stp x21, x22, [sp, #16]
  stp x23, x24, [sp, #32]
  stp x25, x26, [sp, #48]
  stp x27, x28, [sp, #64]
  stp x29, x30, [sp, #80]
  stp d8, d9, [sp, #96]
  stp d10, d11, [sp, #112]
  stp d12, d13, [sp, #128]
  stp d14, d15, [sp, #144]
  mov x9, sp
  str x9, [x0]
  mov sp, x1
  ldp x19, x20, [sp, #0]
  ldp x21, x22, [sp, #16]
  ldp x23, x24, [sp, #32]
  ldp x25, x26, [sp, #48]
  ldp x27, x28, [sp, #64]
  ldp x29, x30, [sp, #80]
  ldp d8, d9, [sp, #96]
  ldp d10, d11, [sp, #112]
  ldp d12, d13, [sp, #128]
  ldp d14, d15, [sp, #144]
  add sp, sp, #160
  ret
.globl rwkv_fiber_begin
.hidden rwkv_fiber_begin
rwkv_fiber_begin:
  mov x0, x19
  blr x20
  brk #0
)");
#endif

namespace rwkv::emulation {

void Fiber::reserve(size_t bytes) {
  stack_ = std::make_unique_for_overwrite<unsigned char[]>(bytes);
  bytes_ = bytes;
}

void Fiber::start(Entry entry, void* argument) {
#if defined(__SANITIZE_ADDRESS__)
  // What ran here before never returned, so nobody took back what it had said of its variables.
  __asan_unpoison_memory_region(stack_.get(), bytes_);
#endif
  const uintptr_t top = (reinterpret_cast<uintptr_t>(stack_.get()) + bytes_) & ~uintptr_t{15};
  const uintptr_t begin = reinterpret_cast<uintptr_t>(&rwkv_fiber_begin);
#if defined(__x86_64__)
  // As rwkv_fiber_switch pops them: r15 r14 r13 r12 rbx rbp, then the address to return to; a call there aligns the stack.
  uintptr_t* registers = reinterpret_cast<uintptr_t*>(top) - 7;
  registers[0] = registers[1] = registers[4] = registers[5] = 0;
  registers[2] = reinterpret_cast<uintptr_t>(entry);
  registers[3] = reinterpret_cast<uintptr_t>(argument);
  registers[6] = begin;
#else
  uintptr_t* registers = reinterpret_cast<uintptr_t*>(top) - 20;
  for (int i = 0; i < 20; i++) registers[i] = 0;
  registers[0] = reinterpret_cast<uintptr_t>(argument);
  registers[1] = reinterpret_cast<uintptr_t>(entry);
  registers[11] = begin;
#endif
  place_ = registers;
}

void Fiber::resume(Place& from) { rwkv_fiber_switch(&from, place_); }
void Fiber::suspend(Place& to) { rwkv_fiber_switch(&place_, to); }

}  // namespace rwkv::emulation
