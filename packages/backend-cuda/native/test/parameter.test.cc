#include "kernels/ops/parameter.cuh"

#include "test/file-rows.h"
#include "test/harness.h"

namespace {
using namespace rwkv;
using namespace harness;

void parameter(uint32_t format, uint32_t count, uint32_t activation, uint32_t repeat, Order order) {
  Random random(format + 7);
  const FileRow weight = FileBlocks(format, random).row(count);
  Numbers out(1, count * repeat);
  const ParameterArguments arguments{weight.bytes.data(), out.row(0), count, format, activation, repeat};
  launch("parameter", {(count + 255) / 256, 1, 256, 0}, nullptr, arguments, order);
  std::vector<double> expected;
  for (double number : weight.numbers) {
    const double value = static_cast<float>(number);
    const double formed = activation == kExpNegativeExp ? std::exp(-std::exp(value)) : value;
    for (uint32_t n = 0; n < repeat; n++) expected.push_back(formed);
  }
  compare(out.row(0), expected, activation ? 1e-6 : 0, "format " + std::to_string(format));
  check(out.intact(1), "a parameter writes beside itself");
}

}  // namespace

int main() {
  harness::in_all_orders([](Order order) {
    for (uint32_t format = 0; format <= 10; format++) {
      parameter(format, format < 3 ? 301 : 768, kNone, 1, order);
      parameter(format, format < 3 ? 3 : 256, kExpNegativeExp, 5, order);
    }
  });
  return harness::finish();
}
