/**
 * As much of CUDA's driver interface as this backend calls, so that the addon builds without a toolkit and loads without
 * a driver. Names are the driver's own; test/driver.test.cc holds the numbers against a toolkit's cuda.h where there is one.
 */
#pragma once

#include <cstddef>
#include <cstdint>

namespace rwkv::cuda {

using CUresult = int;
using CUdevice = int;
using CUdeviceptr = unsigned long long;
using CUcontext = struct Context*;
using CUmodule = struct Module*;
using CUfunction = struct Function*;
using CUstream = struct Stream*;
using CUevent = struct Event*;
using CUgraph = struct Graph*;
using CUgraphExec = struct GraphExec*;

constexpr CUresult kSuccess = 0;
constexpr CUresult kInvalidValue = 1;
constexpr CUresult kOutOfMemory = 2;
constexpr CUresult kNotInitialized = 3;
constexpr CUresult kNoDevice = 100;
constexpr CUresult kInvalidDevice = 101;
constexpr CUresult kInvalidImage = 200;
constexpr CUresult kNoBinaryForGpu = 209;
constexpr CUresult kInvalidHandle = 400;
constexpr CUresult kNotFound = 500;
constexpr CUresult kNotReady = 600;
constexpr CUresult kIllegalAddress = 700;
constexpr CUresult kPeerAlreadyReached = 704;
constexpr CUresult kLaunchFailed = 719;

enum DeviceAttribute : int {
  kClockKilohertz = 13,
  kMultiprocessors = 16,
  kMemoryClockKilohertz = 36,
  kMemoryBusBits = 37,
  kSecondCacheBytes = 38,
  kCapabilityMajor = 75,
  kCapabilityMinor = 76,
  kSharedBytesOptIn = 97,
};

enum FunctionAttribute : int { kLocalBytes = 3, kRegisters = 4, kMostDynamicSharedBytes = 8 };

constexpr unsigned kHostPortable = 1, kHostMapped = 2;
constexpr unsigned kStreamNonBlocking = 1;
constexpr unsigned kEventDisableTiming = 2;
constexpr int kCaptureThreadLocal = 1;

/** `extra` of cuLaunchKernel: the arguments as one stretch of bytes. */
inline void* const kLaunchEnd = nullptr;
inline void* const kLaunchBuffer = reinterpret_cast<void*>(1);
inline void* const kLaunchBufferBytes = reinterpret_cast<void*>(2);

/** RWKV_CUDA_FUNCTIONS(FUNCTION): FUNCTION(exported name, parameters) for each. */
#define RWKV_CUDA_FUNCTIONS(FUNCTION)                                                                                  \
  FUNCTION(cuInit, (unsigned flags))                                                                                   \
  FUNCTION(cuDriverGetVersion, (int* version))                                                                         \
  FUNCTION(cuGetErrorName, (CUresult error, const char** name))                                                        \
  FUNCTION(cuGetErrorString, (CUresult error, const char** text))                                                      \
  FUNCTION(cuDeviceGetCount, (int* count))                                                                             \
  FUNCTION(cuDeviceGet, (CUdevice* device, int ordinal))                                                               \
  FUNCTION(cuDeviceGetName, (char* name, int length, CUdevice device))                                                 \
  FUNCTION(cuDeviceGetAttribute, (int* value, int attribute, CUdevice device))                                         \
  FUNCTION(cuDeviceTotalMem_v2, (size_t* bytes, CUdevice device))                                                      \
  FUNCTION(cuDevicePrimaryCtxRetain, (CUcontext* context, CUdevice device))                                            \
  FUNCTION(cuDevicePrimaryCtxRelease_v2, (CUdevice device))                                                            \
  FUNCTION(cuCtxSetCurrent, (CUcontext context))                                                                       \
  FUNCTION(cuDeviceCanAccessPeer, (int* can, CUdevice device, CUdevice peer))                                          \
  FUNCTION(cuCtxEnablePeerAccess, (CUcontext peer, unsigned flags))                                                    \
  FUNCTION(cuMemGetInfo_v2, (size_t* free, size_t* total))                                                             \
  FUNCTION(cuMemAlloc_v2, (CUdeviceptr* address, size_t bytes))                                                        \
  FUNCTION(cuMemFree_v2, (CUdeviceptr address))                                                                        \
  FUNCTION(cuMemHostAlloc, (void** at, size_t bytes, unsigned flags))                                                  \
  FUNCTION(cuMemFreeHost, (void* at))                                                                                  \
  FUNCTION(cuMemHostGetDevicePointer_v2, (CUdeviceptr* address, void* at, unsigned))                                   \
  FUNCTION(cuMemcpyHtoDAsync_v2, (CUdeviceptr to, const void* from, size_t bytes, CUstream))                           \
  FUNCTION(cuMemcpyDtoHAsync_v2, (void* to, CUdeviceptr from, size_t bytes, CUstream))                                 \
  FUNCTION(cuMemcpyDtoDAsync_v2, (CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream))                           \
  FUNCTION(cuMemcpyPeerAsync, (CUdeviceptr to, CUcontext toContext, CUdeviceptr from, CUcontext fromContext, size_t bytes, \
            CUstream))                                                                                                 \
  FUNCTION(cuMemsetD8Async, (CUdeviceptr at, unsigned char byte, size_t count, CUstream))                              \
  FUNCTION(cuModuleLoadData, (CUmodule* module, const void* image))                                                    \
  FUNCTION(cuModuleUnload, (CUmodule module))                                                                          \
  FUNCTION(cuModuleGetFunction, (CUfunction* function, CUmodule module, const char* name))                             \
  FUNCTION(cuFuncGetAttribute, (int* value, int attribute, CUfunction function))                                       \
  FUNCTION(cuFuncSetAttribute, (CUfunction function, int attribute, int value))                                        \
  FUNCTION(cuLaunchKernel, (CUfunction function, unsigned gridX, unsigned gridY, unsigned gridZ, unsigned blockX, unsigned blockY, \
            unsigned blockZ, unsigned sharedBytes, CUstream stream, void** arguments, void** extra))                   \
  FUNCTION(cuStreamCreate, (CUstream* stream, unsigned flags))                                                         \
  FUNCTION(cuStreamDestroy_v2, (CUstream stream))                                                                      \
  FUNCTION(cuStreamSynchronize, (CUstream stream))                                                                     \
  FUNCTION(cuStreamBeginCapture_v2, (CUstream stream, int mode))                                                       \
  FUNCTION(cuStreamEndCapture, (CUstream stream, CUgraph* graph))                                                      \
  FUNCTION(cuGraphInstantiateWithFlags, (CUgraphExec* exec, CUgraph graph, uint64_t flags))                            \
  FUNCTION(cuGraphLaunch, (CUgraphExec exec, CUstream stream))                                                         \
  FUNCTION(cuGraphExecDestroy, (CUgraphExec exec))                                                                     \
  FUNCTION(cuGraphDestroy, (CUgraph graph))                                                                            \
  FUNCTION(cuEventCreate, (CUevent* event, unsigned flags))                                                            \
  FUNCTION(cuEventDestroy_v2, (CUevent event))                                                                         \
  FUNCTION(cuEventRecord, (CUevent event, CUstream stream))                                                            \
  FUNCTION(cuEventSynchronize, (CUevent event))                                                                        \
  FUNCTION(cuEventQuery, (CUevent event))

/** The driver's functions, found by name. */
struct Functions {
#define RWKV_CUDA_FIELD(name, parameters) CUresult(*name) parameters = nullptr;
  RWKV_CUDA_FUNCTIONS(RWKV_CUDA_FIELD)
#undef RWKV_CUDA_FIELD
};

}  // namespace rwkv::cuda
