/** A file as read-only memory: its pages are those of the system's cache, which all processes share. */
#pragma once

#include <cstddef>
#include <cstdint>

namespace rwkv {

/**
 * Maps a whole file. Whoever cuts the file off while it is mapped makes reading beyond its new end fatal, on every system;
 * replacing it by another one under its name does no harm.
 */
class FileMapping {
 public:
  enum class Status { ok, not_found, denied, not_a_file, empty, out_of_memory, failed };

  FileMapping() = default;
  FileMapping(const FileMapping&) = delete;
  FileMapping& operator=(const FileMapping&) = delete;
  FileMapping(FileMapping&& other) noexcept;
  FileMapping& operator=(FileMapping&& other) noexcept;
  ~FileMapping();

  /** `path` is UTF-8. Nothing is read yet. Whatever was mapped before is given back first, also on failure. */
  Status open(const char* path);
  void close();

  /** Begins at a page's boundary; null where nothing is mapped. */
  const uint8_t* data() const { return data_; }
  size_t bytes() const { return bytes_; }

 private:
  const uint8_t* data_ = nullptr;
  size_t bytes_ = 0;
};

}  // namespace rwkv
