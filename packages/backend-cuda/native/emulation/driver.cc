/**
 * Over 400 lines because it is every function of driver/cuda.h, in its order.
 *
 * A CUDA driver without a device: the functions of driver/cuda.h over the emulation's machine, as a library that the addon
 * opens in the place of the real one. Kernels are those compiled into it; what a stream is given is done at once, in the
 * calling thread. The environment chooses, at the time of each call:
 *
 *   RWKV_EMULATED_ORDER       forward | reverse | shuffled: the order of a block's threads
 *   RWKV_EMULATED_MEMORY      bytes of a device, or of each, with commas between them; default 8 GiB
 *   RWKV_EMULATED_CAPABILITY  compute capability, 80 for 8.0; default 90
 *   RWKV_EMULATED_DEVICES     how many; default 2
 *   RWKV_EMULATED_PEERS       1 where devices reach each other's memory, 0 (default) where they do not, or broken where they
 *                             say so and copy nothing
 *   RWKV_EMULATED_FAIL        function[@device]:result[:calls], cuLaunchKernel:719:10 for example: the call after so many
 *                             fails, and from a lasting error on every other call on that device too, until the variable
 *                             changes
 *
 * Devices are apart: a copy or a launch that is given memory of another one is an error, as it is on real ones.
 */
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "driver/cuda.h"
#include "emulation/machine.h"

namespace rwkv::cuda {

struct Context {
  int device;
};
struct Module {};
struct Function {
  const emulation::Kernel* kernel;
  size_t dynamic_shared = 48 << 10;
};
struct Recorded {
  Function* function;
  unsigned grid[3], threads;
  size_t dynamic_shared;
  std::vector<unsigned char> arguments;
};
struct Graph {
  std::vector<Recorded> launches;
};
struct GraphExec {
  std::vector<Recorded> launches;
};
struct Stream {
  int device;
  Graph* capture = nullptr;
};
struct Event {};

namespace {

std::recursive_mutex mutex;
constexpr int kHost = -1;
constexpr int kMostDevices = 16;
struct Allocation {
  size_t bytes;
  int device;
};
std::map<uintptr_t, Allocation> allocations;
size_t allocated[kMostDevices] = {};
CUresult lasting[kMostDevices] = {};
/** How many use the device's context. */
int retained[kMostDevices] = {};
/** Of the calling thread; before it has one, the first. */
thread_local int current = 0;
std::string failing;
unsigned long calls_left = 0;
constexpr size_t kMostShared = 227 << 10;

std::string setting(const char* name, const char* otherwise) {
  const char* value = getenv(name);
  return value && *value ? value : otherwise;
}

/** Where fewer are given than there are devices, the last one is the others', too. */
size_t total_bytes(int device) {
  const std::string given = setting("RWKV_EMULATED_MEMORY", "8589934592");
  size_t at = 0;
  for (; device > 0 && given.find(',', at) != std::string::npos; device--) at = given.find(',', at) + 1;
  return std::stoull(given.substr(at));
}
int device_count() { return std::min(std::stoi(setting("RWKV_EMULATED_DEVICES", "2")), kMostDevices); }

emulation::Order order() {
  const std::string name = setting("RWKV_EMULATED_ORDER", "forward");
  if (name == "reverse") return emulation::Order::reverse;
  return name == "shuffled" ? emulation::Order::shuffled : emulation::Order::forward;
}

/** What a call returns before it does anything. */
CUresult planned(const char* function) {
  const std::string plan = setting("RWKV_EMULATED_FAIL", "");
  if (plan != failing) {
    failing = plan;
    std::fill(std::begin(lasting), std::end(lasting), kSuccess);
    const size_t last = plan.rfind(':');
    calls_left = last != std::string::npos && plan.find(':') != last ? std::stoul(plan.substr(last + 1)) : 0;
  }
  if (lasting[current] != kSuccess) return lasting[current];
  const size_t colon = plan.find(':');
  if (colon == std::string::npos) return kSuccess;
  const std::string where = plan.substr(0, colon);
  if (where != function && where != function + ('@' + std::to_string(current))) return kSuccess;
  if (calls_left > 0) {
    calls_left--;
    return kSuccess;
  }
  const CUresult result = std::stoi(plan.substr(colon + 1));
  if (result >= kIllegalAddress) lasting[current] = result;
  return result;
}

/** The allocation that the address lies in, or null. */
const std::pair<const uintptr_t, Allocation>* find_allocation(CUdeviceptr at) {
  auto after = allocations.upper_bound(at);
  if (after == allocations.begin()) return nullptr;
  const auto& found = *--after;
  return at - found.first <= found.second.bytes ? &found : nullptr;
}

/** Whether the bytes lie in one allocation that the device reaches: its own, or the host's. */
bool is_allocated(CUdeviceptr at, size_t bytes, int device = current) {
  const auto* found = find_allocation(at);
  if (!found || (found->second.device != device && found->second.device != kHost)) return false;
  return bytes <= found->second.bytes - (at - found->first);
}

size_t free_bytes(int device) { return total_bytes(device) - std::min(total_bytes(device), allocated[device]); }

CUresult allocate(uintptr_t* at, size_t bytes, bool on_device) {
  if (bytes == 0) return kInvalidValue;
  if (on_device && bytes > free_bytes(current)) return kOutOfMemory;
  void* memory = aligned_alloc(256, (bytes + 255) / 256 * 256);
  if (!memory) return kOutOfMemory;
  // NaN wherever nobody writes.
  memset(memory, 0xff, bytes);
  *at = reinterpret_cast<uintptr_t>(memory);
  allocations[*at] = {bytes, on_device ? current : kHost};
  if (on_device) allocated[current] += bytes;
  return kSuccess;
}

CUresult release(uintptr_t at, bool on_device) {
  const auto found = allocations.find(at);
  if (found == allocations.end()) return kInvalidValue;
  if (on_device) allocated[found->second.device] -= found->second.bytes;
  allocations.erase(found);
  free(reinterpret_cast<void*>(at));
  return kSuccess;
}

/** Whether the arguments, in which pointers lie at multiples of 8, have the address of memory of another device. */
bool names_another_device(const Recorded& launch) {
  for (size_t at = 0; at + sizeof(uint64_t) <= launch.arguments.size(); at += sizeof(uint64_t)) {
    uint64_t word;
    memcpy(&word, launch.arguments.data() + at, sizeof word);
    const auto* found = find_allocation(word);
    if (!found || word - found->first == found->second.bytes) continue;
    if (found->second.device != current && found->second.device != kHost) return true;
  }
  return false;
}

CUresult execute(const Recorded& launch) {
  const CUresult result = planned("execution");
  if (result != kSuccess) return result;
  if (names_another_device(launch)) {
    fprintf(stderr, "emulated kernel %s: given memory of another device\n", launch.function->kernel->name);
    return lasting[current] = kIllegalAddress;
  }
  const unsigned char* buffer = launch.arguments.data();
  const void* step;
  memcpy(&step, buffer, sizeof step);
  // A copy, aligned as its struct is.
  alignas(16) unsigned char arguments[4096];
  memcpy(arguments, buffer + sizeof step, launch.arguments.size() - sizeof step);
  const std::string problem = emulation::run({launch.function->kernel,
                                              {launch.grid[0], launch.grid[1], launch.grid[2]},
                                              launch.threads,
                                              launch.dynamic_shared,
                                              step,
                                              arguments},
                                             order());
  if (problem.empty()) return kSuccess;
  fprintf(stderr, "emulated kernel %s\n", problem.c_str());
  return lasting[current] = kLaunchFailed;
}

}  // namespace
}  // namespace rwkv::cuda

