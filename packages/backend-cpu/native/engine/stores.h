/** What a model keeps between steps: packed weights, and recurrent states. */
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "../kernels/kernels.h"
#include "../kernels/pack.h"
#include "file-mapping.h"
#include "memory.h"

namespace rwkv {

/** A packed matrix, or (vectors, and anything that is not two-dimensional) plain f32 numbers. */
struct Tensor {
  PackedMatrix matrix;
  bool is_vector = false;

  const float* numbers() const { return reinterpret_cast<const float*>(matrix.data); }
  size_t count() const { return size_t{matrix.rows} * matrix.columns; }
};

/** A tensor of a file, as the file says: nothing about it is certain. */
struct FileTensor {
  size_t format, rows, columns, layout, offset;
  bool is_vector;
};

/**
 * Weights of one handle. Tensors lie one after another in large blocks, so that small ones share huge pages too, or in a
 * file that is mapped, and then nobody writes to them.
 */
class WeightStore {
 public:
  /** Takes the mapping over. False, and nothing changed, where a tensor is not wholly inside it or not aligned to 64. */
  bool adopt(FileMapping& mapping, const std::vector<FileTensor>& tensors);
  /** Index of the new tensor with memory for it, or -1 when the system has none. */
  int64_t reserve(Format format, uint32_t rows, uint32_t columns, bool is_vector, Layout layout = Layout::panels);
  /** The memory of a reserved tensor, for whoever packs it. */
  uint8_t* writable(size_t index) { return const_cast<uint8_t*>(tensors_[index].matrix.data); }
  const Tensor& tensor(size_t index) const { return tensors_[index]; }
  size_t size() const { return tensors_.size(); }
  void release();

  /** Bytes that `reserve` takes for a tensor. */
  static size_t bytes_for(Format format, uint32_t rows, uint32_t columns, bool is_vector,
                          Layout layout = Layout::panels);

 private:
  std::vector<Tensor> tensors_;
  std::vector<Block> blocks_;
  size_t used_ = 0;
  FileMapping mapping_;
};

/** [slots] of every spec, each spec a block of its own: slot s of a spec is `size` numbers at s * size. */
class StateStore {
 public:
  /** `initial`: one slot's numbers, spec after spec. False when the system has no memory. */
  bool allocate(std::vector<size_t> sizes, std::vector<float> initial, size_t slots);
  State state(size_t spec) const { return {block_.floats() + offsets_[spec], sizes_[spec]}; }
  size_t specs() const { return sizes_.size(); }
  size_t slots() const { return slots_; }
  /** Numbers of one slot over all specs. */
  size_t slot_size() const { return initial_.size(); }

  void reset(size_t slot) { write(slot, initial_.data()); }
  void write(size_t slot, const float* numbers);
  void read(size_t slot, float* numbers) const;
  void copy(size_t from, size_t to);
  void release() { block_.release(); }

 private:
  std::vector<size_t> sizes_;
  std::vector<size_t> offsets_;
  std::vector<float> initial_;
  size_t slots_ = 0;
  Block block_;
};

}  // namespace rwkv
