/**
 * Over 400 lines because the arguments of every operation are read here, in the order in which src/encode writes them.
 *
 * The encoded program as operations bound to memory. The encoder is ours, so a word out of place is a mistake of this
 * package; it is reported as `malformed` all the same, since what would follow is a write to a wild address.
 */
#include <algorithm>
#include <cmath>
#include <cstring>
#include <new>
#include <utility>

#include "program.h"

namespace rwkv {
namespace {

/** What an op's units are. */
enum class UnitKind { tokens, wanted, candidates, sequences, sequence_parts };

struct Units {
  UnitKind kind = UnitKind::tokens;
  /** Parts of a sequence: heads, or blocks of channels. */
  size_t parts = 1;

  size_t count(const Step& step) const {
    switch (kind) {
      case UnitKind::tokens: return step.tokens;
      case UnitKind::wanted: return step.wanted;
      case UnitKind::candidates: return step.candidates ? step.wanted : 0;
      case UnitKind::sequences: return step.sequences;
      case UnitKind::sequence_parts: return step.sequences * parts;
    }
    return 0;
  }
  /** Rows that all units together go through, times parts. */
  double rows(const Step& step) const {
    if (kind == UnitKind::sequence_parts) return static_cast<double>(step.tokens) * static_cast<double>(parts);
    return static_cast<double>(count(step));
  }
};

template <class Args>
class KernelOperation final : public Operation {
 public:
  size_t units(const Kernels&, const Step& step) const override { return unit.count(step); }
  void run(const Kernels& kernels, const Step& step, Range range, const uint8_t*, uint8_t* scratch) const override {
    (kernels.*kernel)(args, step, range, scratch);
  }
  double cost(const Step& step) const override { return unit.rows(step) * nanoseconds; }

  Args args{};
  Kernel<Args> Kernels::*kernel = nullptr;
  Units unit;
  /** About how long one row (of one part) takes. */
  double nanoseconds = 1;
};

class LinearOperation final : public Operation {
 public:
  uint32_t rows(const Step& step) const { return wanted ? step.wanted : step.tokens; }
  size_t units(const Kernels& kernels, const Step& step) const override {
    return rows(step) == 0 ? 0 : kernels.linear_units(args.weight, rows(step));
  }
  void run(const Kernels& kernels, const Step& step, Range range, const uint8_t* prepared,
           uint8_t* scratch) const override {
    kernels.linear(args, rows(step), prepared, range, scratch);
  }
  /** The larger of reading the weights and multiplying them. */
  double cost(const Step& step) const override {
    const double products = static_cast<double>(args.weight.rows) * args.weight.columns * rows(step);
    return std::max(bytes / 15, products / (args.weight.format <= Format::bf16 ? 50 : 120));
  }
  size_t prepared_bytes(const Kernels& kernels, const Step& step) const override {
    return rows(step) == 0 ? 0 : kernels.linear_prepared_bytes(args.weight, rows(step));
  }
  size_t prepare_units(const Kernels& kernels, const Step& step) const override {
    return rows(step) == 0 ? 0 : kernels.linear_prepare_units(args.weight, rows(step));
  }
  void prepare(const Kernels& kernels, const Step& step, Range range, uint8_t* prepared) const override {
    kernels.linear_prepare(args, rows(step), prepared, range);
  }

  LinearArgs args;
  bool wanted = false;
  double bytes = 0;
};

}  // namespace

class Decoder {
 public:
  Decoder(CompiledProgram& program, const EncodedProgram& encoded) : program_(program), encoded_(encoded) {}

  CompiledProgram::Status decode() {
    program_.limits_ = encoded_.limits;
    if (!program_.arena_.allocate(encoded_.arena_floats * sizeof(float)) ||
        !program_.parameters_.allocate(encoded_.parameter_floats * sizeof(float))) {
      return CompiledProgram::Status::out_of_memory;
    }
    const size_t parameters = count();
    for (size_t i = 0; i < parameters && ok_; i++) parameter();
    uint32_t phase = 0;
    while (ok_ && at_ < encoded_.count) {
      operation();
      if (!ok_) break;
      const uint32_t own = program_.operations_.back()->phase;
      // A stretch has a few tasks per thread, and at least one for each of its operations.
      if (own < phase || program_.operations_.size() >= kMostTasks / 2) ok_ = false;
      phase = own;
    }
    return ok_ ? CompiledProgram::Status::ok : CompiledProgram::Status::malformed;
  }

