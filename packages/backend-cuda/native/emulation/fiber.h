/** A stack of its own that code runs on until it gives way. No system call in between, unlike swapcontext. */
#pragma once

#include <cstddef>
#include <memory>

namespace rwkv::emulation {

class Fiber {
 public:
  /** A stack pointer, below which lie the registers that a function has to keep. */
  using Place = void*;
  using Entry = void (*)(void*);

  void reserve(size_t bytes);
  /** `entry` begins at the next `resume`; it never returns. */
  void start(Entry entry, void* argument);
  /** Goes on with the fiber; `from` is where `suspend` comes back to. */
  void resume(Place& from);
  void suspend(Place& to);

 private:
  std::unique_ptr<unsigned char[]> stack_;
  size_t bytes_ = 0;
  Place place_ = nullptr;
};

}  // namespace rwkv::emulation
