/**
 * Runs kernels on the host, block after block. The threads of a block are fibers, each with a stack of its own, which
 * give way at barriers and collectives; so what a missing barrier spoils depends on their order, and the order can be
 * chosen (`Order`). A block whose threads wait for each other in vain is an error, and so is a collective of a warp in
 * which a lane has returned.
 */
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace rwkv::emulation {

/** What the running thread knows of itself. */
struct Current {
  unsigned thread, threads;
  unsigned block[3], grid[3];
  unsigned char* dynamic_shared;
};
extern constinit thread_local const Current* now;
inline const Current& current() { return *now; }

void block_barrier();
void warp_barrier();
/** What each of the 32 lanes brings; stands until the lane's next exchange. */
const uint64_t* exchange(uint64_t own);
void require_aligned(const void* at, size_t bytes);

/** Ends the launch with this message, from within a kernel. */
[[noreturn]] void fail(const std::string& message);

/** In which order the threads of a block run between barriers. */
enum class Order { forward, reverse, shuffled };

using KernelFunction = void (*)(const void* step, const void* arguments);

struct Kernel {
  const char* name;
  /** The struct's name, without a namespace. */
  const char* arguments;
  size_t argument_bytes;
  unsigned most_threads;
  KernelFunction function;
};

struct Launch {
  const Kernel* kernel;
  unsigned grid[3];
  unsigned threads;
  size_t dynamic_shared;
  const void* step;
  const void* arguments;
};

/** Empty where it ran; otherwise what went wrong. */
std::string run(const Launch& launch, Order order);

const std::vector<Kernel>& kernels();

/** A kernel makes itself known before main. */
struct Registered {
  Registered(const char* name, const char* arguments, size_t argument_bytes, unsigned most_threads, KernelFunction function);
};

/** How the numbers of an argument struct lie, for the test that holds src/kernels against it. */
struct Field {
  const char* name;
  /** `rows`, `pointer`, `count`, `number`, or `bytes` for what is made of others. */
  const char* kind;
  size_t offset, bytes;
};
struct Description {
  const char* name;
  size_t bytes;
  std::vector<Field> fields;
};
const std::vector<Description>& descriptions();
struct Described {
  Described(const char* name, size_t bytes, std::vector<Field> fields);
};

}  // namespace rwkv::emulation
