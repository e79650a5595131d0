/**
 * What this machine can do at most: bytes read from memory per second, and multiply-adds per second in f32, bf16 and int8.
 *
 *   c++ -O3 -march=native -std=c++17 -pthread machine.cc -o machine
 *   machine [--threads 1,2] [--rounds 7] [--bytes 1073741824,150000000]
 *
 * Prints JSON: for each number of threads and each test the value of every round, in GB/s (10^9 bytes) or in 10^9
 * operations per second, where a multiply and an add are two.
 *
 * Reading: every thread reads its own contiguous share of one buffer, again and again, with the widest loads there are.
 * The buffer asks for huge pages; what they are worth is told by a test without them, of the first size. A size should be
 * that of a model's weights: a large cache keeps part of a small model from one token to the next. How far ahead a
 * prefetch pays differs between processors, so a round tries some distances and its result is the best of them: a limit
 * has to be one that a good kernel cannot pass.
 * Arithmetic: chains of dependent multiply-adds on registers only, enough of them to hide the latency.
 * Over 400 lines because it is one file that any compiler makes a program of, with the processors side by side.
 * All tests of a round follow one another before the next round begins, so that a slow spell falls on all of them.
 */
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif
#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

/** Keeps a result that nobody reads from being optimised away. */
std::atomic<uint64_t> sink{0};

/** Sums up what was computed, by its bytes: enough to make it needed. */
template <typename Vector, size_t kCount>
uint64_t used(const Vector (&vectors)[kCount]) {
  unsigned char bytes[sizeof(Vector) * kCount];
  std::memcpy(bytes, vectors, sizeof bytes);
  uint64_t sum = 0;
  for (unsigned char byte : bytes) sum += byte;
  return sum;
}

constexpr size_t kLine = 64;
constexpr size_t kHugePage = size_t{2} << 20;
constexpr size_t kDistances[] = {0, 512, 1024, 2048, 4096, 8192};
constexpr double kArithmeticSeconds = 0.05;
constexpr size_t kLeastRead = size_t{256} << 20;

// ---- Reading ---------------------------------------------------------------------------------------------------

/** Reads [begin, begin + bytes), a multiple of 512, four lines apart in flight. Distance 0: no prefetch of its own. */
uint64_t read_span(const uint8_t* begin, size_t bytes, size_t distance) {
  const uint8_t* end = begin + bytes;
#if defined(__AVX512F__)
  __m512i sum[8];
  for (auto& each : sum) each = _mm512_setzero_si512();
  for (const uint8_t* at = begin; at < end; at += 8 * kLine) {
    for (size_t line = 0; line < 8; line++) {
      if (distance != 0) _mm_prefetch(reinterpret_cast<const char*>(at + line * kLine + distance), _MM_HINT_T0);
      sum[line] = _mm512_xor_si512(sum[line], _mm512_load_si512(at + line * kLine));
    }
  }
  return used(sum);
#elif defined(__AVX2__)
  __m256i sum[8];
  for (auto& each : sum) each = _mm256_setzero_si256();
  for (const uint8_t* at = begin; at < end; at += 4 * kLine) {
    for (size_t half = 0; half < 8; half++) {
      const uint8_t* from = at + half * 32;
      if (distance != 0 && half % 2 == 0) _mm_prefetch(reinterpret_cast<const char*>(from + distance), _MM_HINT_T0);
      sum[half] = _mm256_xor_si256(sum[half], _mm256_load_si256(reinterpret_cast<const __m256i*>(from)));
    }
  }
  return used(sum);
#elif defined(__aarch64__)
  uint64x2_t sum[8];
  for (auto& each : sum) each = vdupq_n_u64(0);
  for (const uint8_t* at = begin; at < end; at += 2 * kLine) {
    for (size_t quarter = 0; quarter < 8; quarter++) {
      const uint8_t* from = at + quarter * 16;
      if (distance != 0 && quarter % 4 == 0) __builtin_prefetch(from + distance);
      sum[quarter] = veorq_u64(sum[quarter], vld1q_u64(reinterpret_cast<const uint64_t*>(from)));
    }
  }
  return used(sum);
#else
  uint64_t sum[8] = {};
  for (const uint8_t* at = begin; at < end; at += kLine) {
    uint64_t words[8];
    std::memcpy(words, at, kLine);
    for (size_t word = 0; word < 8; word++) sum[word] ^= words[word];
  }
  (void)distance;
  return used(sum);
#endif
}

struct Buffer {
  uint8_t* data = nullptr;
  size_t bytes = 0;
};