 private:
  double word() {
    if (at_ < encoded_.count) return encoded_.words[at_++];
    ok_ = false;
    return 0;
  }
  /** A whole number from 0. */
  size_t count() {
    const double value = word();
    if (value >= 0 && value <= 9007199254740992.0 && value == std::floor(value)) return static_cast<size_t>(value);
    ok_ = false;
    return 0;
  }
  uint32_t small() {
    const size_t value = count();
    if (value <= UINT32_MAX) return static_cast<uint32_t>(value);
    ok_ = false;
    return 0;
  }
  size_t head_size() {
    const size_t value = small();
    ok_ = ok_ && value <= kMaxHeadSize;
    return ok_ ? value : 0;
  }
  bool flag() { return count() != 0; }
  float real() { return static_cast<float>(word()); }
  Activation activation() {
    const size_t value = count();
    if (value < kActivations) return static_cast<Activation>(value);
    ok_ = false;
    return Activation::none;
  }

  const Tensor& tensor() {
    static const Tensor none{};
    const size_t index = count();
    if (ok_ && index < program_.weights_->size()) return program_.weights_->tensor(index);
    ok_ = false;
    return none;
  }
  PackedMatrix matrix() {
    const Tensor& found = tensor();
    if (found.is_vector) ok_ = false;
    return found.matrix;
  }
  State state(size_t expected_size) {
    const size_t index = count();
    if (!ok_ || index >= program_.states_->specs()) {
      ok_ = false;
      return {};
    }
    const State found = program_.states_->state(index);
    if (found.size != expected_size) ok_ = false;
    return found;
  }

  enum Base : size_t { absent, arena, output, parameters, candidates };

  /** Rows of `width` numbers, as many as the limits allow; where they lie and how far apart they are. */
  Rows view(size_t width, size_t rows, float** field = nullptr) {
    const size_t base = count(), offset = count(), stride = count();
    if (!ok_ || base == absent) return {};
    if (base == output) {
      if (field) program_.output_pointers_.push_back({field, offset});
      program_.output_stride_ = std::max(program_.output_stride_, stride);
      return {nullptr, stride};
    }
    if (base == candidates) {
      if (field) program_.candidate_pointers_.push_back({field, offset});
      program_.candidate_stride_ = std::max(program_.candidate_stride_, stride);
      return {nullptr, stride};
    }
    const Block& block = base == parameters ? program_.parameters_ : program_.arena_;
    const size_t floats = base == parameters ? encoded_.parameter_floats : encoded_.arena_floats;
    const size_t last = rows == 0 ? 0 : (rows - 1) * stride + width;
    if (base > parameters || last > floats || offset > floats - last) {
      ok_ = false;
      return {};
    }
    return {block.floats() + offset, stride};
  }
  /** A value, or a parameter that every row shares; fills `field`, which the output's address goes to. */
  void read(Rows& field, size_t width, size_t rows) {
    field = view(width, rows, &field.data);
  }
  const float* vector(size_t width) { return view(width, 1).data; }
  void norm(Norm& field, size_t width) {
    field.weight = vector(width);
    field.bias = vector(width);
    field.groups = small();
    field.eps = real();
    if (field.weight && (!field.bias || field.groups == 0 || width % field.groups != 0)) ok_ = false;
  }

  /** A weight's numbers as f32 with its form applied, each repeated: per-head numbers become per-channel ones. */
  void parameter() {
    const Tensor& found = tensor();
    const Activation form = activation();
    const size_t offset = count(), repeat = count();
    if (!ok_) return;
    const size_t numbers = found.count();
    if (repeat == 0 || repeat > encoded_.parameter_floats || numbers > encoded_.parameter_floats / repeat ||
        offset > encoded_.parameter_floats - numbers * repeat) {
      ok_ = false;
      return;
    }
    float* out = program_.parameters_.floats() + offset;
    if (found.is_vector) {
      memcpy(out, found.numbers(), numbers * sizeof(float));
    } else {
      for (uint32_t row = 0; row < found.matrix.rows; row++) {
        unpack_row(found.matrix, row, out + size_t{row} * found.matrix.columns);
      }
    }
    program_.kernels_.apply_form(out, numbers, form);
    for (size_t i = numbers; repeat > 1 && i-- > 0;) {
      const float value = out[i];
      for (size_t j = 0; j < repeat; j++) out[i * repeat + j] = value;
    }
  }

