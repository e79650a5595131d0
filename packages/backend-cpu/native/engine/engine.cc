#include "engine.h"

#include <new>
#include <system_error>

namespace rwkv {

std::unique_ptr<Engine> Engine::create(const Options& options) {
  try {
    return std::unique_ptr<Engine>(new Engine(options));
  } catch (const std::system_error&) {
    return nullptr;
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

Engine::Engine(const Options& options)
    : kernels_(options.kernels), pool_(std::make_unique<ThreadPool>(options.pool)) {}

void Engine::stop() { pool_.reset(); }

}  // namespace rwkv
