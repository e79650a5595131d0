/**
 * Nanoseconds of the ops between products, for one token and for many: the best of several runs on one thread,
 * everything in the caches that it fits in.
 *
 * ops.bench [instruction set [op]]
 */
#include "ops-harness.h"

#include <algorithm>
#include <ctime>

using namespace rwkv;

namespace {

/** The thread's own time where the system tells it, so that a preempted run counts only what it did. */
double now() {
#if defined(CLOCK_THREAD_CPUTIME_ID)
  timespec time;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
#else
  timespec time;
  timespec_get(&time, TIME_UTC);
#endif
  return static_cast<double>(time.tv_sec) * 1e9 + static_cast<double>(time.tv_nsec);
}

/** The best time of one call, in nanoseconds. */
template <class Body>
double best(Body body) {
  double fastest = INFINITY;
  const double until = now() + 150e6;
  size_t calls = 1;
  while (now() < until) {
    const double start = now();
    for (size_t i = 0; i < calls; i++) body();
    const double total = now() - start;
    fastest = std::min(fastest, total / static_cast<double>(calls));
    if (total < 100000) calls *= 2;
  }
  return fastest;
}

std::string wanted;

/** Times `body` and prints it, whole and by part. */
template <class Body>
void report(const std::string& what, double per, Body body) {
  if (what.compare(0, wanted.size(), wanted) != 0) return;
  const double nanoseconds = best(body);
  printf("%-10s %-34s %10.0f ns %10.1f ns each\n", instructions.c_str(), what.c_str(), nanoseconds, nanoseconds / per);
}

void bench_norm(const Kernels& kernels, size_t width, uint32_t tokens) {
  Block x(tokens, width), weight(1, width), bias(1, width), out(tokens, width);
  for (Block* block : {&x, &weight, &bias}) block->random();
  const NormArgs args{x.view(), out.view(), static_cast<uint32_t>(width), {weight.data(), bias.data(), 1, 1e-5f}};
  report("norm C " + std::to_string(width) + " T " + std::to_string(tokens),
         tokens, [&] { kernels.norm(args, Step{}, {0, tokens}, scratch()); });
}

void bench_shift_mix(const Kernels& kernels, size_t width, uint32_t count, uint32_t mixes) {
  Tokens tokens({count});
  Block x(count, width), weight(1, width), bias(1, width), by(kMaxMixes, width), state(2, width), next(1, width);
  Block out(mixes * count, width);
  for (Block* block : {&x, &weight, &bias, &by, &state}) block->random();
  ShiftMixArgs args{};
  args.x = x.view();
  args.width = static_cast<uint32_t>(width);
  args.norm = {weight.data(), bias.data(), 1, 1e-5f};
  args.state = {state.data(), width};
  args.next_state = next.data();
  args.toward_previous = true;
  args.mixes = mixes;
  for (uint32_t i = 0; i < mixes; i++) {
    args.by[i] = by.row(i);
    args.out[i] = {out.row(i * count), width};
  }
  report("shift-mix C " + std::to_string(width) + " T " + std::to_string(count) + " mixes " + std::to_string(mixes),
         count, [&] { kernels.shift_mix(args, tokens.step, {0, count}, scratch()); });
}

void bench_wkv4(const Kernels& kernels, size_t width, uint32_t count) {
  Tokens tokens({count});
  Block k(count, width), v(count, width), out(count, width), decay(1, width), first(1, width), state(2, 3 * width);
  for (Block* block : {&k, &v, &first, &state}) block->random();
  decay.random(-3, -0.01f);
  const Wkv4Args args{k.view(), v.view(), out.view(), decay.data(), first.data(), static_cast<uint32_t>(width),
                      {state.data(), 3 * width}};
  report("wkv4 C " + std::to_string(width) + " T " + std::to_string(count),
         count, [&] { kernels.wkv4(args, tokens.step, {0, (width + kWkv4Block - 1) / kWkv4Block}, scratch()); });
}

/** Memory of a head's op, [T, H N] each. */
struct Heads {
  Heads(uint32_t heads, uint32_t count) : heads(heads), count(count), tokens({count}), state(2, heads * kSize * kSize) {
    for (int i = 0; i < 12; i++) {
      blocks.push_back(new Block(count, heads * kSize));
      blocks.back()->random(0.1f, 0.9f);
    }
    state.random();
  }
  ~Heads() {
    for (Block* block : blocks) delete block;
  }
  static constexpr uint32_t kSize = 64;
  uint32_t heads, count;
  Tokens tokens;
  std::vector<Block*> blocks;
  Block state;
  std::string text() const { return " H " + std::to_string(heads) + " T " + std::to_string(count); }
};

void bench_wkv6(const Kernels& kernels, uint32_t heads, uint32_t count) {
  Heads memory(heads, count);
  const auto& rows = memory.blocks;
  Wkv6Args args{};
  args.r = rows[0]->view();
  args.k = rows[1]->view();
  args.v = rows[2]->view();
  args.decay = rows[3]->view();
  args.out = rows[4]->view();
  args.gate = rows[5]->view();
  args.first = rows[6]->data();
  args.norm = {rows[7]->data(), rows[8]->data(), heads, 64e-5f};
  args.heads = heads;
  args.head_size = Heads::kSize;
  args.state = {memory.state.data(), memory.state.width};
  report("wkv6 fused" + memory.text(),
         heads * count, [&] { kernels.wkv6(args, memory.tokens.step, {0, heads}, scratch()); });
}

void bench_wkv7(const Kernels& kernels, uint32_t heads, uint32_t count) {
  Heads memory(heads, count);
  const auto& rows = memory.blocks;
  Wkv7Args args{};
  args.r = rows[0]->view();
  args.w = rows[1]->view();
  args.k = rows[2]->view();
  args.v = rows[3]->view();
  args.gate = rows[4]->view();
  args.rate = rows[5]->view();
  args.v_first = rows[6]->view();
  args.amount = rows[7]->view();
  args.out = rows[8]->view();
  args.removal = rows[9]->data();
  args.replacement = rows[10]->data();
  args.bonus = rows[11]->data();
  args.norm = {rows[9]->data(), rows[10]->data(), heads, 64e-5f};
  args.key_eps = 1e-12f;
  args.heads = heads;
  args.head_size = Heads::kSize;
  args.state = {memory.state.data(), memory.state.width};
  report("wkv7 fused" + memory.text(),
         heads * count, [&] { kernels.wkv7(args, memory.tokens.step, {0, heads}, scratch()); });
}

void bench_activate(const Kernels& kernels, Activation activation, const char* name) {
  constexpr uint32_t kWidth = 3072;
  Block x(1, kWidth), out(1, kWidth);
  x.random(-4, 4);
  const ActivateArgs args{x.view(), out.view(), kWidth, activation};
  report(std::string(name) + " 3072", kWidth, [&] { kernels.activate(args, Step{}, {0, 1}, scratch()); });
}

void bench(const Kernels& kernels) {
  bench_norm(kernels, 768, 1);
  bench_norm(kernels, 4096, 1);
  for (const uint32_t count : {1u, 512u}) {
    bench_shift_mix(kernels, 768, count, 6);
    bench_shift_mix(kernels, 768, count, 1);
    bench_shift_mix(kernels, 4096, count, 6);
    bench_wkv4(kernels, 768, count);
    for (const uint32_t heads : {12u, 16u}) {
      bench_wkv6(kernels, heads, count);
      bench_wkv7(kernels, heads, count);
    }
  }
  bench_activate(kernels, Activation::tanh, "tanh");
  bench_activate(kernels, Activation::sigmoid, "sigmoid");
  bench_activate(kernels, Activation::relu2, "relu2");
  bench_activate(kernels, Activation::decay7, "decay7");
}

}  // namespace

int main(int count, char** arguments) {
  if (count > 2) wanted = arguments[2];
  return run_tests(count, arguments, bench);
}
