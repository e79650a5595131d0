/** Finds the driver at run time: what links to it would not load where there is none. */
#pragma once

#include <memory>
#include <string>

#include "driver/cuda.h"

namespace rwkv::cuda {

/** An open library with all of its functions; never closed, since a driver does not like to go before the process. */
struct Library {
  std::string path;
  Functions functions;
};

/** `path` empty is the system's own name. Null with `problem` told where it cannot be opened or lacks a function. */
std::shared_ptr<const Library> open_library(const std::string& path, std::string& problem);

/** `CUDA_ERROR_OUT_OF_MEMORY (2): out of memory`, as far as the driver can say it. */
std::string describe(const Functions& functions, CUresult result);

}  // namespace rwkv::cuda
