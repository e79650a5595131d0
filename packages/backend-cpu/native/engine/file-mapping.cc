#include "file-mapping.h"

#include <utility>

#if defined(_WIN32)
#define WIN32_LEAN_AND_MEAN
#include <windows.h>

#include <memory>
#include <new>
#else
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#endif

namespace rwkv {
namespace {

using Status = FileMapping::Status;

/** What a system gave, or why it did not. */
struct Mapped {
  Status status;
  const uint8_t* data = nullptr;
  size_t bytes = 0;
};

#if defined(_WIN32)

Status status_of(DWORD error) {
  switch (error) {
    case ERROR_FILE_NOT_FOUND:
    case ERROR_PATH_NOT_FOUND: return Status::not_found;
    case ERROR_ACCESS_DENIED:
    case ERROR_SHARING_VIOLATION: return Status::denied;
    case ERROR_NOT_ENOUGH_MEMORY:
    case ERROR_COMMITMENT_LIMIT: return Status::out_of_memory;
    default: return Status::failed;
  }
}

Mapped map_opened(HANDLE file) {
  LARGE_INTEGER size;
  if (GetFileType(file) != FILE_TYPE_DISK || !GetFileSizeEx(file, &size)) return {Status::not_a_file};
  if (size.QuadPart == 0) return {Status::empty};
  if (static_cast<ULONGLONG>(size.QuadPart) > SIZE_MAX) return {Status::out_of_memory};
  const HANDLE section = CreateFileMappingW(file, nullptr, PAGE_READONLY, 0, 0, nullptr);
  if (!section) return {status_of(GetLastError())};
  const void* data = MapViewOfFile(section, FILE_MAP_READ, 0, 0, static_cast<size_t>(size.QuadPart));
  const DWORD error = GetLastError();
  CloseHandle(section);
  if (!data) return {status_of(error)};
  return {Status::ok, static_cast<const uint8_t*>(data), static_cast<size_t>(size.QuadPart)};
}

Mapped map(const char* path) {
  const int length = MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, path, -1, nullptr, 0);
  if (length <= 0) return {Status::not_found};
  const std::unique_ptr<wchar_t[]> wide(new (std::nothrow) wchar_t[static_cast<size_t>(length)]);
  if (!wide) return {Status::out_of_memory};
  MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, path, -1, wide.get(), length);
  const HANDLE file = CreateFileW(wide.get(), GENERIC_READ, FILE_SHARE_READ | FILE_SHARE_DELETE, nullptr, OPEN_EXISTING,
                                  FILE_ATTRIBUTE_NORMAL, nullptr);
  if (file == INVALID_HANDLE_VALUE) return {status_of(GetLastError())};
  const Mapped mapped = map_opened(file);
  CloseHandle(file);
  return mapped;
}

void unmap(const uint8_t* data, size_t) { UnmapViewOfFile(data); }

#else

Status status_of(int error) {
  switch (error) {
    case ENOENT:
    case ENOTDIR: return Status::not_found;
    case EACCES:
    case EPERM: return Status::denied;
    case ENOMEM: return Status::out_of_memory;
    default: return Status::failed;
  }
}

Mapped map_opened(int file) {
  struct stat facts;
  if (fstat(file, &facts) != 0) return {status_of(errno)};
  if (!S_ISREG(facts.st_mode)) return {Status::not_a_file};
  if (facts.st_size <= 0) return {Status::empty};
  if (static_cast<uint64_t>(facts.st_size) > SIZE_MAX) return {Status::out_of_memory};
  const size_t bytes = static_cast<size_t>(facts.st_size);
  void* data = mmap(nullptr, bytes, PROT_READ, MAP_SHARED, file, 0);
  if (data == MAP_FAILED) return {status_of(errno)};
#if defined(__linux__)
  // What is not in the system's cache yet is then read and mapped by huge pages, as `Block` has them. Asking for all of
  // it to be read ahead gains nothing: the first step reads the file from end to end as fast as the disk gives it.
  madvise(data, bytes, MADV_HUGEPAGE);
#endif
  return {Status::ok, static_cast<const uint8_t*>(data), bytes};
}

Mapped map(const char* path) {
  // A pipe without a writer would be waited for.
  const int file = ::open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file < 0) return {status_of(errno)};
  const Mapped mapped = map_opened(file);
  ::close(file);
  return mapped;
}

void unmap(const uint8_t* data, size_t bytes) { munmap(const_cast<uint8_t*>(data), bytes); }

#endif

}  // namespace

FileMapping::FileMapping(FileMapping&& other) noexcept { *this = std::move(other); }

FileMapping& FileMapping::operator=(FileMapping&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

FileMapping::~FileMapping() { close(); }

FileMapping::Status FileMapping::open(const char* path) {
  close();
  const Mapped mapped = map(path);
  data_ = mapped.data;
  bytes_ = mapped.bytes;
  return mapped.status;
}

void FileMapping::close() {
  if (data_) unmap(data_, bytes_);
  data_ = nullptr;
  bytes_ = 0;
}

}  // namespace rwkv
