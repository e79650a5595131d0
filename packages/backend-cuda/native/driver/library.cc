#include "driver/library.h"

#if defined(_WIN32)
#define WIN32_LEAN_AND_MEAN
#include <windows.h>
#else
#include <dlfcn.h>
#endif

namespace rwkv::cuda {
namespace {

#if defined(_WIN32)
constexpr const char* kSystemName = "nvcuda.dll";
void* open(const char* path, std::string& problem) {
  HMODULE module = LoadLibraryA(path);
  if (!module) problem = std::string(path) + ": error " + std::to_string(GetLastError());
  return reinterpret_cast<void*>(module);
}
void* find(void* library, const char* name) {
  return reinterpret_cast<void*>(GetProcAddress(reinterpret_cast<HMODULE>(library), name));
}
#else
constexpr const char* kSystemName = "libcuda.so.1";
void* open(const char* path, std::string& problem) {
  void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    const char* said = dlerror();
    problem = said ? said : std::string(path) + " cannot be opened";
  }
  return library;
}
void* find(void* library, const char* name) { return dlsym(library, name); }
#endif

}  // namespace

std::shared_ptr<const Library> open_library(const std::string& path, std::string& problem) {
  auto library = std::make_shared<Library>();
  library->path = path.empty() ? kSystemName : path;
  void* opened = open(library->path.c_str(), problem);
  if (!opened) return nullptr;
#define RWKV_CUDA_FIND(name, parameters)                                                           \
  library->functions.name = reinterpret_cast<decltype(library->functions.name)>(find(opened, #name)); \
  if (!library->functions.name) {                                                                  \
    problem = library->path + " has no " #name "; the driver is older than CUDA 12";               \
    return nullptr;                                                                                \
  }
  RWKV_CUDA_FUNCTIONS(RWKV_CUDA_FIND)
#undef RWKV_CUDA_FIND
  return library;
}

std::string describe(const Functions& functions, CUresult result) {
  const char* name = nullptr;
  const char* text = nullptr;
  if (functions.cuGetErrorName(result, &name) != kSuccess || !name) name = "CUDA error";
  if (functions.cuGetErrorString(result, &text) != kSuccess || !text) text = "not known to the driver";
  return std::string(name) + " (" + std::to_string(result) + "): " + text;
}

}  // namespace rwkv::cuda
