#include "kernels/ops/embed.cuh"

#include "test/file-rows.h"
#include "test/harness.h"

namespace {
using namespace rwkv;
using namespace harness;

/** A table of five rows that begins `offset` bytes behind a multiple of 16. */
void embed(uint32_t format, uint32_t width, size_t offset, Order order) {
  Random random(format + width);
  FileBlocks blocks(format, random);
  std::vector<FileRow> table;
  for (int r = 0; r < 5; r++) table.push_back(blocks.row(width));
  const size_t row_bytes = table[0].bytes.size();
  std::vector<unsigned char> bytes(5 * row_bytes + 64, 0xee);
  size_t start = 16;
  while (reinterpret_cast<uintptr_t>(bytes.data() + start) % 16 != offset) start++;
  for (size_t r = 0; r < 5; r++) memcpy(bytes.data() + start + r * row_bytes, table[r].bytes.data(), row_bytes);

  Batch batch({{0, 3}, {1, 1}});
  batch.tokens = {4, 0, 3, 4};
  batch.embedding = {0, 1, 0, 2};
  for (uint32_t i = 0; i < 2 * width; i++) batch.vectors.push_back(static_cast<float>(random.normal()));
  const std::string where =
      "format " + std::to_string(format) + " of " + std::to_string(width) + " at " + std::to_string(offset);
  for (uint32_t takes_vectors : {0u, 1u}) {
    Numbers out(6, width);
    const EmbedArguments arguments{bytes.data() + start, out.rows(),  width, format,
                                   static_cast<uint32_t>(row_bytes), takes_vectors};
    launch("embed", {6, (width + 1023) / 1024, 256, 0}, batch.step(), arguments, order);
    for (uint32_t t = 0; t < 4; t++) {
      std::vector<double> expected = table[batch.tokens[t]].numbers;
      if (takes_vectors && batch.embedding[t]) {
        const float* vector = batch.vectors.data() + (batch.embedding[t] - 1) * width;
        expected.assign(vector, vector + width);
      }
      for (double& one : expected) one = static_cast<float>(one);
      compare(out.row(t), expected, 0, where);
    }
    check(out.intact(4), where + " writes beside its rows");
  }
}

}  // namespace

int main() {
  harness::in_all_orders([](Order order) {
    for (uint32_t format = 0; format <= 10; format++) {
      for (size_t offset : {0, 1, 6, 14}) embed(format, format < 3 ? 1027 : format < 8 ? 1088 : 1536, offset, order);
    }
    embed(kF16, 5, 2, order);
    embed(kF32, 2048, 4, order);
  });
  return harness::finish();
}
