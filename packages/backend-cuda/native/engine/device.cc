#include "engine/device.h"

#include <algorithm>
#include <cstring>

namespace rwkv::cuda {
namespace {

/** An error that leaves the context of no use, and every later call fails with it. */
bool is_lasting(CUresult result) {
  return result >= kIllegalAddress && result < 800 && result != 701 && result != 704 && result != 705 && result != 708;
}

const char* code_of(CUresult result) {
  if (result == kOutOfMemory) return "OUT_OF_MEMORY";
  return is_lasting(result) || result == 214 || result == 226 ? "DEVICE_LOST" : "DRIVER_FAILED";
}

/** Of shared memory, in bytes: what a block may have without asking. */
constexpr uint32_t kSharedUnasked = 48 << 10;

[[noreturn]] void unavailable(const std::string& message) { throw Failure{"DEVICE_UNAVAILABLE", message}; }

}  // namespace

Staging::~Staging() {
  for (Piece& piece : pieces_) {
    if (piece.done) functions_.cuEventDestroy_v2(piece.done);
    if (piece.at) functions_.cuMemFreeHost(piece.at);
  }
}

Staging::Piece& Staging::take() {
  Piece& piece = pieces_[next_];
  next_ = (next_ + 1) % kPieces;
  if (piece.at) {
    wait(piece);
    return piece;
  }
  void* at = nullptr;
  check(functions_.cuMemHostAlloc(&at, kPieceBytes, kHostPortable), "memory for copies");
  const CUresult result = functions_.cuEventCreate(&piece.done, kEventDisableTiming);
  if (result != kSuccess) functions_.cuMemFreeHost(at);
  check(result, "an event for copies");
  piece.at = static_cast<unsigned char*>(at);
  return piece;
}

void Staging::mark(Piece& piece) { check(functions_.cuEventRecord(piece.done, stream_), "marking a copy"); }
void Staging::wait(const Piece& piece) { check(functions_.cuEventSynchronize(piece.done), "waiting for a copy"); }

void Staging::check(CUresult result, const char* what) {
  if (result != kSuccess) throw Failure{code_of(result), what + (": " + describe(functions_, result))};
}

size_t Staging::bytes() const {
  return kPieceBytes * std::count_if(std::begin(pieces_), std::end(pieces_), [](const Piece& piece) { return piece.at; });
}

Device::Device(const DeviceOptions& options) {
  std::string problem;
  library_ = open_library(options.driver, problem);
  if (!library_) unavailable("no NVIDIA driver: " + problem);
  const Functions& driver = library_->functions;
  CUresult result = driver.cuInit(0);
  if (result != kSuccess) unavailable("the NVIDIA driver does not start: " + describe(driver, result));
  int count = 0;
  result = driver.cuDeviceGetCount(&count);
  if (result != kSuccess) unavailable("the NVIDIA driver lists no devices: " + describe(driver, result));
  if (options.ordinal < 0 || options.ordinal >= count) {
    unavailable("there is no device " + std::to_string(options.ordinal) + "; the NVIDIA driver has " + std::to_string(count));
  }
  try {
    check(driver.cuDeviceGet(&device_, options.ordinal), "finding the device");
    char name[256] = "";
    check(driver.cuDeviceGetName(name, sizeof name - 1, device_), "asking for the device's name");
    facts_.name = name;
    facts_.ordinal = options.ordinal;
    const auto ask = [&](DeviceAttribute attribute) {
      int value = 0;
      check(driver.cuDeviceGetAttribute(&value, attribute, device_), "asking the device");
      return value;
    };
    facts_.capability = 10 * ask(kCapabilityMajor) + ask(kCapabilityMinor);
    facts_.multiprocessors = ask(kMultiprocessors);
    facts_.shared_bytes = static_cast<size_t>(ask(kSharedBytesOptIn));
    facts_.second_cache_bytes = static_cast<size_t>(ask(kSecondCacheBytes));
    check(driver.cuDriverGetVersion(&facts_.driver_version), "asking for the driver's version");
    check(driver.cuDeviceTotalMem_v2(&facts_.total_bytes, device_), "asking for the device's memory");
    check(driver.cuDevicePrimaryCtxRetain(&context_, device_), "starting the device");
    check(driver.cuCtxSetCurrent(context_), "using the device");
    check(driver.cuStreamCreate(&stream_, kStreamNonBlocking), "making a stream");
    staging_ = std::make_unique<Staging>(driver, stream_);
  } catch (const Failure& failure) {
    close();
    unavailable(failure.message);
  } catch (...) {
    close();
    throw;
  }
}

Device::~Device() { close(); }

/** What fails here fails because the device is gone, and then there is nothing left to free. */
void Device::close() {
  if (!context_) return;
  const Functions& driver = library_->functions;
  // Whoever closes may be another thread than the one that opened.
  driver.cuCtxSetCurrent(context_);
  if (stream_) driver.cuStreamSynchronize(stream_);
  staging_.reset();
  for (CUmodule module : modules_) driver.cuModuleUnload(module);
  modules_.clear();
  if (stream_) driver.cuStreamDestroy_v2(stream_);
  stream_ = nullptr;
  driver.cuCtxSetCurrent(nullptr);
  driver.cuDevicePrimaryCtxRelease_v2(device_);
  context_ = nullptr;
}

void Device::check(CUresult result, const char* what) {
  if (result == kSuccess) return;
  throw Failure{code_of(result), what + (": " + describe(library_->functions, result))};
}

size_t Device::free_bytes() {
  size_t free = 0, total = 0;
  check(library_->functions.cuMemGetInfo_v2(&free, &total), "asking for free memory");
  return free;
}

void Device::load_module(const void* image) {
  CUmodule module = nullptr;
  const CUresult loaded = library_->functions.cuModuleLoadData(&module, image);
  if (loaded == kNoBinaryForGpu || loaded == kInvalidImage) {
    unavailable("the kernels are not for this device (compute capability " + std::to_string(facts_.capability / 10) + "." +
                std::to_string(facts_.capability % 10) + "): " + describe(library_->functions, loaded));
  }
  check(loaded, "loading the kernels");
  modules_.push_back(module);
}

void Device::find_kernels(const std::vector<std::string>& names) {
  std::vector<CUfunction> found;
  for (const std::string& name : names) {
    CUfunction function = nullptr;
    CUresult result = kNotFound;
    for (size_t i = 0; i < modules_.size() && result == kNotFound; i++) {
      result = library_->functions.cuModuleGetFunction(&function, modules_[i], name.c_str());
    }
    if (result == kNotFound) unavailable("the kernels have no " + name + "; they are of another version");
    check(result, "finding a kernel");
    found.push_back(function);
  }
  kernels_ = std::move(found);
}

std::vector<std::pair<int, int>> Device::kernel_costs() const {
  std::vector<std::pair<int, int>> costs;
  for (CUfunction kernel : kernels_) {
    int registers = 0, local = 0;
    library_->functions.cuFuncGetAttribute(&registers, kRegisters, kernel);
    library_->functions.cuFuncGetAttribute(&local, kLocalBytes, kernel);
    costs.emplace_back(registers, local);
  }
  return costs;
}

CUdeviceptr Device::allocate(size_t bytes) {
  CUdeviceptr address = 0;
  check(library_->functions.cuMemAlloc_v2(&address, bytes), "allocating memory");
  return address;
}

void Device::release(CUdeviceptr address) { check(library_->functions.cuMemFree_v2(address), "freeing memory"); }

Device::HostMemory Device::allocate_host(size_t bytes) {
  const Functions& driver = library_->functions;
  void* at = nullptr;
  check(driver.cuMemHostAlloc(&at, bytes, kHostPortable | kHostMapped), "allocating memory of the host");
  CUdeviceptr address = 0;
  const CUresult result = driver.cuMemHostGetDevicePointer_v2(&address, at, 0);
  if (result != kSuccess) driver.cuMemFreeHost(at);
  check(result, "mapping memory of the host");
  return {static_cast<unsigned char*>(at), address};
}

void Device::release_host(void* at) {
  check(library_->functions.cuMemFreeHost(at), "freeing memory of the host");
}

void Device::upload(CUdeviceptr to, const void* from, size_t bytes) {
  const unsigned char* at = static_cast<const unsigned char*>(from);
  for (size_t done = 0; done < bytes; done += Staging::kPieceBytes) {
    const size_t part = std::min(Staging::kPieceBytes, bytes - done);
    Staging::Piece& piece = staging_->take();
    memcpy(piece.at, at + done, part);
    check(library_->functions.cuMemcpyHtoDAsync_v2(to + done, piece.at, part, stream_), "copying to the device");
    staging_->mark(piece);
  }
}

void Device::copy(CUdeviceptr to, CUdeviceptr from, size_t bytes) {
  check(library_->functions.cuMemcpyDtoDAsync_v2(to, from, bytes, stream_), "copying on the device");
}

void Device::fill_zero(CUdeviceptr at, size_t bytes) {
  check(library_->functions.cuMemsetD8Async(at, 0, bytes, stream_), "clearing memory");
}

void Device::download(void* to, CUdeviceptr from, size_t bytes) {
  unsigned char* at = static_cast<unsigned char*>(to);
  struct Part {
    const Staging::Piece* piece;
    size_t offset, bytes;
  };
  // One part is copied out of its piece while the next one arrives.
  Part before{};
  const auto finish = [&] {
    if (!before.piece) return;
    staging_->wait(*before.piece);
    memcpy(at + before.offset, before.piece->at, before.bytes);
  };
  for (size_t done = 0; done < bytes; done += Staging::kPieceBytes) {
    Staging::Piece& piece = staging_->take();
    const Part part{&piece, done, std::min(Staging::kPieceBytes, bytes - done)};
    check(library_->functions.cuMemcpyDtoHAsync_v2(piece.at, from + done, part.bytes, stream_), "copying from the device");
    staging_->mark(piece);
    finish();
    before = part;
  }
  finish();
}

void Device::wait() { check(library_->functions.cuStreamSynchronize(stream_), "waiting for the device"); }

void Device::copy_to_host(void* pinned, CUdeviceptr from, size_t bytes) {
  check(library_->functions.cuMemcpyDtoHAsync_v2(pinned, from, bytes, stream_), "copying from the device");
}

void Device::copy_from_host(CUdeviceptr to, const void* pinned, size_t bytes) {
  check(library_->functions.cuMemcpyHtoDAsync_v2(to, pinned, bytes, stream_), "copying to the device");
}

void Device::copy_from_peer(CUdeviceptr to, const Peer& peer, CUdeviceptr from, size_t bytes) {
  check(library_->functions.cuMemcpyPeerAsync(to, context_, from, peer.context, bytes, stream_),
        "copying from another device");
}

bool Device::reach(const Peer& peer) {
  int can = 0;
  check(library_->functions.cuDeviceCanAccessPeer(&can, device_, peer.device), "asking for the way to another device");
  if (!can) return false;
  // Of several backends in a process the first one asked.
  const CUresult result = library_->functions.cuCtxEnablePeerAccess(peer.context, 0);
  return result == kSuccess || result == kPeerAlreadyReached;
}

CUevent Device::create_event() {
  CUevent event = nullptr;
  check(library_->functions.cuEventCreate(&event, kEventDisableTiming), "an event for copies");
  return event;
}

void Device::record(CUevent event) { check(library_->functions.cuEventRecord(event, stream_), "marking a copy"); }
void Device::wait(CUevent event) { check(library_->functions.cuEventSynchronize(event), "waiting for a copy"); }
void Device::release(CUevent event) { check(library_->functions.cuEventDestroy_v2(event), "freeing an event"); }

void Device::launch(const LaunchList& list) {
  make_ready(list);
  start(list);
}

/** A driver loads a kernel when it is first asked about; not while a capture is on, where it might have to wait. */
void Device::make_ready(const LaunchList& list) {
  const Functions& driver = library_->functions;
  for (const Launch& each : list.launches) {
    if (each.kernel >= kernels_.size()) throw Failure{"INTERNAL", "a launch is malformed"};
    CUfunction kernel = kernels_[each.kernel];
    int registers = 0;
    check(driver.cuFuncGetAttribute(&registers, kRegisters, kernel), "loading a kernel");
    if (each.shared_bytes <= kSharedUnasked) continue;
    check(driver.cuFuncSetAttribute(kernel, kMostDynamicSharedBytes, static_cast<int>(each.shared_bytes)),
          "asking for shared memory");
  }
}

void Device::start(const LaunchList& list) {
  unsigned char buffer[4096];
  for (const Launch& each : list.launches) {
    size_t bytes = sizeof(CUdeviceptr) + each.bytes;
    if (bytes > sizeof buffer) throw Failure{"INTERNAL", "a launch is malformed"};
    memcpy(buffer, &list.step, sizeof(CUdeviceptr));
    memcpy(buffer + sizeof(CUdeviceptr), list.arguments.data() + each.offset, each.bytes);
    void* extra[] = {kLaunchBuffer, buffer, kLaunchBufferBytes, &bytes, kLaunchEnd};
    CUfunction kernel = kernels_[each.kernel];
    check(library_->functions.cuLaunchKernel(kernel, each.grid[0], each.grid[1], each.grid[2], each.threads, 1, 1,
                                             each.shared_bytes, stream_, nullptr, extra),
          "launching a kernel");
  }
}

CUgraphExec Device::capture(const LaunchList& list) {
  const Functions& driver = library_->functions;
  make_ready(list);
  check(driver.cuStreamBeginCapture_v2(stream_, kCaptureThreadLocal), "beginning a capture");
  CUgraph graph = nullptr;
  try {
    start(list);
  } catch (const Failure&) {
    if (driver.cuStreamEndCapture(stream_, &graph) == kSuccess && graph) driver.cuGraphDestroy(graph);
    throw;
  }
  check(driver.cuStreamEndCapture(stream_, &graph), "ending a capture");
  CUgraphExec ready = nullptr;
  const CUresult result = driver.cuGraphInstantiateWithFlags(&ready, graph, 0);
  driver.cuGraphDestroy(graph);
  check(result, "preparing a graph");
  return ready;
}

void Device::replay(CUgraphExec graph) { check(library_->functions.cuGraphLaunch(graph, stream_), "starting a step"); }

void Device::release(CUgraphExec graph) {
  check(library_->functions.cuGraphExecDestroy(graph), "freeing a graph");
}

}  // namespace rwkv::cuda
