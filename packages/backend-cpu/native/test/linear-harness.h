/** How the tests of matrix products run one: in every order of its units, between guards. */
#pragma once

#include <string>
#include <vector>

#include "file-formats.h"
#include "kernels.h"

namespace rwkv_test {

constexpr float kGuardNumber = 1234.5f;

enum class Order { one_range, single_units, backwards };

/** [tokens][rows + 3] with guards; `fail` is told what was written beyond. */
template <class Fail>
std::vector<float> run(const rwkv::Kernels& kernels, rwkv::LinearArgs args, uint32_t tokens, Order order,
                       const std::string& name, const Fail& fail) {
  const size_t stride = args.weight.rows + 3;
  std::vector<float> out(tokens * stride, kGuardNumber);
  args.out = {out.data(), stride};
  static Guarded scratch(rwkv::kThreadScratch);
  Guarded prepared(kernels.linear_prepared_bytes(args.weight, tokens));
  const size_t prepare_units = kernels.linear_prepare_units(args.weight, tokens);
  if (order == Order::one_range) {
    kernels.linear_prepare(args, tokens, prepared.data(), {0, prepare_units});
  } else {
    for (size_t i = prepare_units; i-- > 0;) kernels.linear_prepare(args, tokens, prepared.data(), {i, i + 1});
  }
  const size_t units = kernels.linear_units(args.weight, tokens);
  if (order == Order::one_range) kernels.linear(args, tokens, prepared.data(), {0, units}, scratch.data());
  if (order == Order::single_units) {
    for (size_t u = 0; u < units; ++u) kernels.linear(args, tokens, prepared.data(), {u, u + 1}, scratch.data());
  }
  if (order == Order::backwards) {
    for (size_t end = units; end > 0;) {
      const size_t begin = end > 3 ? end - 3 : 0;
      kernels.linear(args, tokens, prepared.data(), {begin, end}, scratch.data());
      end = begin;
    }
  }
  if (!prepared.intact() || !scratch.intact()) fail(name + ": writes beyond prepared rows or scratch");
  for (size_t t = 0; t < tokens; ++t) {
    for (size_t i = args.weight.rows; i < stride; ++i) {
      if (out[t * stride + i] != kGuardNumber) fail(name + ": writes beyond the row");
    }
  }
  return out;
}

}  // namespace rwkv_test
