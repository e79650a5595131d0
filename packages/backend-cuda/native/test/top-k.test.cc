#include "kernels/ops/top-k.cuh"

#include <algorithm>
#include <numeric>

#include "test/harness.h"

namespace {
using namespace rwkv;
using namespace harness;

using Draw = double (*)(Random&);

struct Case {
  uint32_t width, wanted;
  Draw draw;
};

/** As the encoder launches it: lists of chunks, then fewer and fewer of them. */
void run_top_k(const Case& of, Batch& batch, const Numbers& x, Numbers& out, Order order) {
  uint32_t length = 1;
  while (length < of.wanted) length *= 2;
  const uint32_t fan = std::min(64u, 2 * kTopChunk / length);
  uint32_t count = (of.width + kTopChunk - 1) / kTopChunk;
  Numbers lists(4, count * (2 * length + 2));
  launch("top_k", {4, count, 512, 0}, batch.step(),
         TopKArguments{x.read(), lists.rows(), kTokens, of.width, length}, order);
  check(lists.intact(3), "top_k writes beside its lists");
  while (count > fan) {
    const uint32_t blocks = (count + fan - 1) / fan;
    Numbers fewer(4, blocks * (2 * length + 2));
    launch("top_k_merge", {4, blocks, 512, 0}, batch.step(),
           TopKMergeArguments{lists.read(), fewer.rows(), kTokens, count, length, fan, of.wanted}, order);
    check(fewer.intact(3), "top_k_merge writes beside its lists");
    lists = fewer;
    count = blocks;
  }
  launch("top_k_merge", {4, 1, 512, 0}, batch.step(),
         TopKMergeArguments{lists.read(), out.rows(), kTokens, count, length, fan, of.wanted}, order);
}

void top_k(const Case& of, Order order) {
  Batch batch({{0, 2}, {1, 1}});
  Numbers x(4, of.width), out(4, 2 * of.wanted + 1);
  Random random(of.width + of.wanted);
  x.fill([&] { return of.draw(random); });
  run_top_k(of, batch, x, out, order);
  const std::string where = std::to_string(of.wanted) + " of " + std::to_string(of.width);
  for (size_t r = 0; r < 3; r++) {
    const float* row = x.row(r);
    std::vector<uint32_t> columns(of.width);
    std::iota(columns.begin(), columns.end(), 0);
    bool broken = false;
    for (uint32_t c = 0; c < of.width; c++) broken = broken || std::isnan(row[c]) || row[c] == INFINITY;
    double sum = 0;
    if (!broken) {
      std::stable_sort(columns.begin(), columns.end(), [&](uint32_t a, uint32_t b) { return row[a] > row[b]; });
      const double most = row[columns[0]];
      for (uint32_t c = 0; c < of.width; c++) sum += std::isinf(row[c]) ? 0 : std::exp(row[c] - most);
      for (uint32_t i = 0; i < of.wanted; i++) {
        check(out.row(r)[i] == row[columns[i]], where + ": number " + std::to_string(i));
        check(out.row(r)[of.wanted + i] == static_cast<float>(columns[i]), where + ": column " + std::to_string(i));
      }
    }
    compare(out.row(r) + 2 * of.wanted, {sum}, 2e-6, where + ", sum");
    check(broken || sum > 0 || of.draw(random) == -INFINITY, where + ": a row has a sum");
  }
  check(out.intact(3), where + " writes beside its rows");
}

double normal(Random& random) { return random.normal(); }
double ties(Random& random) { return static_cast<double>(random.below(5)) - 2; }
double sparse(Random& random) { return random.below(9) ? -INFINITY : random.normal(); }
double zeros(Random& random) { return random.below(2) ? -0.0 : 0.0; }
double large(Random& random) { return random.uniform(-1e4, 1e4); }
double broken(Random& random) { return random.below(150) ? random.normal() : random.below(2) ? NAN : INFINITY; }
double nothing(Random&) { return -INFINITY; }

}  // namespace

int main() {
  const Case cases[] = {{67, 7, ties},        {33, 33, normal},    {128, 1, large},     {5003, 120, normal},
                        {2048, 300, ties},    {1500, 20, sparse},  {300, 20, broken},   {100, 40, zeros},
                        {4100, 2048, normal}, {9000, 1500, ties},  {2049, 2, nothing},  {67000, 65, normal},
                        {132000, 1, normal}};
  harness::in_all_orders([&](Order order) {
    for (const Case& one : cases) {
      // A hundred blocks in one order are enough.
      if (one.width < 4096 || order == Order::shuffled) top_k(one, order);
    }
  });
  return harness::finish();
}
