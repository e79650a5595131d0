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
  /** Nobody may write to a mapped one. */
  bool is_mapped() const { return mapping_.bytes() > 0; }
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

/** The numbers of a slot at first, spec after spec. They hardly differ, so runs of equal ones are kept. */
class InitialNumbers {
 public:
  /** False, and nothing added, when there would be more than any machine holds. */
  bool add(float value, size_t count);
  /** Fills `count` numbers from the `first` on; there must be as many. */
  void fill(float* out, size_t first, size_t count) const;
  size_t size() const { return runs_.empty() ? 0 : runs_.back().end; }

 private:
  struct Run {
    float value;
    size_t end;
  };
  std::vector<Run> runs_;
};

/** [slots] of every spec, each spec a block of its own: slot s of a spec is `size` numbers at s * size. */
class StateStore {
 public:
  enum class Status { ok, out_of_memory, malformed };
  /** Says what there will be; takes no memory for it yet. */
  Status define(std::vector<size_t> sizes, InitialNumbers initial, size_t slots);
  /** Takes the memory and resets all slots, or some when `stop` turns true. False when the system has none. */
  bool allocate(const std::atomic<bool>& stop);
  /** What follows, down to `release`, may be called only where this holds. */
  bool allocated() const { return allocated_; }

  State state(size_t spec) const { return {block_.floats() + offsets_[spec], sizes_[spec]}; }
  void reset(size_t slot);
  /** `bytes`: the slot's numbers, spec after spec, at any address. */
  void write(size_t slot, const uint8_t* bytes);
  void read(size_t slot, uint8_t* bytes) const;
  void copy(size_t from, size_t to);
  void release() {
    block_.release();
    allocated_ = false;
  }

  size_t specs() const { return sizes_.size(); }
  size_t slots() const { return slots_; }
  /** Numbers of one slot over all specs. */
  size_t slot_size() const { return initial_.size(); }

 private:
  std::vector<size_t> sizes_;
  std::vector<size_t> offsets_;
  InitialNumbers initial_;
  size_t slots_ = 0;
  size_t bytes_ = 0;
  bool allocated_ = false;
  Block block_;
};

}  // namespace rwkv
