/**
 * Speed of products with plain weights, of matrices too many for any cache, beside what the machine can do in the same
 * run: GB/s of weights at T = 1 beside a loop that only reads, GFLOP/s of many tokens beside a loop that only
 * multiplies. Each number is the best of a few tries, taken in turns with the reading loop, since other work on a
 * machine only ever slows it down; the rows of x are prepared inside the time. A measuring tool, not a test.
 *
 * linear.bench [instruction set or "best" [formats, as f16,f32 [tokens, as 1,16 [C, as 768,4096 [threads]]]]]
 */
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "kernels.h"
#include "pack.h"

using namespace rwkv;

namespace {

constexpr size_t kArenaBytes = size_t{1} << 30;

/** One thread's time is its own, so that another program on its core does not count; of several it is the clock's. */
double seconds(size_t threads) {
  timespec now;
  if (threads == 1 && clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now) == 0) {
    return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
  }
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

uint8_t* huge_pages(size_t bytes) {
  const size_t page = size_t{2} << 20;
  void* const memory = mmap(nullptr, bytes + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    printf("no memory\n");
    exit(1);
  }
  uint8_t* const start = reinterpret_cast<uint8_t*>((reinterpret_cast<uintptr_t>(memory) + page - 1) / page * page);
#if defined(MADV_HUGEPAGE)
  madvise(start, bytes, MADV_HUGEPAGE);
#endif
  return start;
}

/** Threads meet here; they spin, so that meeting costs less than a microsecond. */
class Meeting {
 public:
  explicit Meeting(size_t threads) : threads_(threads) {}
  void wait() {
    const size_t round = round_.load();
    if (arrived_.fetch_add(1) + 1 == threads_) {
      arrived_.store(0);
      round_.store(round + 1);
    } else {
      while (round_.load() == round) {
      }
    }
  }

 private:
  const size_t threads_;
  std::atomic<size_t> arrived_{0}, round_{0};
};

/** Seconds that `work(thread, meeting)` takes on `threads` threads. */
double timed(size_t threads, const std::function<void(size_t, Meeting&)>& work) {
  Meeting meeting(threads);
  double begin = 0;
  std::vector<std::thread> others;
  const auto body = [&](size_t thread) {
    meeting.wait();
    if (thread == 0) begin = seconds(threads);
    work(thread, meeting);
    meeting.wait();
  };
  for (size_t thread = 1; thread < threads; thread++) others.emplace_back(body, thread);
  body(0);
  const double end = seconds(threads);
  for (std::thread& other : others) other.join();
  return end - begin;
}

std::atomic<uint64_t> sink{0};

/** Bytes that are read and nothing else, asked for ahead at two distances as the best of many loops tried does. */
#if defined(__x86_64__)
__attribute__((target("avx2")))
#endif
void read_only(const uint8_t* from, size_t bytes, size_t ahead) {
  const auto ask = [&](size_t i) {
    const uintptr_t here = reinterpret_cast<uintptr_t>(from) + i;
    __builtin_prefetch(reinterpret_cast<const void*>(here + ahead), 0, 3);
    __builtin_prefetch(reinterpret_cast<const void*>(here + 4 * ahead), 0, 2);
  };
#if defined(__x86_64__)
  __m256i low = _mm256_setzero_si256(), high = low;
  for (size_t i = 0; i < bytes; i += 64) {
    ask(i);
    low = _mm256_xor_si256(low, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + i)));
    high = _mm256_xor_si256(high, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + i + 32)));
  }
  const __m256i both = _mm256_xor_si256(low, high);
  sink += static_cast<uint64_t>(_mm256_extract_epi64(both, 0));
#else
  uint64_t sums[8] = {};
  for (size_t i = 0; i < bytes; i += 64) {
    ask(i);
    uint64_t line[8];
    memcpy(line, from + i, 64);
    for (int j = 0; j < 8; j++) sums[j] ^= line[j];
  }
  for (const uint64_t sum : sums) sink += sum;
#endif
}

/** GB/s of reading [from, from + bytes), each thread a part. */
double read_bandwidth(const uint8_t* from, size_t bytes, size_t threads, size_t ahead) {
  const double took = timed(threads, [&](size_t thread, Meeting&) {
    const Range mine = part(bytes / 64, thread, threads);
    read_only(from + mine.begin * 64, (mine.end - mine.begin) * 64, ahead);
  });
  return static_cast<double>(bytes) / took / 1e9;
}

