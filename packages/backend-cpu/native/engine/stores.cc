#include "stores.h"

#include <cstring>
#include <utility>

namespace rwkv {
namespace {

constexpr size_t kBlockBytes = size_t{64} << 20;

}  // namespace

size_t WeightStore::bytes_for(Format format, uint32_t rows, uint32_t columns, bool is_vector) {
  if (is_vector) return aligned(size_t{rows} * columns * sizeof(float));
  return aligned(packed_bytes(format, rows, columns));
}

int64_t WeightStore::reserve(Format format, uint32_t rows, uint32_t columns, bool is_vector) {
  const size_t bytes = bytes_for(format, rows, columns, is_vector);
  if (blocks_.empty() || used_ + bytes > blocks_.back().bytes()) {
    Block block;
    if (!block.allocate(bytes > kBlockBytes ? bytes : kBlockBytes)) return -1;
    blocks_.push_back(std::move(block));
    used_ = 0;
  }
  Tensor tensor;
  tensor.matrix = {is_vector ? Format::f32 : format, rows, columns, blocks_.back().data() + used_};
  tensor.is_vector = is_vector;
  used_ += bytes;
  tensors_.push_back(tensor);
  return static_cast<int64_t>(tensors_.size()) - 1;
}

void WeightStore::release() {
  tensors_.clear();
  blocks_.clear();
  used_ = 0;
}

bool StateStore::allocate(std::vector<size_t> sizes, std::vector<float> initial, size_t slots) {
  sizes_ = std::move(sizes);
  initial_ = std::move(initial);
  slots_ = slots;
  size_t total = 0;
  // No machine has that much; the bound keeps what follows from wrapping around.
  constexpr size_t kMostNumbers = size_t{1} << 48;
  for (const size_t size : sizes_) {
    if (size > kMostNumbers || (size > 0 && slots > kMostNumbers / size) || total > kMostNumbers) return false;
    offsets_.push_back(total);
    total += aligned(size * slots * sizeof(float)) / sizeof(float);
  }
  if (!block_.allocate(total * sizeof(float))) return false;
  for (size_t slot = 0; slot < slots; slot++) reset(slot);
  return true;
}

void StateStore::write(size_t slot, const float* numbers) {
  for (size_t spec = 0; spec < sizes_.size(); spec++) {
    memcpy(state(spec).slot(slot), numbers, sizes_[spec] * sizeof(float));
    numbers += sizes_[spec];
  }
}

void StateStore::read(size_t slot, float* numbers) const {
  for (size_t spec = 0; spec < sizes_.size(); spec++) {
    memcpy(numbers, state(spec).slot(slot), sizes_[spec] * sizeof(float));
    numbers += sizes_[spec];
  }
}

void StateStore::copy(size_t from, size_t to) {
  if (from == to) return;
  for (size_t spec = 0; spec < sizes_.size(); spec++) {
    memcpy(state(spec).slot(to), state(spec).slot(from), sizes_[spec] * sizeof(float));
  }
}

}  // namespace rwkv
