/**
 * How fast products with block formats are: for one token in GB/s beside a loop that only reads, for many in GOP/s (two
 * operations a weight and token) beside the processor's byte products that touch no memory. Weights come from memory:
 * the matrices are larger than caches, in huge pages where the system gives them. Times are processor time of the
 * slowest thread, so that a busy machine disturbs less.
 *
 * linear-block.bench [instruction set] [threads] [format] [columns]
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

/** The best of the runs of work(thread) on `threads` threads that half a second has room for, in seconds. */
template <class Work>
double best_of(size_t threads, const Work& work) {
  double best = 1e9, spent = 0;
  for (int run = 0; run < 4 || spent < 0.5; ++run) {
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

volatile uint64_t sink;

void read_only(const uint8_t* data, size_t bytes) {
  uint64_t sums[16] = {};
  for (size_t at = 0; at + 128 <= bytes; at += 128) {
    uint64_t numbers[16];
    memcpy(numbers, data + at, 128);
    for (int i = 0; i < 16; ++i) sums[i] += numbers[i];
    __builtin_prefetch(data + at + 4096);
    __builtin_prefetch(data + at + 4160);
  }
  for (const uint64_t sum : sums) sink = sink + sum;
}

#if defined(__x86_64__)
/** vpdpbusd on registers only, twelve sums of zeros. */
double byte_products(size_t steps) {
  for (size_t step = 0; step < steps; ++step) {
    __asm__ volatile(
        "vpdpbusd %%zmm0, %%zmm0, %%zmm1\n vpdpbusd %%zmm0, %%zmm0, %%zmm2\n vpdpbusd %%zmm0, %%zmm0, %%zmm3\n"
        "vpdpbusd %%zmm0, %%zmm0, %%zmm4\n vpdpbusd %%zmm0, %%zmm0, %%zmm5\n vpdpbusd %%zmm0, %%zmm0, %%zmm6\n"
        "vpdpbusd %%zmm0, %%zmm0, %%zmm7\n vpdpbusd %%zmm0, %%zmm0, %%zmm8\n vpdpbusd %%zmm0, %%zmm0, %%zmm9\n"
        "vpdpbusd %%zmm0, %%zmm0, %%zmm10\n vpdpbusd %%zmm0, %%zmm0, %%zmm11\n vpdpbusd %%zmm0, %%zmm0, %%zmm12\n"
        :
        :
        : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12");
  }
  return static_cast<double>(steps) * 12 * 128;
}
#endif

struct Bench {
  const Kernels& kernels;
  size_t threads;
  uint8_t* memory;
  size_t bytes;

  /** Seconds of one product with `rows` rows on all threads. */
  double product(Format format, uint32_t rows, uint32_t columns, uint32_t tokens) const {
    LinearArgs args;
    args.weight = {format, rows, columns, memory};
    std::vector<float> x(size_t{tokens} * columns), out(size_t{tokens} * rows);
    rwkv_test::Random random{1};
    for (float& number : x) number = random.number();
    args.x = {x.data(), columns};
    args.out = {out.data(), rows};
    uint8_t* prepared = huge(kernels.linear_prepared_bytes(args.weight, tokens));
    std::vector<uint8_t*> scratch;
    for (size_t t = 0; t < threads; ++t) scratch.push_back(huge(kThreadScratch));
    kernels.linear_prepare(args, tokens, prepared, {0, kernels.linear_prepare_units(args.weight, tokens)});
    const size_t units = kernels.linear_units(args.weight, tokens);
    return best_of(threads, [&](size_t thread) {
      kernels.linear(args, tokens, prepared, part(units, thread, threads), scratch[thread]);
    });
  }

  void format(Format format, uint32_t columns) const {
    const size_t panel = packed_bytes(format, 16, columns);
    const auto rows_of = [&](size_t size) { return static_cast<uint32_t>(size / panel * 16); };
    const uint32_t all = rows_of(bytes);
    const double reading = best_of(threads, [&](size_t thread) {
      const Range range = part(all / 16, thread, threads);
      read_only(memory + range.begin * panel, (range.end - range.begin) * panel);
    });
    const double one = product(format, all, columns, 1);
    const double read_rate = static_cast<double>(all / 16 * panel) / 1e9 / reading;
    printf("%s K %4u  T 1: %5.1f GB/s, %3.0f %% of reading's %.1f;  GOP/s", kFormatNames[static_cast<int>(format)],
           columns, read_rate * reading / one, 100 * reading / one, read_rate);
    for (const uint32_t tokens : {2u, 4u, 5u, 8u, 13u, 16u, 32u, 33u, 128u, 512u}) {
      const uint32_t rows = rows_of(bytes / (tokens > 100 ? 64 : tokens > 4 ? 8 : 2));
      const double operations = 2.0 * rows * columns * tokens;
      printf("  T %u: %.0f", tokens, operations / 1e9 / product(format, rows, columns, tokens));
      fflush(stdout);
    }
    printf("\n");
  }
};

}  // namespace

int main(int argc, char** argv) {
  const std::string wanted = argc > 1 ? argv[1] : kKernelChoices[0].name;
  const size_t threads = argc > 2 ? static_cast<size_t>(atoi(argv[2])) : 2;
  const std::string only = argc > 3 ? argv[3] : "";
  constexpr size_t kBytes = size_t{640} << 20;
  for (size_t i = 0; i < kKernelChoiceCount; ++i) {
    if (wanted != kKernelChoices[i].name) continue;
    const Bench bench{*kKernelChoices[i].table(), threads, huge(kBytes), kBytes};
    printf("%s, %zu threads", wanted.c_str(), threads);
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512vnni")) {
      double operations = 0;
      const double time = best_of(threads, [&](size_t) { operations = byte_products(2000000); });
      printf(", byte products %.0f GOP/s", operations * static_cast<double>(threads) / 1e9 / time);
    }
#endif
    printf("\n");
    for (int f = static_cast<int>(Format::q8_0); f < kFormats; ++f) {
      if (!only.empty() && only != "all" && only != kFormatNames[f]) continue;
      bench.format(static_cast<Format>(f), argc > 4 ? static_cast<uint32_t>(atoi(argv[4])) : 2048);
    }
  }
  return 0;
}