using namespace rwkv::cuda;

#define EXPORTED extern "C" __attribute__((visibility("default")))
/** What is planned for a function comes before what it does. */
#define PLANNED(name)                                       \
  const std::lock_guard<std::recursive_mutex> lock(mutex);  \
  if (const CUresult refused = planned(#name); refused != kSuccess) return refused

EXPORTED CUresult cuInit(unsigned) {
  PLANNED(cuInit);
  return kSuccess;
}
EXPORTED CUresult cuDriverGetVersion(int* version) {
  PLANNED(cuDriverGetVersion);
  *version = 13000;
  return kSuccess;
}
EXPORTED CUresult cuDeviceGetCount(int* count) {
  PLANNED(cuDeviceGetCount);
  *count = device_count();
  return kSuccess;
}
EXPORTED CUresult cuDeviceGet(CUdevice* device, int ordinal) {
  PLANNED(cuDeviceGet);
  if (ordinal < 0 || ordinal >= device_count()) return kInvalidDevice;
  *device = ordinal;
  return kSuccess;
}
EXPORTED CUresult cuDeviceGetName(char* name, int length, CUdevice) {
  PLANNED(cuDeviceGetName);
  snprintf(name, static_cast<size_t>(length), "emulated device");
  return kSuccess;
}
EXPORTED CUresult cuDeviceGetAttribute(int* value, int attribute, CUdevice) {
  PLANNED(cuDeviceGetAttribute);
  const int capability = std::stoi(setting("RWKV_EMULATED_CAPABILITY", "90"));
  switch (attribute) {
    case kCapabilityMajor: *value = capability / 10; return kSuccess;
    case kCapabilityMinor: *value = capability % 10; return kSuccess;
    case kMultiprocessors: *value = 2; return kSuccess;
    case kSharedBytesOptIn: *value = static_cast<int>(kMostShared); return kSuccess;
    case kSecondCacheBytes: *value = 1 << 20; return kSuccess;
    default: return kInvalidValue;
  }
}
EXPORTED CUresult cuDeviceTotalMem_v2(size_t* bytes, CUdevice device) {
  PLANNED(cuDeviceTotalMem_v2);
  *bytes = total_bytes(device);
  return kSuccess;
}
EXPORTED CUresult cuDevicePrimaryCtxRetain(CUcontext* context, CUdevice device) {
  PLANNED(cuDevicePrimaryCtxRetain);
  static Context contexts[kMostDevices];
  contexts[device].device = device;
  *context = &contexts[device];
  retained[device]++;
  return kSuccess;
}
EXPORTED CUresult cuDevicePrimaryCtxRelease_v2(CUdevice device) {
  const std::lock_guard<std::recursive_mutex> lock(mutex);
  // With its last user a context goes, whatever state it is in, and all that it holds.
  if (--retained[device] == 0) {
    for (auto each = allocations.begin(); each != allocations.end();) {
      const auto at = each++;
      if (at->second.device == device) release(at->first, true);
    }
  }
  return planned("cuDevicePrimaryCtxRelease_v2");
}
EXPORTED CUresult cuCtxSetCurrent(CUcontext context) {
  PLANNED(cuCtxSetCurrent);
  current = context ? context->device : 0;
  return kSuccess;
}
EXPORTED CUresult cuDeviceCanAccessPeer(int* can, CUdevice, CUdevice) {
  PLANNED(cuDeviceCanAccessPeer);
  *can = setting("RWKV_EMULATED_PEERS", "0") != "0";
  return kSuccess;
}
EXPORTED CUresult cuCtxEnablePeerAccess(CUcontext, unsigned) {
  PLANNED(cuCtxEnablePeerAccess);
  static bool reached = false;
  const bool again = reached;
  reached = true;
  return again ? kPeerAlreadyReached : kSuccess;
}

EXPORTED CUresult cuMemGetInfo_v2(size_t* free, size_t* total) {
  PLANNED(cuMemGetInfo_v2);
  *total = total_bytes(current);
  *free = free_bytes(current);
  return kSuccess;
}
EXPORTED CUresult cuMemAlloc_v2(CUdeviceptr* address, size_t bytes) {
  PLANNED(cuMemAlloc_v2);
  uintptr_t at = 0;
  const CUresult result = allocate(&at, bytes, true);
  *address = at;
  return result;
}
EXPORTED CUresult cuMemFree_v2(CUdeviceptr address) {
  PLANNED(cuMemFree_v2);
  return release(static_cast<uintptr_t>(address), true);
}
EXPORTED CUresult cuMemHostAlloc(void** at, size_t bytes, unsigned) {
  PLANNED(cuMemHostAlloc);
  uintptr_t got = 0;
  const CUresult result = allocate(&got, bytes, false);
  *at = reinterpret_cast<void*>(got);
  return result;
}
EXPORTED CUresult cuMemFreeHost(void* at) {
  PLANNED(cuMemFreeHost);
  return release(reinterpret_cast<uintptr_t>(at), false);
}
EXPORTED CUresult cuMemHostGetDevicePointer_v2(CUdeviceptr* address, void* at, unsigned) {
  PLANNED(cuMemHostGetDevicePointer_v2);
  *address = reinterpret_cast<uintptr_t>(at);
  return kSuccess;
}
EXPORTED CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void* from, size_t bytes, CUstream) {
  PLANNED(cuMemcpyHtoDAsync_v2);
  if (!is_allocated(to, bytes)) return kInvalidValue;
  memcpy(reinterpret_cast<void*>(to), from, bytes);
  return kSuccess;
}
EXPORTED CUresult cuMemcpyDtoHAsync_v2(void* to, CUdeviceptr from, size_t bytes, CUstream) {
  PLANNED(cuMemcpyDtoHAsync_v2);
  if (!is_allocated(from, bytes)) return kInvalidValue;
  memcpy(to, reinterpret_cast<const void*>(from), bytes);
  return kSuccess;
}
EXPORTED CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream) {
  PLANNED(cuMemcpyDtoDAsync_v2);
  if (!is_allocated(to, bytes) || !is_allocated(from, bytes)) return kInvalidValue;
  memmove(reinterpret_cast<void*>(to), reinterpret_cast<const void*>(from), bytes);
  return kSuccess;
}
EXPORTED CUresult cuMemcpyPeerAsync(CUdeviceptr to, CUcontext to_context, CUdeviceptr from, CUcontext from_context,
                                    size_t bytes, CUstream) {
  PLANNED(cuMemcpyPeerAsync);
  if (!is_allocated(to, bytes, to_context->device) || !is_allocated(from, bytes, from_context->device)) return kInvalidValue;
  if (setting("RWKV_EMULATED_PEERS", "0") == "broken") return kSuccess;
  memcpy(reinterpret_cast<void*>(to), reinterpret_cast<const void*>(from), bytes);
  return kSuccess;
}
EXPORTED CUresult cuMemsetD8Async(CUdeviceptr at, unsigned char byte, size_t count, CUstream) {
  PLANNED(cuMemsetD8Async);
  if (!is_allocated(at, count)) return kInvalidValue;
  memset(reinterpret_cast<void*>(at), byte, count);
  return kSuccess;
}