/** Aligned to a huge page and written, so that every page exists. */
Buffer make_buffer(size_t bytes, bool huge_pages) {
  Buffer buffer{nullptr, (bytes + kHugePage - 1) / kHugePage * kHugePage};
#if defined(_WIN32)
  buffer.data = static_cast<uint8_t*>(_aligned_malloc(buffer.bytes, kHugePage));
#else
  void* memory = nullptr;
  if (posix_memalign(&memory, kHugePage, buffer.bytes) == 0) buffer.data = static_cast<uint8_t*>(memory);
#endif
  if (buffer.data == nullptr) {
    std::fprintf(stderr, "no memory for a buffer of %zu bytes\n", bytes);
    std::exit(1);
  }
#if defined(__linux__)
  madvise(buffer.data, buffer.bytes, huge_pages ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
#else
  (void)huge_pages;
#endif
  for (size_t at = 0; at < buffer.bytes; at += kLine) buffer.data[at] = static_cast<uint8_t>(at / kLine * 31 + 1);
  return buffer;
}

// ---- Arithmetic ------------------------------------------------------------------------------------------------

/** One kind of multiply-add; what `run` returns is only there to be needed. */
struct Arithmetic {
  const char* name;
  const char* instruction;
  /** Multiplies and adds of one repetition. */
  double operations;
  uint64_t (*run)(uint64_t repetitions);
};

#if defined(__x86_64__)
/**
 * `repetitions` times the instruction on each of registers 2 to 13, with registers 0 and 1 as its factors: `low` and `high`
 * in every 32 bits. All in assembly, because compilers copy the sums about, which can halve the figure.
 */
#define RWKV_STEP(instruction, size, number) instruction " %%" size "1, %%" size "0, %%" size #number "\n"
#define RWKV_CLEAR(number) "vxorps %%xmm" #number ", %%xmm" #number ", %%xmm" #number "\n"
#define RWKV_RUN(name, instruction, size, low, high)                                                                \
  uint64_t name(uint64_t repetitions) {                                                                             \
    const uint32_t factors[2] = {low, high};                                                                        \
    asm volatile("vbroadcastss (%1), %%" size "0\nvbroadcastss 4(%1), %%" size "1\n"                                \
                 RWKV_CLEAR(2) RWKV_CLEAR(3) RWKV_CLEAR(4) RWKV_CLEAR(5) RWKV_CLEAR(6) RWKV_CLEAR(7)                \
                 RWKV_CLEAR(8) RWKV_CLEAR(9) RWKV_CLEAR(10) RWKV_CLEAR(11) RWKV_CLEAR(12) RWKV_CLEAR(13) "1:\n"     \
                 RWKV_STEP(instruction, size, 2) RWKV_STEP(instruction, size, 3) RWKV_STEP(instruction, size, 4)    \
                 RWKV_STEP(instruction, size, 5) RWKV_STEP(instruction, size, 6) RWKV_STEP(instruction, size, 7)    \
                 RWKV_STEP(instruction, size, 8) RWKV_STEP(instruction, size, 9) RWKV_STEP(instruction, size, 10)   \
                 RWKV_STEP(instruction, size, 11) RWKV_STEP(instruction, size, 12) RWKV_STEP(instruction, size, 13) \
                 "dec %0\njnz 1b\nvzeroupper\n"                                                                     \
                 : "+r"(repetitions)                                                                                \
                 : "r"(factors)                                                                                     \
                 : "memory", "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9",  \
                   "xmm10", "xmm11", "xmm12", "xmm13");                                                             \
    return repetitions;                                                                                             \
  }
#endif

#if defined(__AVX512F__)
constexpr double kSums = 12 * 16;
RWKV_RUN(run_f32, "vfmadd213ps", "zmm", 0x3f7fbe77, 0x3a83126f)
#if defined(__AVX512BF16__)
RWKV_RUN(run_bf16, "vdpbf16ps", "zmm", 0x3c003c00, 0x3c003c00)
#endif
#if defined(__AVX512VNNI__)
RWKV_RUN(run_int8, "vpdpbusd", "zmm", 0x03030303, 0xfefefefe)
#endif
const Arithmetic kArithmetic[] = {
    {"f32", "AVX-512 vfmadd", 2 * kSums, run_f32},
#if defined(__AVX512BF16__)
    {"bf16", "AVX-512 vdpbf16ps", 4 * kSums, run_bf16},
#endif
#if defined(__AVX512VNNI__)
    {"int8", "AVX-512 vpdpbusd", 8 * kSums, run_int8},
#endif
};

#elif defined(__AVX2__) && defined(__FMA__)
constexpr double kSums = 12 * 8;
RWKV_RUN(run_f32, "vfmadd213ps", "ymm", 0x3f7fbe77, 0x3a83126f)
#if defined(__AVXVNNI__)
RWKV_RUN(run_int8, "%{vex%} vpdpbusd", "ymm", 0x03030303, 0xfefefefe)
#else
/** Bytes to pairs of 16 bits, to 32 bits, to the sum: three instructions. */
uint64_t run_int8(uint64_t repetitions) {
  __m256i chains[12];
  for (auto& each : chains) each = _mm256_setzero_si256();
  const __m256i x = _mm256_set1_epi8(3), y = _mm256_set1_epi8(-2);
  for (uint64_t i = 0; i < repetitions; i++) {
    for (auto& each : chains) {
      const __m256i pairs = _mm256_maddubs_epi16(x, _mm256_xor_si256(y, _mm256_srli_epi32(each, 31)));
      each = _mm256_add_epi32(each, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
    }
  }
  return used(chains);
}
#endif
const Arithmetic kArithmetic[] = {
    {"f32", "AVX2 vfmadd", 2 * kSums, run_f32},
#if defined(__AVXVNNI__)
    {"int8", "AVX-VNNI vpdpbusd", 8 * kSums, run_int8},
#else
    {"int8", "AVX2 vpmaddubsw + vpmaddwd", 8 * kSums, run_int8},
#endif
};

#elif defined(__aarch64__)
constexpr size_t kChains = 24;
constexpr double kLanes = 4;
uint64_t run_f32(uint64_t repetitions) {
  float32x4_t chains[kChains];
  for (auto& each : chains) each = vdupq_n_f32(0.5f);
  const float32x4_t x = vdupq_n_f32(0.999f), y = vdupq_n_f32(0.001f);
  for (uint64_t i = 0; i < repetitions; i++) {
    for (auto& each : chains) each = vfmaq_f32(each, x, y);
  }
  return used(chains);
}
#if defined(__ARM_FEATURE_BF16_VECTOR_ARITHMETIC)
uint64_t run_bf16(uint64_t repetitions) {
  float32x4_t chains[kChains];
  for (auto& each : chains) each = vdupq_n_f32(0);
  const bfloat16x8_t x = vreinterpretq_bf16_u16(vdupq_n_u16(0x3c00));
  for (uint64_t i = 0; i < repetitions; i++) {
    for (auto& each : chains) each = vbfmmlaq_f32(each, x, x);
  }
  return used(chains);
}
#endif
#if defined(__ARM_FEATURE_MATMUL_INT8) || defined(__ARM_FEATURE_DOTPROD)
uint64_t run_int8(uint64_t repetitions) {
  int32x4_t chains[kChains];
  for (auto& each : chains) each = vdupq_n_s32(0);
  const int8x16_t x = vdupq_n_s8(3), y = vdupq_n_s8(-2);
  for (uint64_t i = 0; i < repetitions; i++) {
    for (auto& each : chains) {
#if defined(__ARM_FEATURE_MATMUL_INT8)
      each = vmmlaq_s32(each, x, y);
#else
      each = vdotq_s32(each, x, y);
#endif
    }
  }
  return used(chains);
}
#endif
const Arithmetic kArithmetic[] = {
    {"f32", "NEON fmla", 2 * kLanes * kChains, run_f32},
#if defined(__ARM_FEATURE_BF16_VECTOR_ARITHMETIC)
    {"bf16", "NEON bfmmla", 8 * kLanes * kChains, run_bf16},
#endif
#if defined(__ARM_FEATURE_MATMUL_INT8)
    {"int8", "NEON smmla", 16 * kLanes * kChains, run_int8},
#elif defined(__ARM_FEATURE_DOTPROD)
    {"int8", "NEON sdot", 8 * kLanes * kChains, run_int8},
#endif
};

#else
uint64_t run_f32(uint64_t repetitions) {
  float chains[16];
  for (auto& each : chains) each = 0.5f;
  for (uint64_t i = 0; i < repetitions; i++) {
    for (auto& each : chains) each = each * 0.999f + 0.001f;
  }
  return used(chains);
}
const Arithmetic kArithmetic[] = {{"f32", "compiled", 32, run_f32}};
#endif

// ---- Running ---------------------------------------------------------------------------------------------------

/** Seconds from the moment all threads are ready until the last is done. `work(thread)` runs on each. */
template <typename Work>
double together(unsigned threads, const Work& work) {
  std::atomic<unsigned> ready{0};
  std::atomic<bool> go{false};
  std::vector<std::thread> others;
  for (unsigned thread = 1; thread < threads; thread++) {
    others.emplace_back([&, thread] {
      ready++;
      while (!go.load()) {
      }
      work(thread);
    });
  }
  while (ready.load() + 1 < threads) {
  }
  const auto start = Clock::now();
  go = true;
  work(0);
  for (auto& other : others) other.join();
  return seconds_since(start);
}

double read_rate(const Buffer& buffer, size_t bytes, unsigned threads) {
  double best = 0;
  // Whole units of 512 bytes for each thread.
  const size_t share = bytes / threads / 512 * 512;
  const size_t passes = std::max<size_t>(1, kLeastRead / bytes);
  for (size_t distance : kDistances) {
    const double seconds = together(threads, [&](unsigned thread) {
      for (size_t pass = 0; pass < passes; pass++) sink += read_span(buffer.data + thread * share, share, distance);
    });
    best = std::max(best, static_cast<double>(share * passes) * threads / seconds / 1e9);
  }
  return best;
}

double arithmetic_rate(const Arithmetic& arithmetic, unsigned threads) {
  uint64_t repetitions = 1000;
  for (;;) {
    const auto start = Clock::now();
    sink += arithmetic.run(repetitions);
    const double seconds = seconds_since(start);
    if (seconds > kArithmeticSeconds / 10) {
      repetitions = static_cast<uint64_t>(static_cast<double>(repetitions) * kArithmeticSeconds / seconds);
      break;
    }
    repetitions *= 4;
  }
  const double seconds = together(threads, [&](unsigned) { sink += arithmetic.run(repetitions); });
  return arithmetic.operations * static_cast<double>(repetitions) * threads / seconds / 1e9;
}

struct Result {
  std::string name;
  std::string instruction;
  unsigned threads;
  /** Read from; 0 for arithmetic. */
  size_t bytes;
  std::vector<double> values;
};

void print(const std::vector<Result>& results, unsigned rounds) {
  std::printf("{\"rounds\":%u,\"processors\":%u,\"results\":[", rounds, std::thread::hardware_concurrency());
  for (size_t index = 0; index < results.size(); index++) {
    const Result& result = results[index];
    std::printf("%s{\"test\":\"%s\",\"instruction\":\"%s\",\"threads\":%u,\"bytes\":%zu,\"values\":[",
                index == 0 ? "" : ",", result.name.c_str(), result.instruction.c_str(), result.threads, result.bytes);
    for (size_t round = 0; round < result.values.size(); round++) {
      std::printf("%s%.3f", round == 0 ? "" : ",", result.values[round]);
    }
    std::printf("]}");
  }
  std::printf("]}\n");
}

/** Numbers between commas, each from 1 to `most`; none where one of them is something else. */
std::vector<size_t> numbers(const char* text, size_t most) {
  std::vector<size_t> list;
  while (*text != 0) {
    char* end = nullptr;
    const unsigned long long value = std::strtoull(text, &end, 10);
    if (end == text || value == 0 || value > most || (*end != ',' && *end != 0)) return {};
    list.push_back(static_cast<size_t>(value));
    text = *end == ',' ? end + 1 : end;
  }
  return list;
}

}  // namespace

int main(int count, char** arguments) {
  std::vector<size_t> threads{1, 2}, rounds{7}, sizes{size_t{1} << 30};
  for (int index = 1; index + 1 < count; index += 2) {
    const std::string option = arguments[index];
    if (option == "--threads") threads = numbers(arguments[index + 1], 1024);
    if (option == "--rounds") rounds = numbers(arguments[index + 1], 1000);
    if (option == "--bytes") sizes = numbers(arguments[index + 1], SIZE_MAX / 2);
  }
  if (threads.empty() || rounds.size() != 1 || sizes.empty()) {
    std::fprintf(stderr, "usage: machine [--threads 1,2] [--rounds 7] [--bytes 1073741824,150000000]\n");
    return 2;
  }
  // The last prefetches reach past the end of a span; a prefetch of an address that is not there does nothing.
  const Buffer huge = make_buffer(*std::max_element(sizes.begin(), sizes.end()), true);
  const Buffer small = make_buffer(sizes[0], false);
  std::vector<Result> results;
  for (size_t round = 0; round < rounds[0]; round++) {
    size_t next = 0;
    const auto record = [&](const Result& what, double value) {
      if (round == 0) results.push_back(what);
      results[next++].values.push_back(value);
    };
    for (size_t thread_count : threads) {
      const auto many = static_cast<unsigned>(thread_count);
      for (size_t size : sizes) record({"read", "huge pages", many, size, {}}, read_rate(huge, size, many));
      record({"read-small-pages", "4 KiB pages", many, sizes[0], {}}, read_rate(small, sizes[0], many));
      for (const Arithmetic& each : kArithmetic) {
        record({each.name, each.instruction, many, 0, {}}, arithmetic_rate(each, many));
      }
    }
  }
  print(results, static_cast<unsigned>(rounds[0]));
  return 0;
}