#if defined(__x86_64__)
__attribute__((target("avx512f"))) float multiply_512(size_t rounds) {
  __m512 sums[16];
  for (__m512& sum : sums) sum = _mm512_set1_ps(0.5f);
  const __m512 by = _mm512_set1_ps(0.999f);
  for (size_t i = 0; i < rounds; i++) {
#pragma GCC unroll 16
    for (int j = 0; j < 16; j++) sums[j] = _mm512_fmadd_ps(sums[j], by, by);
  }
  float all[16], sum = 0;
  for (const __m512 part_sum : sums) {
    _mm512_storeu_ps(all, part_sum);
    sum += all[0];
  }
  return sum;
}
__attribute__((target("avx2,fma"))) float multiply_256(size_t rounds) {
  __m256 sums[12];
  for (__m256& sum : sums) sum = _mm256_set1_ps(0.5f);
  const __m256 by = _mm256_set1_ps(0.999f);
  for (size_t i = 0; i < rounds; i++) {
#pragma GCC unroll 12
    for (int j = 0; j < 12; j++) sums[j] = _mm256_fmadd_ps(sums[j], by, by);
  }
  float all[8], sum = 0;
  for (const __m256 part_sum : sums) {
    _mm256_storeu_ps(all, part_sum);
    sum += all[0];
  }
  return sum;
}
#endif

/** GFLOP/s of multiplications whose operands are registers; 0 where this file has no loop for the instruction set. */
double multiply_only(const char* instructions, size_t threads) {
  double best = 0;
#if defined(__x86_64__)
  const bool wide = strncmp(instructions, "avx512", 6) == 0;
  if (!wide && strncmp(instructions, "avx", 3) != 0) return 0;
  constexpr size_t rounds = 2000000;
  for (int i = 0; i < 5; i++) {
    const double took = timed(threads, [&](size_t, Meeting&) {
      sink += static_cast<uint64_t>(wide ? multiply_512(rounds) : multiply_256(rounds));
    });
    const double operations = static_cast<double>(rounds * threads) * 2 * (wide ? 16 * 16 : 12 * 8);
    best = std::max(best, operations / took / 1e9);
  }
#else
  (void)instructions, (void)threads;
#endif
  return best;
}

struct Shape {
  uint32_t rows, columns;
};

struct Result {
  double seconds_each;
  size_t bytes_each;
  double read_bandwidth;
};

/** The best over matrices that follow one another through the arena. */
Result run(const Kernels& kernels, Format format, Shape shape, uint32_t tokens, size_t threads, const uint8_t* arena,
           double budget) {
  const size_t bytes = packed_bytes(format, shape.rows, shape.columns);
  const size_t matrices = kArenaBytes / bytes;
  PackedMatrix weight{format, shape.rows, shape.columns, arena};
  std::vector<float> x(static_cast<size_t>(tokens) * shape.columns, 0.5f);
  std::vector<float> out(static_cast<size_t>(tokens) * shape.rows);
  uint8_t* const memory = huge_pages(kernels.linear_prepared_bytes(weight, tokens) + threads * kThreadScratch);
  uint8_t* const prepared = memory + threads * kThreadScratch;
  const bool two_stages = kernels.linear_prepared_bytes(weight, tokens) > 0;
  const size_t prepare_units = kernels.linear_prepare_units(weight, tokens);
  const size_t units = kernels.linear_units(weight, tokens);
  const double numbers = static_cast<double>(shape.rows) * shape.columns;
  const double guess = numbers * tokens * 2 / 100e9 + static_cast<double>(bytes) / 20e9;
  const size_t calls = std::max<size_t>(1, std::min<size_t>(matrices, static_cast<size_t>(0.02 / guess)));
  constexpr size_t ahead[] = {1024, 2048, 4096, 8192};
  Result result{1e30, bytes, 0};
  size_t next = 0;
  const double begin = seconds(2);
  for (size_t turn = 0; turn < 4 || seconds(2) - begin < budget; turn++) {
    const size_t from = std::min(next * bytes, kArenaBytes - calls * bytes);
    result.read_bandwidth =
        std::max(result.read_bandwidth, read_bandwidth(arena + from, calls * bytes, threads, ahead[turn % 4]));
    const double took = timed(threads, [&](size_t thread, Meeting& meeting) {
      for (size_t i = 0; i < calls; i++) {
        LinearArgs args{};
        args.weight = weight;
        args.weight.data = arena + (next + i) % matrices * bytes;
        args.x = {x.data(), shape.columns};
        args.out = {out.data(), shape.rows};
        if (two_stages) {
          kernels.linear_prepare(args, tokens, prepared, part(prepare_units, thread, threads));
          if (threads > 1) meeting.wait();
        }
        kernels.linear(args, tokens, prepared, part(units, thread, threads), memory + thread * kThreadScratch);
        if (two_stages && threads > 1) meeting.wait();
      }
    });
    next = (next + calls) % matrices;
    result.seconds_each = std::min(result.seconds_each, took / static_cast<double>(calls));
  }
  munmap(memory, kernels.linear_prepared_bytes(weight, tokens) + threads * kThreadScratch);
  return result;
}