EXPORTED CUresult cuModuleLoadData(CUmodule* module, const void*) {
  PLANNED(cuModuleLoadData);
  *module = new Module();
  return kSuccess;
}
EXPORTED CUresult cuModuleUnload(CUmodule module) {
  PLANNED(cuModuleUnload);
  delete module;
  return kSuccess;
}
EXPORTED CUresult cuModuleGetFunction(CUfunction* function, CUmodule, const char* name) {
  PLANNED(cuModuleGetFunction);
  static std::map<std::string, Function> functions;
  for (const rwkv::emulation::Kernel& kernel : rwkv::emulation::kernels()) {
    if (strcmp(kernel.name, name) != 0) continue;
    *function = &functions.try_emplace(name, Function{&kernel}).first->second;
    return kSuccess;
  }
  return kNotFound;
}
EXPORTED CUresult cuFuncGetAttribute(int* value, int, CUfunction) {
  PLANNED(cuFuncGetAttribute);
  *value = 0;
  return kSuccess;
}
EXPORTED CUresult cuFuncSetAttribute(CUfunction function, int attribute, int value) {
  PLANNED(cuFuncSetAttribute);
  if (attribute != kMostDynamicSharedBytes || value < 0 || static_cast<size_t>(value) > kMostShared) return kInvalidValue;
  function->dynamic_shared = static_cast<size_t>(value);
  return kSuccess;
}
EXPORTED CUresult cuLaunchKernel(CUfunction function, unsigned grid_x, unsigned grid_y, unsigned grid_z,
                                 unsigned threads, unsigned threads_y, unsigned threads_z, unsigned shared_bytes,
                                 CUstream stream, void**, void** extra) {
  PLANNED(cuLaunchKernel);
  const unsigned char* buffer = static_cast<const unsigned char*>(extra[1]);
  const size_t bytes = *static_cast<const size_t*>(extra[3]);
  const bool fits = grid_x > 0 && grid_y > 0 && grid_z > 0 && grid_x <= 0x7fffffff && grid_y <= 65535 &&
                    grid_z <= 65535 && threads_y == 1 && threads_z == 1 && shared_bytes <= function->dynamic_shared;
  if (stream->device != current) return kInvalidHandle;
  if (!fits || bytes != sizeof(void*) + function->kernel->argument_bytes) return kInvalidValue;
  Recorded launch{function, {grid_x, grid_y, grid_z}, threads, shared_bytes, {buffer, buffer + bytes}};
  if (!stream->capture) return execute(launch);
  stream->capture->launches.push_back(std::move(launch));
  return kSuccess;
}

