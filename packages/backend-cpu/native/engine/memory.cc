#include "memory.h"

#include <utility>

#if defined(_WIN32)
#define WIN32_LEAN_AND_MEAN
#include <windows.h>
#else
#include <sys/mman.h>
#endif

namespace rwkv {
namespace {

constexpr size_t kHugePage = size_t{2} << 20;

void* map(size_t bytes) {
#if defined(_WIN32)
  return VirtualAlloc(nullptr, bytes, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
#else
  void* mapping = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return mapping == MAP_FAILED ? nullptr : mapping;
#endif
}

void unmap(void* mapping, size_t bytes) {
#if defined(_WIN32)
  (void)bytes;
  VirtualFree(mapping, 0, MEM_RELEASE);
#else
  munmap(mapping, bytes);
#endif
}

}  // namespace

Block::Block(Block&& other) noexcept { *this = std::move(other); }

Block& Block::operator=(Block&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  std::swap(mapping_, other.mapping_);
  std::swap(mapping_bytes_, other.mapping_bytes_);
  return *this;
}

Block::~Block() { release(); }

bool Block::allocate(size_t bytes) {
  release();
  if (bytes == 0) return true;
  const bool huge = bytes >= kHugePage;
  // Room to begin at a huge page's boundary; what is never touched costs nothing.
  const size_t slack = huge ? kHugePage : 0;
  if (bytes > SIZE_MAX - slack - kHugePage) return false;
  const size_t wanted = bytes + slack;
  void* mapping = map(wanted);
  if (!mapping) return false;
  uintptr_t start = reinterpret_cast<uintptr_t>(mapping);
  if (huge) start = (start + kHugePage - 1) & ~uintptr_t{kHugePage - 1};
  mapping_ = mapping;
  mapping_bytes_ = wanted;
  data_ = reinterpret_cast<uint8_t*>(start);
  bytes_ = bytes;
#if defined(__linux__)
  if (huge) madvise(data_, bytes, MADV_HUGEPAGE);
#endif
  return true;
}

void Block::release() {
  if (mapping_) unmap(mapping_, mapping_bytes_);
  data_ = nullptr;
  bytes_ = 0;
  mapping_ = nullptr;
  mapping_bytes_ = 0;
}

}  // namespace rwkv
