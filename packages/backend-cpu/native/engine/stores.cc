#include "stores.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace rwkv {
namespace {

constexpr size_t kBlockBytes = size_t{64} << 20;
constexpr size_t kLayoutsInFiles = kLayouts;
/** No machine has so many; the bound keeps sums and products from wrapping around. */
constexpr size_t kMostNumbers = size_t{1} << 48;

constexpr uint32_t block_columns(Format format) {
  return format >= Format::q4_k ? 256 : format >= Format::q8_0 ? 32 : 1;
}

/** Whether the tensor lies inside `bytes` bytes, for any numbers whatever. */
bool fits(const FileTensor& tensor, size_t bytes) {
  if (tensor.format >= static_cast<size_t>(kFormats) || tensor.layout >= kLayoutsInFiles) return false;
  if (tensor.rows == 0 || tensor.columns == 0 || tensor.rows > UINT32_MAX || tensor.columns > UINT32_MAX) return false;
  // No format takes less than 4 bits, so this refuses nothing that fits, and keeps what follows from wrapping around.
  if (tensor.rows > bytes / tensor.columns * 2 + 2) return false;
  const Format format = static_cast<Format>(tensor.format);
  const uint32_t rows = static_cast<uint32_t>(tensor.rows), columns = static_cast<uint32_t>(tensor.columns);
  if (columns % block_columns(format) != 0) return false;
  const size_t needed =
      WeightStore::bytes_for(format, rows, columns, tensor.is_vector, static_cast<Layout>(tensor.layout));
  return tensor.offset % 64 == 0 && needed <= bytes && tensor.offset <= bytes - needed;
}

}  // namespace

bool WeightStore::adopt(FileMapping& mapping, const std::vector<FileTensor>& tensors) {
  for (const FileTensor& tensor : tensors) {
    if (!fits(tensor, mapping.bytes())) return false;
  }
  release();
  // The one thing that may fail comes before the mapping has changed hands.
  tensors_.reserve(tensors.size());
  mapping_ = std::move(mapping);
  for (const FileTensor& from : tensors) {
    Tensor tensor;
    tensor.matrix.format = from.is_vector ? Format::f32 : static_cast<Format>(from.format);
    tensor.matrix.rows = static_cast<uint32_t>(from.rows);
    tensor.matrix.columns = static_cast<uint32_t>(from.columns);
    tensor.matrix.data = mapping_.data() + from.offset;
    tensor.matrix.layout = from.is_vector ? Layout::panels : static_cast<Layout>(from.layout);
    tensor.is_vector = from.is_vector;
    tensors_.push_back(tensor);
  }
  return true;
}

size_t WeightStore::bytes_for(Format format, uint32_t rows, uint32_t columns, bool is_vector, Layout layout) {
  if (is_vector) return aligned(size_t{rows} * columns * sizeof(float));
  return aligned(packed_bytes(format, rows, columns, layout));
}

int64_t WeightStore::reserve(Format format, uint32_t rows, uint32_t columns, bool is_vector, Layout layout) {
  const size_t bytes = bytes_for(format, rows, columns, is_vector, layout);
  if (blocks_.empty() || used_ + bytes > blocks_.back().bytes()) {
    Block block;
    if (!block.allocate(bytes > kBlockBytes ? bytes : kBlockBytes)) return -1;
    blocks_.push_back(std::move(block));
    used_ = 0;
  }
  Tensor tensor;
  tensor.matrix = {is_vector ? Format::f32 : format, rows, columns, blocks_.back().data() + used_, layout};
  tensor.is_vector = is_vector;
  used_ += bytes;
  tensors_.push_back(tensor);
  return static_cast<int64_t>(tensors_.size()) - 1;
}

void WeightStore::release() {
  tensors_.clear();
  blocks_.clear();
  used_ = 0;
  mapping_.close();
}

bool InitialNumbers::add(float value, size_t count) {
  if (count > kMostNumbers - size()) return false;
  const size_t end = size() + count;
  // -0 is not 0, and NaN is itself.
  if (!runs_.empty() && memcmp(&runs_.back().value, &value, sizeof value) == 0) runs_.back().end = end;
  else runs_.push_back({value, end});
  return true;
}

void InitialNumbers::fill(float* out, size_t first, size_t count) const {
  const size_t end = first + count;
  auto run = std::upper_bound(runs_.begin(), runs_.end(), first, [](size_t at, const Run& own) { return at < own.end; });
  for (; first < end; run++) {
    const size_t own = std::min(run->end, end) - first;
    std::fill_n(out, own, run->value);
    out += own;
    first += own;
  }
}

StateStore::Status StateStore::define(std::vector<size_t> sizes, InitialNumbers initial, size_t slots) {
  size_t slot_size = 0, total = 0;
  for (const size_t size : sizes) {
    if (size > kMostNumbers || (size > 0 && slots > kMostNumbers / size) || total > kMostNumbers) {
      return Status::out_of_memory;
    }
    offsets_.push_back(total);
    slot_size += size;
    total += aligned(size * slots * sizeof(float)) / sizeof(float);
  }
  if (initial.size() != slot_size) return Status::malformed;
  sizes_ = std::move(sizes);
  initial_ = std::move(initial);
  slots_ = slots;
  bytes_ = total * sizeof(float);
  return Status::ok;
}

bool StateStore::allocate(const std::atomic<bool>& stop) {
  allocated_ = block_.allocate(bytes_);
  if (!allocated_) return false;
  for (size_t slot = 0; slot < slots_ && !stop.load(std::memory_order_relaxed); slot++) reset(slot);
  return true;
}

void StateStore::reset(size_t slot) {
  size_t first = 0;
  for (size_t spec = 0; spec < sizes_.size(); spec++) {
    initial_.fill(state(spec).slot(slot), first, sizes_[spec]);
    first += sizes_[spec];
  }
}

void StateStore::write(size_t slot, const uint8_t* bytes) {
  for (size_t spec = 0; spec < sizes_.size(); spec++) {
    memcpy(state(spec).slot(slot), bytes, sizes_[spec] * sizeof(float));
    bytes += sizes_[spec] * sizeof(float);
  }
}

void StateStore::read(size_t slot, uint8_t* bytes) const {
  for (size_t spec = 0; spec < sizes_.size(); spec++) {
    memcpy(bytes, state(spec).slot(slot), sizes_[spec] * sizeof(float));
    bytes += sizes_[spec] * sizeof(float);
  }
}

void StateStore::copy(size_t from, size_t to) {
  if (from == to) return;
  for (size_t spec = 0; spec < sizes_.size(); spec++) {
    memcpy(state(spec).slot(to), state(spec).slot(from), sizes_[spec] * sizeof(float));
  }
}

}  // namespace rwkv
