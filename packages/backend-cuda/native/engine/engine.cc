#include "engine/engine.h"

#include <cstring>

namespace rwkv::cuda {
namespace {
[[noreturn]] void mistake(const char* what) {
  throw Failure{"INTERNAL", what + std::string(": a mistake of @rwkv-ts/backend-cuda")};
}
}  // namespace

Device& Engine::device() const {
  if (!device_) mistake("the device is not open");
  return *device_;
}

void Engine::stop() {
  if (!device_) return;
  try {
    while (!graphs_.empty()) release_graph(graphs_.begin()->first);
    while (!regions_.empty()) release(regions_.begin()->first);
  } catch (const Failure&) {
    // The device is gone, and with it what it held.
  }
  graphs_.clear();
  regions_.clear();
  device_.reset();
}

uint64_t Engine::allocate(size_t bytes) {
  const uint64_t address = device().allocate(bytes);
  regions_[address] = {bytes, nullptr};
  return address;
}

uint64_t Engine::allocate_host(size_t bytes) {
  const Device::HostMemory memory = device().allocate_host(bytes);
  regions_[memory.address] = {bytes, memory.at};
  return memory.address;
}

void Engine::release(uint64_t address) {
  const auto found = regions_.find(address);
  if (found == regions_.end()) mistake("memory is freed that is not held");
  const Region region = found->second;
  regions_.erase(found);
  // What is queued may still use it.
  device().wait();
  if (region.host) device().release_host(region.host);
  else device().release(address);
}

unsigned char* Engine::check(uint64_t address, size_t bytes) const {
  auto after = regions_.upper_bound(address);
  if (after == regions_.begin()) mistake("an address is not held");
  const auto& [start, region] = *--after;
  const uint64_t offset = address - start;
  if (offset > region.bytes || bytes > region.bytes - offset) mistake("a copy reaches beyond what is held");
  return region.host ? region.host + offset : nullptr;
}

void Engine::upload(uint64_t to, const void* from, size_t bytes) {
  if (bytes == 0) return;
  unsigned char* host = check(to, bytes);
  if (!host) return device().upload(to, from, bytes);
  // What is queued may still read it.
  device().wait();
  memcpy(host, from, bytes);
}

void Engine::download(void* to, uint64_t from, size_t bytes) {
  if (bytes == 0) return;
  const unsigned char* host = check(from, bytes);
  if (!host) return device().download(to, from, bytes);
  device().wait();
  memcpy(to, host, bytes);
}

void Engine::copy(uint64_t to, uint64_t from, size_t bytes) {
  if (bytes == 0) return;
  if (unsigned char* host = check(to, bytes)) return download(host, from, bytes);
  if (const unsigned char* host = check(from, bytes)) return upload(to, host, bytes);
  device().copy(to, from, bytes);
}

void Engine::fill_zero(uint64_t at, size_t bytes) {
  if (bytes == 0) return;
  unsigned char* host = check(at, bytes);
  if (!host) return device().fill_zero(at, bytes);
  device().wait();
  memset(host, 0, bytes);
}

CUgraphExec Engine::graph(uint64_t id) const {
  const auto found = graphs_.find(id);
  if (found == graphs_.end()) mistake("a graph is not held");
  return found->second;
}

void Engine::release_graph(uint64_t id) {
  const CUgraphExec released = graph(id);
  graphs_.erase(id);
  device().wait();
  device().release(released);
}

}  // namespace rwkv::cuda
