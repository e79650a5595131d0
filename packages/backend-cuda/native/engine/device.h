/**
 * One GPU through the driver: memory, kernels, and a stream in which everything happens in call order. Every method may
 * be called from the thread that opened it alone, and says by a `Failure` what the driver refused.
 */
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "driver/library.h"

namespace rwkv::cuda {

/** What the driver said. `code` is a name of src/native.ts: OUT_OF_MEMORY, DEVICE_LOST, … */
struct Failure {
  const char* code;
  std::string message;
};

struct DeviceOptions {
  /** The driver's library; empty is the system's own. */
  std::string driver;
  int ordinal = 0;
};

struct DeviceFacts {
  std::string name;
  int ordinal = 0, driver_version = 0, capability = 0, multiprocessors = 0;
  size_t total_bytes = 0, shared_bytes = 0, second_cache_bytes = 0;
};

/** What of one launch is the same in every step. */
struct Launch {
  uint32_t kernel, grid[3], threads, shared_bytes;
  /** Of the arguments in the list's bytes. */
  uint32_t offset, bytes;
};

/** Launches in order, with the bytes of their arguments. */
struct LaunchList {
  std::vector<Launch> launches;
  std::vector<unsigned char> arguments;
  /** What every kernel gets as its first argument. */
  CUdeviceptr step = 0;
};

/** What another device knows a device by. */
struct Peer {
  CUcontext context;
  CUdevice device;
};

/** Memory of the host that the device's copies go through at full speed; its pieces are taken in turns. */
class Staging {
 public:
  static constexpr size_t kPieceBytes = size_t{4} << 20;
  struct Piece {
    unsigned char* at = nullptr;
    CUevent done = nullptr;
  };

  Staging(const Functions& functions, CUstream stream) : functions_(functions), stream_(stream) {}
  ~Staging();
  /** A piece that no copy uses any more; not again before the others were taken. */
  Piece& take();
  /** Copies queued so far use it. */
  void mark(Piece& piece);
  /** Until the copies marked are done. */
  void wait(const Piece& piece);
  size_t bytes() const;

 private:
  static constexpr unsigned kPieces = 3;
  void check(CUresult result, const char* what);
  const Functions& functions_;
  CUstream stream_;
  Piece pieces_[kPieces];
  unsigned next_ = 0;
};

class Device {
 public:
  explicit Device(const DeviceOptions& options);
  ~Device();
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  const DeviceFacts& facts() const { return facts_; }
  size_t free_bytes();

  /** A fatbin. */
  void load_module(const void* image);
  /** Kernels of the modules, which launches name by their place here. */
  void find_kernels(const std::vector<std::string>& names);
  /** [registers, bytes of local memory] of each kernel. */
  std::vector<std::pair<int, int>> kernel_costs() const;

  CUdeviceptr allocate(size_t bytes);
  void release(CUdeviceptr address);
  /** Memory of the host that kernels read over the bus, and its address for them. */
  struct HostMemory {
    unsigned char* at;
    CUdeviceptr address;
  };
  HostMemory allocate_host(size_t bytes);
  void release_host(void* at);

  /** `from` may go when this returns. */
  void upload(CUdeviceptr to, const void* from, size_t bytes);
  void copy(CUdeviceptr to, CUdeviceptr from, size_t bytes);
  void fill_zero(CUdeviceptr at, size_t bytes);
  /** Waits for everything before, and for the copy. */
  void download(void* to, CUdeviceptr from, size_t bytes);
  void wait();

  /** For copies between devices: `pinned` is the host's, and neither side may change before an event or `wait` says so. */
  void copy_to_host(void* pinned, CUdeviceptr from, size_t bytes);
  void copy_from_host(CUdeviceptr to, const void* pinned, size_t bytes);
  void copy_from_peer(CUdeviceptr to, const Peer& peer, CUdeviceptr from, size_t bytes);
  Peer peer() const { return {context_, device_}; }
  /** Whether copies from that device's memory need not go through the host's; from then on they do not. */
  bool reach(const Peer& peer);
  CUevent create_event();
  void record(CUevent event);
  void wait(CUevent event);
  void release(CUevent event);

  void launch(const LaunchList& list);
  /** The list as a graph. */
  CUgraphExec capture(const LaunchList& list);
  void replay(CUgraphExec graph);
  void release(CUgraphExec graph);
  size_t staging_bytes() const { return staging_ ? staging_->bytes() : 0; }

 private:
  void check(CUresult result, const char* what);
  void make_ready(const LaunchList& list);
  void start(const LaunchList& list);
  void close();

  std::shared_ptr<const Library> library_;
  DeviceFacts facts_;
  CUdevice device_ = 0;
  CUcontext context_ = nullptr;
  CUstream stream_ = nullptr;
  std::unique_ptr<Staging> staging_;
  std::vector<CUmodule> modules_;
  std::vector<CUfunction> kernels_;
};

}  // namespace rwkv::cuda