EXPORTED CUresult cuStreamCreate(CUstream* stream, unsigned) {
  PLANNED(cuStreamCreate);
  *stream = new Stream{current};
  return kSuccess;
}
EXPORTED CUresult cuStreamDestroy_v2(CUstream stream) {
  PLANNED(cuStreamDestroy_v2);
  delete stream;
  return kSuccess;
}
EXPORTED CUresult cuStreamSynchronize(CUstream) {
  PLANNED(cuStreamSynchronize);
  return kSuccess;
}
EXPORTED CUresult cuStreamBeginCapture_v2(CUstream stream, int) {
  PLANNED(cuStreamBeginCapture_v2);
  stream->capture = new Graph();
  return kSuccess;
}
EXPORTED CUresult cuStreamEndCapture(CUstream stream, CUgraph* graph) {
  PLANNED(cuStreamEndCapture);
  *graph = stream->capture;
  stream->capture = nullptr;
  return *graph ? kSuccess : kInvalidValue;
}
EXPORTED CUresult cuGraphInstantiateWithFlags(CUgraphExec* exec, CUgraph graph, uint64_t) {
  PLANNED(cuGraphInstantiateWithFlags);
  *exec = new GraphExec{graph->launches};
  return kSuccess;
}
EXPORTED CUresult cuGraphLaunch(CUgraphExec exec, CUstream stream) {
  PLANNED(cuGraphLaunch);
  if (stream->device != current) return kInvalidHandle;
  for (const Recorded& launch : exec->launches) {
    if (const CUresult result = execute(launch); result != kSuccess) return result;
  }
  return kSuccess;
}
EXPORTED CUresult cuGraphExecDestroy(CUgraphExec exec) {
  PLANNED(cuGraphExecDestroy);
  delete exec;
  return kSuccess;
}
EXPORTED CUresult cuGraphDestroy(CUgraph graph) {
  PLANNED(cuGraphDestroy);
  delete graph;
  return kSuccess;
}
EXPORTED CUresult cuEventCreate(CUevent* event, unsigned) {
  PLANNED(cuEventCreate);
  *event = new Event();
  return kSuccess;
}
EXPORTED CUresult cuEventDestroy_v2(CUevent event) {
  PLANNED(cuEventDestroy_v2);
  delete event;
  return kSuccess;
}
EXPORTED CUresult cuEventRecord(CUevent, CUstream) {
  PLANNED(cuEventRecord);
  return kSuccess;
}
EXPORTED CUresult cuEventSynchronize(CUevent) {
  PLANNED(cuEventSynchronize);
  return kSuccess;
}
EXPORTED CUresult cuEventQuery(CUevent) {
  PLANNED(cuEventQuery);
  return kSuccess;
}