std::vector<std::string> split(const std::string& list) {
  std::vector<std::string> parts;
  for (size_t begin = 0; begin <= list.size();) {
    const size_t end = std::min(list.find(',', begin), list.size());
    parts.push_back(list.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

}  // namespace

int main(int count, char** arguments) {
  const Kernels* kernels = nullptr;
  for (size_t i = 0; i < kKernelChoiceCount && kernels == nullptr; i++) {
    const KernelChoice& choice = kKernelChoices[i];
    const bool wanted = count < 2 || strcmp(arguments[1], "best") == 0 || strcmp(arguments[1], choice.name) == 0;
    if (wanted && choice.runs_here()) kernels = choice.table();
  }
  if (kernels == nullptr) {
    printf("this instruction set is not built, or does not run here\n");
    return 1;
  }
  const std::vector<std::string> formats = split(count > 2 ? arguments[2] : "f16,bf16,f32");
  const std::vector<std::string> token_counts = split(count > 3 ? arguments[3] : "1,16,32,128,512");
  const std::vector<std::string> widths = split(count > 4 ? arguments[4] : "768,2048,4096");
  const char* const names[] = {"f32", "f16", "bf16"};

  uint8_t* const arena = huge_pages(kArenaBytes);
  // Numbers near 1e-3 in each of the formats, so that nothing overflows and nothing is denormal.
  memset(arena, 0x3a, kArenaBytes);

  for (const size_t threads : {1, 2}) {
    if (count > 5 && static_cast<size_t>(atoi(arguments[5])) != threads) continue;
    const double multiply = multiply_only(kernels->name, threads);
    printf("%s, %zu threads: multiplies %.0f GFLOP/s\n", kernels->name, threads, multiply);
    for (const std::string& tokens_text : token_counts) {
      const uint32_t tokens = static_cast<uint32_t>(atoi(tokens_text.c_str()));
      for (const std::string& name : formats) {
        int format = 0;
        while (format < 2 && name != names[format]) format++;
        for (const std::string& width : widths) {
          const uint32_t channels = static_cast<uint32_t>(atoi(width.c_str()));
          const Result result =
              run(*kernels, static_cast<Format>(format), {channels, channels}, tokens, threads, arena, 0.3);
          const double bandwidth = static_cast<double>(result.bytes_each) / result.seconds_each / 1e9;
          const double arithmetic = 2.0 * tokens * channels * channels / result.seconds_each / 1e9;
          const double limit = std::max(static_cast<double>(result.bytes_each) / result.read_bandwidth,
                                        multiply > 0 ? 2.0 * tokens * channels * channels / multiply : 0) / 1e9;
          printf("  T %4u  %-4s  [%u, %u]  %8.1f us  %5.1f GB/s (reads %5.1f)  %6.1f GFLOP/s  %5.1f %% of the limit\n",
                 tokens, names[format], channels, channels, result.seconds_each * 1e6, bandwidth,
                 result.read_bandwidth, arithmetic, 100 * limit / result.seconds_each);
          fflush(stdout);
        }
      }
    }
  }
  return 0;
}
