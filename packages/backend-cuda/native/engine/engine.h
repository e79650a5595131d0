/** What the addon's jobs work on: a device, and what was allocated on it, so that no job reaches beyond that. */
#pragma once

#include <map>
#include <memory>

#include "engine/device.h"

namespace rwkv::cuda {

class Engine {
 public:
  void open(const DeviceOptions& options) { device_ = std::make_unique<Device>(options); }
  bool is_open() const { return device_ != nullptr; }
  /** @throws Failure where nothing was opened */
  Device& device() const;
  /** Frees whatever is left. For the addon's queue: called when no job is left. */
  void stop();

  uint64_t allocate(size_t bytes);
  uint64_t allocate_host(size_t bytes);
  void release(uint64_t address);
  /** To the device's memory or the host's. `from` may go when this returns. */
  void upload(uint64_t to, const void* from, size_t bytes);
  void download(void* to, uint64_t from, size_t bytes);
  void copy(uint64_t to, uint64_t from, size_t bytes);
  void fill_zero(uint64_t at, size_t bytes);
  /** Where in the host's memory the address is, or null. @throws Failure beyond every region */
  unsigned char* check(uint64_t address, size_t bytes) const;

  /** Under a number that no other graph has. */
  void keep(uint64_t id, CUgraphExec graph) { graphs_[id] = graph; }
  /** @throws Failure where there is none */
  CUgraphExec graph(uint64_t id) const;
  void release_graph(uint64_t id);

 private:
  struct Region {
    size_t bytes;
    /** Null for the device's own memory. */
    unsigned char* host;
  };

  std::unique_ptr<Device> device_;
  std::map<uint64_t, Region> regions_;
  std::map<uint64_t, CUgraphExec> graphs_;
};

}  // namespace rwkv::cuda