  template <class Args>
  KernelOperation<Args>& add(Kernel<Args> Kernels::*kernel, Units unit) {
    auto operation = std::make_unique<KernelOperation<Args>>();
    operation->kernel = kernel;
    operation->unit = unit;
    KernelOperation<Args>& added = *operation;
    program_.operations_.push_back(std::move(operation));
    return added;
  }

  void operation() {
    const size_t code = count();
    const uint32_t phase = small();
    const bool wanted = flag();
    if (!ok_ || code >= kOpCodes) {
      ok_ = false;
      return;
    }
    rows_ = wanted ? encoded_.limits.wanted : encoded_.limits.tokens;
    row_units_ = {wanted ? UnitKind::wanted : UnitKind::tokens, 1};
    wanted_ = wanted;
    const size_t before = program_.operations_.size();
    arguments(static_cast<OpCode>(code));
    if (program_.operations_.size() != before + 1) {
      ok_ = false;
      return;
    }
    program_.operations_.back()->code = static_cast<OpCode>(code);
    program_.operations_.back()->phase = phase;
  }

  void arguments(OpCode code) {
    switch (code) {
      case OpCode::embed: return embed();
      case OpCode::select_rows: return select_rows();
      case OpCode::norm: return norm_rows();
      case OpCode::l2_norm: return l2_norm();
      case OpCode::lerp: return lerp();
      case OpCode::linear: return linear();
      case OpCode::row_matmul: return row_matmul();
      case OpCode::add: return pair(&Kernels::add);
      case OpCode::mul: return pair(&Kernels::mul);
      case OpCode::scale: return scale();
      case OpCode::activate: return activate();
      case OpCode::copy: return copy();
      case OpCode::shift_mix: return shift_mix();
      case OpCode::commit_shift: return commit_shift();
      case OpCode::wkv4: return wkv4();
      case OpCode::wkv6: return wkv6();
      case OpCode::wkv7: return wkv7();
      case OpCode::bonus7: return bonus7();
      case OpCode::prepare7: return prepare7();
      case OpCode::top_k: return top_k();
    }
  }

