/** Numbers and names of driver/cuda.h are those of a toolkit's cuda.h; without a toolkit there is nothing to hold them against. */
#include "driver/cuda.h"

#include <cstdio>

#if __has_include(<cuda.h>)
#include <cuda.h>

namespace mine = rwkv::cuda;
static_assert(mine::kSuccess == CUDA_SUCCESS && mine::kInvalidValue == CUDA_ERROR_INVALID_VALUE);
static_assert(mine::kOutOfMemory == CUDA_ERROR_OUT_OF_MEMORY && mine::kNotInitialized == CUDA_ERROR_NOT_INITIALIZED);
static_assert(mine::kNoDevice == CUDA_ERROR_NO_DEVICE && mine::kInvalidDevice == CUDA_ERROR_INVALID_DEVICE);
static_assert(mine::kInvalidImage == CUDA_ERROR_INVALID_IMAGE && mine::kNoBinaryForGpu == CUDA_ERROR_NO_BINARY_FOR_GPU);
static_assert(mine::kNotFound == CUDA_ERROR_NOT_FOUND && mine::kNotReady == CUDA_ERROR_NOT_READY);
static_assert(mine::kInvalidHandle == CUDA_ERROR_INVALID_HANDLE);
static_assert(mine::kPeerAlreadyReached == CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED);
static_assert(mine::kIllegalAddress == CUDA_ERROR_ILLEGAL_ADDRESS && mine::kLaunchFailed == CUDA_ERROR_LAUNCH_FAILED);
static_assert(int{mine::kClockKilohertz} == CU_DEVICE_ATTRIBUTE_CLOCK_RATE);
static_assert(int{mine::kMultiprocessors} == CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT);
static_assert(int{mine::kMemoryClockKilohertz} == CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE);
static_assert(int{mine::kMemoryBusBits} == CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH);
static_assert(int{mine::kSecondCacheBytes} == CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE);
static_assert(int{mine::kCapabilityMajor} == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR);
static_assert(int{mine::kCapabilityMinor} == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
static_assert(int{mine::kSharedBytesOptIn} == CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN);
static_assert(int{mine::kLocalBytes} == CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES && int{mine::kRegisters} == CU_FUNC_ATTRIBUTE_NUM_REGS);
static_assert(int{mine::kMostDynamicSharedBytes} == CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES);
static_assert(mine::kHostPortable == CU_MEMHOSTALLOC_PORTABLE && mine::kHostMapped == CU_MEMHOSTALLOC_DEVICEMAP);
static_assert(mine::kStreamNonBlocking == CU_STREAM_NON_BLOCKING && mine::kEventDisableTiming == CU_EVENT_DISABLE_TIMING);
static_assert(mine::kCaptureThreadLocal == CU_STREAM_CAPTURE_MODE_THREAD_LOCAL);
static_assert(sizeof(mine::CUdeviceptr) == sizeof(CUdeviceptr) && sizeof(mine::CUresult) == sizeof(CUresult));

template <class Mine, class Theirs>
constexpr bool kAlike = false;
template <class... Mine, class... Theirs>
constexpr bool kAlike<int (*)(Mine...), CUresult (*)(Theirs...)> =
    sizeof...(Mine) == sizeof...(Theirs) && ((sizeof(Mine) == sizeof(Theirs)) && ...);
#define CHECK(name, parameters) \
  static_assert(kAlike<decltype(mine::Functions::name), decltype(&::name)>, #name " takes other arguments");
RWKV_CUDA_FUNCTIONS(CHECK)
#endif

int main() {
#if !__has_include(<cuda.h>)
  puts("no cuda.h here");
#endif
  return 0;
}
