#include "emulation/machine.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <random>

#include "emulation/fiber.h"

namespace rwkv::emulation {
namespace {

constexpr unsigned kLanes = 32;
constexpr size_t kStackBytes = 256 << 10;

/** Threads that wait for each other. */
struct Barrier {
  unsigned live = 0, arrived = 0;
  uint64_t round = 0;

  void release_if_complete() {
    if (arrived == 0 || arrived < live) return;
    arrived = 0;
    round++;
  }
};

struct Warp {
  Barrier barrier;
  /** Two, since the quickest lane may bring its next word while the slowest still reads. */
  uint64_t words[2][kLanes];
  bool has_returned = false;
};

struct Thread {
  Fiber fiber;
  Current self;
  Barrier* waits_for = nullptr;
  uint64_t round = 0;
  uint64_t exchanges = 0;
  bool done = false;
};

class Machine {
 public:
  std::string run(const Launch& launch, Order order) {
    launch_ = &launch;
    prepare(launch);
    for (unsigned z = 0; z < launch.grid[2]; z++) {
      for (unsigned y = 0; y < launch.grid[1]; y++) {
        for (unsigned x = 0; x < launch.grid[0]; x++) {
          run_block({x, y, z}, order);
          if (!error_.empty()) return launch.kernel->name + (": " + error_);
        }
      }
    }
    return {};
  }

  Thread& thread() { return *running_; }
  Warp& warp() { return warps_[running_->self.thread / kLanes]; }
  Barrier& block() { return block_; }

  void wait(Barrier& barrier) {
    Thread& self = thread();
    self.waits_for = &barrier;
    self.round = barrier.round;
    barrier.arrived++;
    barrier.release_if_complete();
    while (barrier.round == self.round) give_way();
    self.waits_for = nullptr;
  }

  [[noreturn]] void fail(const std::string& message) {
    if (error_.empty()) error_ = message;
    thread().done = true;
    for (;;) give_way();
  }

 private:
  void prepare(const Launch& launch) {
    error_.clear();
    while (threads_.size() < launch.threads) {
      threads_.push_back(std::make_unique<Thread>());
      threads_.back()->fiber.reserve(kStackBytes);
    }
    warps_.resize((launch.threads + kLanes - 1) / kLanes);
    shared_.resize(launch.dynamic_shared + 64);
    order_.resize(launch.threads);
    for (unsigned i = 0; i < launch.threads; i++) order_[i] = i;
  }

  void run_block(const unsigned (&block)[3], Order order) {
    const Launch& launch = *launch_;
    unsigned char* shared = reinterpret_cast<unsigned char*>((reinterpret_cast<uintptr_t>(shared_.data()) + 15) & ~uintptr_t{15});
    // All bits set is NaN, so that what nobody wrote shows.
    memset(shared, 0xff, launch.dynamic_shared);
    block_ = {launch.threads, 0, 0};
    for (size_t w = 0; w < warps_.size(); w++) {
      warps_[w].barrier = {std::min(kLanes, launch.threads - static_cast<unsigned>(w) * kLanes), 0, 0};
      warps_[w].has_returned = false;
    }
    for (unsigned i = 0; i < launch.threads; i++) {
      Thread& thread = *threads_[i];
      thread.self = {i, launch.threads, {block[0], block[1], block[2]}, {launch.grid[0], launch.grid[1], launch.grid[2]}, shared};
      thread.waits_for = nullptr;
      thread.exchanges = 0;
      thread.done = false;
      thread.fiber.start([](void* machine) { static_cast<Machine*>(machine)->enter(); }, this);
    }
    if (order == Order::reverse) std::sort(order_.begin(), order_.end(), std::greater<>());
    while (pass(order)) {
    }
  }

  /** Runs each thread that can go on; false when all are done or nothing moves any more. */
  bool pass(Order order) {
    if (order == Order::shuffled) std::shuffle(order_.begin(), order_.begin() + launch_->threads, random_);
    bool moved = false, waiting = false;
    for (unsigned i = 0; i < launch_->threads; i++) {
      Thread& next = *threads_[order_[i]];
      if (next.done) continue;
      waiting = true;
      if (next.waits_for && next.waits_for->round == next.round) continue;
      moved = true;
      running_ = &next;
      now = &next.self;
      next.fiber.resume(home_);
      if (!error_.empty()) return false;
    }
    if (waiting && !moved) error_ = "its threads wait for each other in vain";
    return moved;
  }

  void enter() {
    launch_->kernel->function(launch_->step, launch_->arguments);
    Thread& self = thread();
    self.done = true;
    warp().has_returned = true;
    for (Barrier* barrier : {&block_, &warp().barrier}) {
      barrier->live--;
      barrier->release_if_complete();
    }
    for (;;) give_way();
  }

  void give_way() { running_->fiber.suspend(home_); }

  const Launch* launch_ = nullptr;
  std::vector<std::unique_ptr<Thread>> threads_;
  std::vector<Warp> warps_;
  std::vector<unsigned char> shared_;
  std::vector<unsigned> order_;
  Barrier block_;
  Thread* running_ = nullptr;
  Fiber::Place home_ = nullptr;
  std::string error_;
  std::minstd_rand random_{1};
};

/** The one of this thread of the system; set while it runs. */
constinit thread_local Machine* running_machine = nullptr;
Machine& machine() { return *running_machine; }

}  // namespace

constinit thread_local const Current* now = nullptr;
void block_barrier() { machine().wait(machine().block()); }
void warp_barrier() { machine().wait(machine().warp().barrier); }

const uint64_t* exchange(uint64_t own) {
  Machine& here = machine();
  Warp& warp = here.warp();
  Thread& self = here.thread();
  if (warp.has_returned || warp.barrier.live < kLanes) here.fail("a warp exchanges without all of its lanes");
  uint64_t* words = warp.words[self.exchanges++ & 1];
  words[self.self.thread % kLanes] = own;
  here.wait(warp.barrier);
  return words;
}

void require_aligned(const void* at, size_t bytes) {
  if (reinterpret_cast<uintptr_t>(at) % bytes != 0) fail("reads " + std::to_string(bytes) + " bytes at an address that is no multiple of them");
}

void fail(const std::string& message) { machine().fail(message); }

std::string run(const Launch& launch, Order order) {
  const Kernel& kernel = *launch.kernel;
  if (launch.threads == 0 || launch.threads % kLanes != 0 || launch.threads > kernel.most_threads) {
    return kernel.name + (": " + std::to_string(launch.threads)) + " threads; it takes multiples of 32 up to " +
           std::to_string(kernel.most_threads);
  }
  // Kept with the stacks it once needed.
  static thread_local Machine own;
  running_machine = &own;
  return own.run(launch, order);
}

namespace {
std::vector<Kernel>& mutable_kernels() {
  static std::vector<Kernel> all;
  return all;
}
std::vector<Description>& mutable_descriptions() {
  static std::vector<Description> all;
  return all;
}
}  // namespace

const std::vector<Kernel>& kernels() { return mutable_kernels(); }
const std::vector<Description>& descriptions() { return mutable_descriptions(); }

Registered::Registered(const char* name, const char* arguments, size_t argument_bytes, unsigned most_threads, KernelFunction function) {
  mutable_kernels().push_back({name, arguments, argument_bytes, most_threads, function});
}
Described::Described(const char* name, size_t bytes, std::vector<Field> fields) {
  mutable_descriptions().push_back({name, bytes, std::move(fields)});
}

}  // namespace rwkv::emulation
