/**
 * The recurrences for training on one thread: nanoseconds for a token of one head of 64 (RWKV-4: of 64 channels), the
 * best of many runs over 256 tokens whose rows are those of 256 channels; and operations on numbers of the state in a
 * nanosecond, a multiplication with an addition as one, to hold against the processor's fused operations.
 *
 * recurrence-training.bench [instruction set]
 */
#include "ops-harness.h"
#include "training.h"

#include <algorithm>
#include <ctime>
#include <memory>

using namespace rwkv;

namespace {

constexpr size_t kTokens = 256;
constexpr size_t kSize = 64;
constexpr size_t kGap = 192;

/** The thread's own time where the system tells it, so that a preempted run counts only what it did. */
double now() {
  timespec time;
#if defined(CLOCK_THREAD_CPUTIME_ID)
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
#else
  timespec_get(&time, TIME_UTC);
#endif
  return static_cast<double>(time.tv_sec) * 1e9 + static_cast<double>(time.tv_nsec);
}

/** `operations`: of one token, on each number of the state. */
template <class Body>
void report(const char* what, double operations, Body body) {
  double fastest = INFINITY;
  const double until = now() + 500e6;
  while (now() < until) {
    const double start = now();
    body();
    fastest = std::min(fastest, now() - start);
  }
  const double token = fastest / kTokens;
  printf("%-10s %-14s %8.1f ns", instructions.c_str(), what, token);
  if (operations > 0) printf(" %8.1f operations a nanosecond", operations * kSize * kSize / token);
  printf("\n");
}

struct Inputs {
  Block r{kTokens, kSize, kGap}, w{kTokens, kSize, kGap}, k{kTokens, kSize, kGap}, v{kTokens, kSize, kGap};
  Block a{kTokens, kSize, kGap}, b{kTokens, kSize, kGap}, out{kTokens, kSize, kGap}, out_gradient{kTokens, kSize, kGap};
  std::vector<std::unique_ptr<Block>> gradients;
  Block parameters{2, kSize}, totals{2, kSize}, state{1, kSize * kSize}, state_gradient{1, kSize * kSize};
  Block record{1, wkv7_record_floats(kTokens, kSize)};
  Block memory{1, wkv7_training_scratch_bytes(kSize) / sizeof(float)};
  uint8_t* scratch = reinterpret_cast<uint8_t*>(memory.data());

  Inputs() {
    for (Block* block : {&r, &k, &v, &out_gradient, &state, &state_gradient}) block->random();
    for (Block* block : {&a, &b}) block->random(-0.1f, 0.1f);
    w.random(0.6f, 1);
    parameters.random(-1, -0.1f);
    for (int i = 0; i < 6; i++) gradients.push_back(std::make_unique<Block>(kTokens, kSize, kGap));
  }
  Gradient gradient(size_t i) const { return {gradients[i]->view()}; }
};

void bench_wkv7(const RecurrenceTraining& kernels) {
  const Inputs in;
  const Wkv7TrainingArgs forward{kTokens, kSize, in.r.view(), in.w.view(), in.k.view(), in.v.view(), in.a.view(),
                                 in.b.view(), in.out.view(), in.state.data(), in.record.data()};
  report("wkv7", 5, [&] { kernels.wkv7(forward, in.scratch); });
  const Wkv7BackwardArgs backward{kTokens, kSize, in.r.view(), in.w.view(), in.k.view(), in.v.view(), in.a.view(),
                                  in.b.view(), in.out_gradient.view(), in.record.data(), in.gradient(0),
                                  in.gradient(1), in.gradient(2), in.gradient(3), in.gradient(4), in.gradient(5),
                                  in.state_gradient.data()};
  report("wkv7 backward", 13, [&] { kernels.wkv7_backward(backward, in.scratch); });
}

void bench_wkv6(const RecurrenceTraining& kernels) {
  const Inputs in;
  const Wkv6TrainingArgs forward{kTokens, kSize, in.r.view(), in.k.view(), in.v.view(), in.w.view(),
                                 in.parameters.data(), in.out.view(), in.state.data(), in.record.data()};
  report("wkv6", 3, [&] { kernels.wkv6(forward, in.scratch); });
  const Wkv6BackwardArgs backward{kTokens, kSize, in.r.view(), in.k.view(), in.v.view(), in.w.view(),
                                  in.parameters.data(), in.out_gradient.view(), in.record.data(), in.gradient(0),
                                  in.gradient(1), in.gradient(2), in.gradient(3), nullptr, in.totals.data(),
                                  in.state_gradient.data()};
  report("wkv6 backward", 8, [&] { kernels.wkv6_backward(backward, in.scratch); });
}

void bench_wkv4(const RecurrenceTraining& kernels) {
  Inputs in;
  in.state.random(0, 1);
  const float* decay = in.parameters.row(0);
  const float* first = in.parameters.row(1);
  const Wkv4TrainingArgs forward{kTokens, kSize, in.k.view(), in.v.view(), decay, first, in.out.view(),
                                 in.state.data(), kSize, in.record.data()};
  report("wkv4", 0, [&] { kernels.wkv4(forward); });
  const Wkv4BackwardArgs backward{kTokens, kSize, in.k.view(), in.v.view(), decay, first, in.out_gradient.view(),
                                  in.record.data(), in.gradient(0), in.gradient(1), in.totals.row(0), in.totals.row(1),
                                  in.state_gradient.data(), kSize};
  report("wkv4 backward", 0, [&] { kernels.wkv4_backward(backward, in.scratch); });
}

}  // namespace

int main(int count, char** arguments) {
  return run_tests(count, arguments, [](const Kernels& all) {
    const RecurrenceTraining& kernels = training_kernels(all.name)->recurrences;
    bench_wkv7(kernels);
    bench_wkv6(kernels);
    bench_wkv4(kernels);
  });
}