// What an error is called never fails.
EXPORTED CUresult cuGetErrorName(CUresult error, const char** name) {
  switch (error) {
    case kInvalidValue: *name = "CUDA_ERROR_INVALID_VALUE"; break;
    case kOutOfMemory: *name = "CUDA_ERROR_OUT_OF_MEMORY"; break;
    case kNoDevice: *name = "CUDA_ERROR_NO_DEVICE"; break;
    case kInvalidDevice: *name = "CUDA_ERROR_INVALID_DEVICE"; break;
    case kNoBinaryForGpu: *name = "CUDA_ERROR_NO_BINARY_FOR_GPU"; break;
    case kNotFound: *name = "CUDA_ERROR_NOT_FOUND"; break;
    case kIllegalAddress: *name = "CUDA_ERROR_ILLEGAL_ADDRESS"; break;
    case kLaunchFailed: *name = "CUDA_ERROR_LAUNCH_FAILED"; break;
    default: *name = "CUDA_ERROR_UNKNOWN"; break;
  }
  return kSuccess;
}
EXPORTED CUresult cuGetErrorString(CUresult, const char** text) {
  *text = "of the emulation";
  return kSuccess;
}

/** The kernels and the layouts of their arguments as JSON, for the test that holds src/kernels against them. */
EXPORTED const char* rwkv_emulated_kernels() {
  static const std::string json = [] {
    std::string text = "{\"kernels\":[";
    for (const auto& kernel : rwkv::emulation::kernels()) {
      text += text.back() == '[' ? "" : ",";
      text += "{\"name\":\"" + std::string(kernel.name) + "\",\"arguments\":\"" + kernel.arguments +
              "\",\"bytes\":" + std::to_string(kernel.argument_bytes) + ",\"mostThreads\":" + std::to_string(kernel.most_threads) + "}";
    }
    text += "],\"structs\":[";
    for (const auto& each : rwkv::emulation::descriptions()) {
      text += text.back() == '[' ? "" : ",";
      text += "{\"name\":\"" + std::string(each.name) + "\",\"bytes\":" + std::to_string(each.bytes) + ",\"fields\":[";
      for (const auto& field : each.fields) {
        text += text.back() == '[' ? "" : ",";
        text += "{\"name\":\"" + std::string(field.name) + "\",\"kind\":\"" + field.kind +
                "\",\"offset\":" + std::to_string(field.offset) + ",\"bytes\":" + std::to_string(field.bytes) + "}";
      }
      text += "]}";
    }
    return text + "]}";
  }();
  return json.c_str();
}