  void embed() {
    auto& op = add(&Kernels::embed, row_units_);
    op.args.table = matrix();
    op.args.by_input = flag();
    read(op.args.out, op.args.table.columns, rows_);
    op.nanoseconds = op.args.table.columns * 2.0;
    program_.vocabulary_ = std::min(program_.vocabulary_, op.args.table.rows);
    if (op.args.by_input) program_.embedding_columns_ = op.args.table.columns;
  }
  void select_rows() {
    auto& op = add(&Kernels::select_rows, {UnitKind::wanted, 1});
    const size_t width = op.args.width = small();
    read(op.args.x, width, encoded_.limits.tokens);
    read(op.args.out, width, encoded_.limits.wanted);
    op.nanoseconds = static_cast<double>(width) * 0.1;
  }
  void norm_rows() {
    auto& op = add(&Kernels::norm, row_units_);
    const size_t width = op.args.width = small();
    read(op.args.x, width, rows_);
    read(op.args.out, width, rows_);
    norm(op.args.norm, width);
    op.nanoseconds = static_cast<double>(width) * 0.3;
  }
  void l2_norm() {
    auto& op = add(&Kernels::l2_norm, row_units_);
    const size_t width = op.args.width = small();
    read(op.args.x, width, rows_);
    read(op.args.out, width, rows_);
    op.args.groups = small();
    op.args.eps = real();
    if (op.args.groups == 0 || width % op.args.groups != 0) ok_ = false;
    op.nanoseconds = static_cast<double>(width) * 0.2;
  }
  void lerp() {
    auto& op = add(&Kernels::lerp, row_units_);
    const size_t width = op.args.width = small();
    read(op.args.x, width, rows_);
    read(op.args.y, width, rows_);
    read(op.args.out, width, rows_);
    read(op.args.by, width, rows_);
    op.nanoseconds = static_cast<double>(width) * 0.2;
  }
  void linear() {
    auto owned = std::make_unique<LinearOperation>();
    LinearOperation& op = *owned;
    program_.operations_.push_back(std::move(owned));
    op.wanted = wanted_;
    op.args.weight = matrix();
    const size_t width = op.args.weight.rows;
    read(op.args.x, op.args.weight.columns, rows_);
    read(op.args.out, width, rows_);
    op.args.bias = vector(width);
    op.args.activation = activation();
    read(op.args.gate, width, rows_);
    read(op.args.residual, width, rows_);
    if (ok_) {
      const PackedMatrix& weight = op.args.weight;
      op.bytes = static_cast<double>(packed_bytes(weight.format, weight.rows, weight.columns, weight.layout));
    }
  }
  void row_matmul() {
    auto& op = add(&Kernels::row_matmul, row_units_);
    op.args.inputs = small();
    op.args.width = small();
    read(op.args.x, op.args.inputs, rows_);
    read(op.args.m, size_t{op.args.inputs} * op.args.width, rows_);
    read(op.args.out, op.args.width, rows_);
    op.nanoseconds = static_cast<double>(op.args.inputs) * op.args.width * 0.1;
  }
  void pair(Kernel<PairArgs> Kernels::*kernel) {
    auto& op = add(kernel, row_units_);
    const size_t width = op.args.width = small();
    read(op.args.x, width, rows_);
    read(op.args.out, width, rows_);
    read(op.args.y, width, rows_);
    op.nanoseconds = static_cast<double>(width) * 0.15;
  }
  void scale() {
    auto& op = add(&Kernels::scale, row_units_);
    const size_t width = op.args.width = small();
    read(op.args.x, width, rows_);
    read(op.args.out, width, rows_);
    op.args.factor = real();
    op.nanoseconds = static_cast<double>(width) * 0.1;
  }
  void activate() {
    auto& op = add(&Kernels::activate, row_units_);
    const size_t width = op.args.width = small();
    read(op.args.x, width, rows_);
    read(op.args.out, width, rows_);
    op.args.activation = activation();
    op.nanoseconds = static_cast<double>(width) * 0.5;
  }
  void copy() {
    auto& op = add(&Kernels::copy, row_units_);
    const size_t width = op.args.width = small();
    read(op.args.x, width, rows_);
    read(op.args.out, width, rows_);
    op.nanoseconds = static_cast<double>(width) * 0.1;
  }
  void shift_mix() {
    auto& op = add(&Kernels::shift_mix, row_units_);
    const size_t width = op.args.width = small();
    read(op.args.x, width, rows_);
    norm(op.args.norm, width);
    op.args.state = state(width);
    op.args.next_state = view(width, encoded_.limits.sequences).data;
    op.args.toward_previous = flag();
    op.args.mixes = small();
    if (op.args.mixes > kMaxMixes) ok_ = false;
    for (uint32_t mix = 0; ok_ && mix < op.args.mixes; mix++) {
      op.args.by[mix] = vector(width);
      read(op.args.out[mix], width, rows_);
    }
    read(op.args.normed, width, rows_);
    read(op.args.shifted, width, rows_);
    read(op.args.difference, width, rows_);
    op.nanoseconds = static_cast<double>(width) * (0.5 + 0.15 * op.args.mixes);
  }
  void commit_shift() {
    auto& op = add(&Kernels::commit_shift, {UnitKind::sequences, 1});
    const size_t width = op.args.width = small();
    op.args.state = state(width);
    op.args.next_state = view(width, encoded_.limits.sequences).data;
    op.nanoseconds = static_cast<double>(width) * 0.1;
  }
  void wkv4() {
    const size_t channels = small();
    const Units units{UnitKind::sequence_parts, (channels + kWkv4Block - 1) / kWkv4Block};
    auto& op = add(&Kernels::wkv4, units);
    op.args.channels = static_cast<uint32_t>(channels);
    read(op.args.k, channels, rows_);
    read(op.args.v, channels, rows_);
    read(op.args.out, channels, rows_);
    op.args.decay = vector(channels);
    op.args.first = vector(channels);
    op.args.state = state(3 * channels);
    op.nanoseconds = kWkv4Block * 3.0;
  }
  void wkv6() {
    const size_t heads = small(), size = head_size(), width = heads * size;
    auto& op = add(&Kernels::wkv6, {UnitKind::sequence_parts, heads});
    op.args.heads = static_cast<uint32_t>(heads);
    op.args.head_size = static_cast<uint32_t>(size);
    for (Rows* rows : {&op.args.r, &op.args.k, &op.args.v, &op.args.out, &op.args.decay}) read(*rows, width, rows_);
    op.args.first = vector(width);
    op.args.state = state(width * size);
    norm(op.args.norm, width);
    read(op.args.gate, width, rows_);
    op.nanoseconds = static_cast<double>(size * size) * 0.1;
  }
  void wkv7() {
    const size_t heads = small(), size = head_size(), width = heads * size;
    auto& op = add(&Kernels::wkv7, {UnitKind::sequence_parts, heads});
    Wkv7Args& args = op.args;
    args.heads = static_cast<uint32_t>(heads);
    args.head_size = static_cast<uint32_t>(size);
    for (Rows* rows : {&args.r, &args.w, &args.k, &args.v, &args.a, &args.b, &args.out}) read(*rows, width, rows_);
    args.state = state(width * size);
    norm(args.norm, width);
    args.bonus = vector(width);
    read(args.gate, width, rows_);
    args.removal = vector(width);
    args.replacement = vector(width);
    args.key_eps = real();
    for (Rows* rows : {&args.rate, &args.v_first, &args.amount}) read(*rows, width, rows_);
    op.nanoseconds = static_cast<double>(size * size) * 0.2;
  }
  void bonus7() {
    const size_t heads = small(), size = small(), width = heads * size;
    auto& op = add(&Kernels::bonus7, row_units_);
    op.args.heads = static_cast<uint32_t>(heads);
    op.args.head_size = static_cast<uint32_t>(size);
    for (Rows* rows : {&op.args.r, &op.args.k, &op.args.v, &op.args.out}) read(*rows, width, rows_);
    op.args.by = vector(width);
    op.nanoseconds = static_cast<double>(width) * 0.3;
  }
  void prepare7() {
    const size_t heads = small(), size = small(), width = heads * size;
    auto& op = add(&Kernels::prepare7, row_units_);
    Prepare7Args& args = op.args;
    args.heads = static_cast<uint32_t>(heads);
    args.head_size = static_cast<uint32_t>(size);
    for (Rows* rows : {&args.k, &args.rate, &args.key, &args.a, &args.b}) read(*rows, width, rows_);
    args.removal = vector(width);
    args.replacement = vector(width);
    args.eps = real();
    for (Rows* rows : {&args.v, &args.v_first, &args.amount, &args.v_out}) read(*rows, width, rows_);
    op.nanoseconds = static_cast<double>(width) * 0.6;
  }

  void top_k() {
    auto& op = add(&Kernels::top_k, row_units_);
    const size_t width = op.args.width = small();
    const size_t count = op.args.count = small();
    if (count == 0 || count > width) ok_ = false;
    read(op.args.x, width, rows_);
    const size_t before = program_.candidate_pointers_.size();
    read(op.args.out, 2 * count + 1, rows_);
    // Nobody else reads those, so a step that does not ask for them need not make them.
    if (program_.candidate_pointers_.size() > before) op.unit = {UnitKind::candidates, 1};
    op.nanoseconds = static_cast<double>(width) * 0.5;
  }

  CompiledProgram& program_;
  const EncodedProgram& encoded_;
  size_t at_ = 0;
  bool ok_ = true;
  size_t rows_ = 0;
  Units row_units_;
  bool wanted_ = false;
};

CompiledProgram::Status CompiledProgram::decode(const EncodedProgram& encoded) {
  return Decoder(*this, encoded).decode();
}

}  // namespace rwkv
