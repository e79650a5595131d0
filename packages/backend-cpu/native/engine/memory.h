/** Large blocks of memory, backed by huge pages where the system has them. */
#pragma once

#include <cstddef>
#include <cstdint>

namespace rwkv {

/**
 * Zeroed memory aligned to 64 bytes (to 2 MiB from 2 MiB on). Decoding streams through weights, and small pages cost it
 * about a fifth of the bandwidth, so large blocks ask for huge ones.
 */
class Block {
 public:
  Block() = default;
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;
  Block(Block&& other) noexcept;
  Block& operator=(Block&& other) noexcept;
  ~Block();

  /** False when the system refuses; the block is empty then. */
  bool allocate(size_t bytes);
  void release();

  uint8_t* data() const { return data_; }
  size_t bytes() const { return bytes_; }
  float* floats() const { return reinterpret_cast<float*>(data_); }

 private:
  uint8_t* data_ = nullptr;
  size_t bytes_ = 0;
  /** What the system gave, which begins before `data_`. */
  void* mapping_ = nullptr;
  size_t mapping_bytes_ = 0;
};

/** `bytes` rounded up to a multiple of 64. */
inline size_t aligned(size_t bytes) { return (bytes + 63) & ~size_t{63}; }

}  // namespace rwkv
