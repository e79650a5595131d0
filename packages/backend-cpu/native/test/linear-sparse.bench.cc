/**
 * A matrix in columns beside the same in panels: microseconds of a product whose weights come from memory (many copies of
 * the matrix, in huge pages where the system gives them), by the share of zeros in x for one token, then for more tokens,
 * half of whose x is zero. Preparing x is part of it. Times are processor time of the slowest thread, so that a busy
 * machine disturbs less.
 *
 * linear-sparse.bench [instruction set] [threads] [format] [tokens: few or many] [rows columns]
 */
#include <sys/mman.h>
#include <time.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>

#include "file-formats.h"
#include "kernels.h"

namespace {

using namespace rwkv;
using rwkv_test::kFormatNames;

double processor_seconds() {
  timespec time;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

/** The best of the runs of work(thread) on `threads` threads that a third of a second has room for, in seconds. */
template <class Work>
double best_of(size_t threads, const Work& work) {
  double best = 1e9, spent = 0;
  for (int run = 0; run < 4 || spent < 0.35; ++run) {
    std::vector<double> times(threads);
    const auto timed = [&](size_t thread) {
      const double start = processor_seconds();
      work(thread);
      times[thread] = processor_seconds() - start;
    };
    std::vector<std::thread> others;
    for (size_t t = 1; t < threads; ++t) others.emplace_back(timed, t);
    timed(0);
    for (std::thread& other : others) other.join();
    double slowest = 0;
    for (const double time : times) slowest = time > slowest ? time : slowest;
    best = slowest < best ? slowest : best;
    spent += slowest;
  }
  return best;
}

uint8_t* huge(size_t bytes) {
  constexpr size_t kHuge = 2u << 20;
  void* memory = mmap(nullptr, bytes + kHuge, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  uint8_t* data = static_cast<uint8_t*>(memory) + (kHuge - reinterpret_cast<size_t>(memory) % kHuge);
  madvise(data, bytes, MADV_HUGEPAGE);
  // A byte that is a harmless scale, minimum and quant.
  memset(data, 0x2c, bytes);
  return data;
}

struct Bench {
  const Kernels& kernels;
  size_t threads;
  uint8_t* memory;
  size_t bytes;

  /** Seconds of one product on all threads. */
  double product(PackedMatrix matrix, uint32_t tokens, int zeros) const {
    const size_t each = packed_bytes(matrix.format, matrix.rows, matrix.columns, matrix.layout);
    const size_t copies = bytes / each / (tokens > 100 ? 16 : tokens > 4 ? 4 : 1);
    // Every run and copy has another x, or what a sparse one reads would be the same lines again, and near.
    constexpr size_t kInputs = 16;
    const size_t inputs = tokens <= 2 ? kInputs : 1;
    std::vector<float> x(inputs * tokens * matrix.columns), out(size_t{tokens} * matrix.rows);
    rwkv_test::Random random{1};
    for (float& number : x) {
      number = random.number();
      if (static_cast<int>(random.bits() >> 8) % 100 < zeros) number = 0;
    }
    LinearArgs args;
    args.out = {out.data(), matrix.rows};
    const size_t units = kernels.linear_units(matrix, tokens);
    std::vector<uint8_t*> scratch;
    const size_t prepared_bytes = kernels.linear_prepared_bytes(matrix, tokens);
    for (size_t t = 0; t < threads; ++t) scratch.push_back(huge(kThreadScratch + prepared_bytes));
    std::vector<size_t> runs(threads);
    const double seconds = best_of(threads, [&](size_t thread) {
      const size_t run = runs[thread]++;
      LinearArgs own = args;
      own.weight = matrix;
      uint8_t* prepared = scratch[thread] + kThreadScratch;
      for (size_t copy = 0; copy < copies; ++copy) {
        own.weight.data = memory + copy * each;
        own.x = {x.data() + (copy + run * 5) % inputs * tokens * matrix.columns, matrix.columns};
        if (tokens <= 2 || copy == 0) kernels.linear_prepare(own, tokens, prepared, {0, kernels.linear_prepare_units(matrix, tokens)});
        const Range all = part(units, thread, threads);
        for (size_t unit = all.begin; unit < all.end; ++unit) {
          kernels.linear(own, tokens, prepared, {unit, unit + 1}, scratch[thread]);
        }
      }
    });
    for (uint8_t* each_scratch : scratch) munmap(each_scratch, kThreadScratch + prepared_bytes);
    return seconds / static_cast<double>(copies);
  }

  void few(Format format, uint32_t rows, uint32_t columns) const {
    const PackedMatrix panels{format, rows, columns, memory, Layout::panels};
    const PackedMatrix in_columns{format, rows, columns, memory, Layout::columns};
    const double dense = product(panels, 1, 0);
    printf("%-4s [%u, %u]  T 1: panels %.1f us, %.1f GB/s; columns", kFormatNames[static_cast<int>(format)], rows, columns,
           dense * 1e6, static_cast<double>(packed_bytes(format, rows, columns)) / dense / 1e9);
    for (const int zeros : {0, 50, 75, 90, 95}) {
      const double time = product(in_columns, 1, zeros);
      printf("  %d %%: %.1f us (%.2f)", zeros, time * 1e6, dense / time);
      fflush(stdout);
    }
    printf("\n");
  }
  void many(Format format, uint32_t rows, uint32_t columns) const {
    printf("%-4s [%u, %u]  us in panels, of that in columns", kFormatNames[static_cast<int>(format)], rows, columns);
    for (const uint32_t tokens : {2u, 3u, 4u, 8u, 16u, 32u, 128u, 512u}) {
      const double dense = product({format, rows, columns, memory, Layout::panels}, tokens, 50);
      const double time = product({format, rows, columns, memory, Layout::columns}, tokens, 50);
      printf("  T %u: %.0f (%.2f)", tokens, dense * 1e6, time / dense);
      fflush(stdout);
    }
    printf("\n");
  }
};

}  // namespace

int main(int count, char** arguments) {
  const std::string wanted = count > 1 ? arguments[1] : kKernelChoices[0].name;
  const size_t threads = count > 2 ? static_cast<size_t>(atoi(arguments[2])) : 2;
  const std::string only = count > 3 ? arguments[3] : "all", tokens = count > 4 ? arguments[4] : "few";
  const bool one_shape = count > 6;
  const uint32_t shapes[2][2] = {{one_shape ? static_cast<uint32_t>(atoi(arguments[5])) : 768u,
                                  one_shape ? static_cast<uint32_t>(atoi(arguments[6])) : 3072u},
                                 {1024, 4096}};
  constexpr size_t kBytes = size_t{600} << 20;
  for (size_t i = 0; i < kKernelChoiceCount; ++i) {
    if (wanted != kKernelChoices[i].name) continue;
    const Bench bench{*kKernelChoices[i].table(), threads, huge(kBytes), kBytes};
    for (int f = 0; f < kFormats; ++f) {
      const Format format = static_cast<Format>(f);
      const bool usual = format == Format::f16 || format == Format::q8_0 || format == Format::q4_0;
      if (only == "all" ? !usual : only != kFormatNames[f]) continue;
      for (int shape = 0; shape < (one_shape ? 1 : 2); ++shape) {
        if (tokens == "few") bench.few(format, shapes[shape][0], shapes[shape][1]);
        else bench.many(format, shapes[shape][0], shapes[shape][1]);
      }
    }
  }
  return 0;
}
